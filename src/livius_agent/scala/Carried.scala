package livius

import java.util.concurrent.{Callable, Executor}
import java.util.function.Supplier

import scala.concurrent.ExecutionContext

/** Lets work that a cell hands to other threads, often of pools that outlive it, be part of its statement.
  *
  * The compiler plugin puts these calls around the work. On executors there are no statements, and they change nothing.
  */
object Carried {
  trait Statement {

    /** Does the work of another thread as part of the statement. If that has been cancelled, it begins interrupted. */
    def does[A](work: => A): A

    /** Makes the Spark jobs of this thread the statement's from now on. Meant for what is called for each element. */
    def join(): Unit
  }

  /** Returns the statement that the calling thread works for, or null. */
  @volatile private[livius] var current: () => Statement = () => null

  private def wrapped[A <: AnyRef](work: A)(wrap: Statement => A): A = {
    val statement = if (work == null) null else current()
    if (statement == null) work else wrap(statement)
  }

  def runnable(work: Runnable): Runnable          = wrapped(work)(statement => () => statement.does(work.run()))
  def callable[A](work: Callable[A]): Callable[A] = wrapped(work)(statement => () => statement.does(work.call()))
  def supplier[A](work: Supplier[A]): Supplier[A] = wrapped(work)(statement => () => statement.does(work.get()))
  def executor(pool: Executor): Executor          = if (pool == null) null else work => pool.execute(runnable(work))

  def context(pool: ExecutionContext): ExecutionContext =
    // It runs all on the calling thread, and knows itself by its type.
    if (pool == null || (pool eq ExecutionContext.parasitic)) pool
    else
      new ExecutionContext {
        override def execute(work: Runnable): Unit             = pool.execute(runnable(work))
        override def reportFailure(failure: Throwable): Unit = pool.reportFailure(failure)
      }

  /** A function that a parallel collection calls on the threads of a pool. */
  def function[A, B](work: A => B): A => B = wrapped(work)(statement => argument => { statement.join(); work(argument) })
}
