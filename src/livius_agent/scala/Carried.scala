package livius

import java.lang.reflect.{InvocationHandler, InvocationTargetException, Method, Proxy}
import java.util.{ArrayList, Collection}
import java.util.concurrent.{Callable, Executor}

import scala.concurrent.ExecutionContext

/** Lets work that a cell hands to other threads, often of pools that outlive it, be part of its statement.
  *
  * The compiler plugin puts these calls around the work. On executors there are no statements, and they change nothing.
  */
object Carried {
  trait Statement {

    /** Does the work of another thread as part of the statement. If that has been cancelled, it begins interrupted. */
    def does[A](work: => A): A

    /** The same for what is called for each element: only the Spark jobs of the work become the statement's. */
    def calls[A](work: => A): A
  }

  /** Returns the statement that the calling thread works for, or null. */
  @volatile private[livius] var current: () => Statement = () => null

  private def wrapped[A <: AnyRef](work: A)(wrap: Statement => A): A = {
    val statement = if (work == null) null else current()
    if (statement == null) work else wrap(statement)
  }

  /** A pool may order its work, by what the work itself says. */
  private final class Ordered(val work: Runnable with Comparable[AnyRef], statement: Statement) extends Runnable with Comparable[AnyRef] {
    def run(): Unit = statement.does(work.run())
    def compareTo(other: AnyRef): Int = work.compareTo(other match {
      case ordered: Ordered => ordered.work
      case _                => other
    })
  }

  def runnable(work: Runnable): Runnable = wrapped(work) { statement =>
    work match {
      case ordered: Comparable[_] => new Ordered(ordered.asInstanceOf[Runnable with Comparable[AnyRef]], statement)
      case _                      => () => statement.does(work.run())
    }
  }
  def callable[A](work: Callable[A]): Callable[A] = wrapped(work)(statement => () => statement.does(work.call()))

  /** What `invokeAll` and `invokeAny` take. */
  def callables[A <: Callable[_]](work: Collection[A]): Collection[A] = wrapped(work) { _ =>
    val all = new ArrayList[A](work.size)
    work.forEach(one => all.add(callable(one.asInstanceOf[Callable[Any]]).asInstanceOf[A]): Unit)
    all
  }

  /** Any of Java's functional interfaces, of a completable future. */
  def functional[A <: AnyRef](work: A): A = wrapped(work)(statement => proxy(work)(call => statement.does(call())))

  /** One that a stream calls for each element, on the threads of a pool if it is parallel. */
  def element[A <: AnyRef](work: A): A = wrapped(work)(statement => proxy(work)(call => statement.calls(call())))

  private def proxy[A <: AnyRef](work: A)(around: (() => AnyRef) => AnyRef): A = {
    val kinds = Iterator.iterate[Class[_]](work.getClass)(_.getSuperclass).takeWhile(_ != null).flatMap(_.getInterfaces)
      .filter(_.getName.startsWith("java.util.function.")).distinct.toArray
    if (kinds.isEmpty) work
    else
      Proxy.newProxyInstance(getClass.getClassLoader, kinds, new InvocationHandler {
        def invoke(proxy: AnyRef, method: Method, arguments: Array[AnyRef]): AnyRef =
          try around(() => method.invoke(work, arguments: _*))
          catch { case failure: InvocationTargetException => throw failure.getCause }
      }).asInstanceOf[A]
  }

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
  def function[A, B](work: A => B): A => B = wrapped(work)(statement => argument => statement.calls(work(argument)))
}
