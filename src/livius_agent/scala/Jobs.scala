package livius

import java.util.{BitSet, Properties}

import org.apache.spark.{SparkContext, TaskContext}
import org.apache.spark.scheduler._
import org.apache.spark.sql.livius.{Inside, Version}

import scala.collection.mutable

/** Which Spark jobs belong to which statement, known from the moment that Spark announces a job, and the end of those of cancelled ones.
  *
  * A job belongs to the statement that its thread works for. That stands in a local property of Spark's, which new threads inherit and
  * which Spark hands to its own pools; `Repl`, `Carried` and the Python process see to it for threads that outlive a statement. A job
  * without it belongs to the statement that runs, if only one does. An empty one says that the thread works for none. Jobs of streaming
  * queries belong to none.
  */
final class Jobs private (context: SparkContext) extends SparkListener {
  import Jobs._

  private val isFair = context.getConf.get("spark.scheduler.mode", "FIFO").equalsIgnoreCase("FAIR")

  /** The numbers of each statement's jobs, until its end has been reported. */
  private val known = mutable.Map.empty[String, Vector[Int]]

  /** The statement that each repl runs. */
  private val running = mutable.Map.empty[String, String]

  /** The jobs that run. */
  private val active = mutable.Map.empty[Int, Job]

  /** One bit for each statement of a repl, for as long as the driver lives: a million cancels take 125 KB. */
  private val cancelled = mutable.Map.empty[String, BitSet]

  /** The stages of cancelled jobs, of which a task may yet start. */
  private val doomed = mutable.LinkedHashSet.empty[Int]

  /** A statement begins in a repl. */
  def begin(repl: String, statement: String): Unit = synchronized {
    running(repl) = statement
    known.getOrElseUpdate(statement, Vector.empty)
  }

  /** Marks a statement as cancelled and ends its jobs. Those that it begins later are ended as they begin. */
  def cancel(statement: String): Unit = {
    val ours = synchronized {
      val (repl, number) = parts(statement)
      cancelled.getOrElseUpdate(repl, new BitSet).set(number)
      active.values.filter(_.owner.contains(statement)).toSeq
    }
    Version.cancel(context, statement, Reason)
    ours.foreach(end)
  }

  private def isCancelled(statement: String): Boolean = {
    val (repl, number) = parts(statement)
    cancelled.get(repl).exists(_.get(number))
  }

  private def end(job: Job): Unit = {
    synchronized {
      doomed ++= job.stages
      while (doomed.size > MostDoomed) doomed -= doomed.head
    }
    context.cancelJob(job.id, Reason)
  }

  override def onJobStart(start: SparkListenerJobStart): Unit = {
    val job = synchronized {
      val job = Job(start.jobId, ownerOf(start.properties), start.stageIds)
      active(job.id) = job
      for (statement <- job.owner; before <- known.get(statement)) known(statement) = before :+ job.id
      job
    }
    if (job.owner.exists(statement => synchronized(isCancelled(statement)))) end(job)
  }

  override def onJobEnd(ended: SparkListenerJobEnd): Unit = synchronized(active -= ended.jobId)

  override def onTaskStart(start: SparkListenerTaskStart): Unit =
    if (synchronized(doomed(start.stageId) && !isWanted(start.stageId))) context.killTaskAttempt(start.taskInfo.taskId, interruptThread = true, Reason)

  /** A stage that has failed stays: one of its last tasks may be yet to start. */
  override def onStageCompleted(completed: SparkListenerStageCompleted): Unit =
    if (completed.stageInfo.failureReason.isEmpty) synchronized(doomed -= completed.stageInfo.stageId)

  /** Whether a job that goes on needs a stage: jobs share the stages of a shuffle. */
  def isWanted(stage: Int): Boolean =
    synchronized(active.values.exists(job => job.stages.contains(stage) && !job.owner.exists(isCancelled)))

  private def ownerOf(properties: Properties): Option[String] =
    if (properties == null || properties.getProperty(Stream) != null) None
    else
      Option(properties.getProperty(Statement)).orElse(running.values.toSeq match {
        case Seq(only) => Some(only)
        case _         => None
      }).filter(_ != Nobody)

  /** The numbers of a statement's jobs. */
  def of(statement: String): Seq[Int] = synchronized {
    (known.getOrElse(statement, Vector.empty) ++ active.values.filter(_.owner.contains(statement)).map(_.id)).distinct
  }

  /** Whether any job of a statement runs. */
  def isActive(statement: String): Boolean = synchronized(active.values.exists(_.owner.contains(statement)))

  /** Whether jobs run that no running statement owns. */
  def inBackground: Boolean = synchronized(active.values.exists(!_.owner.exists(running.values.toSet)))

  /** A statement's jobs as JSON: their number and the last `most` of them. Empty if there are none.
    *
    * @param isLast after a statement's end: waits a little for what Spark has yet to take note of, then forgets the statement
    */
  def describe(statement: String, most: Int, isLast: Boolean): String = {
    if (isLast) Inside.settle(context)
    val found = synchronized {
      if (isLast) {
        running.filterInPlace((_, one) => one != statement)
        known.remove(statement)
      } else known.get(statement)
    }.getOrElse(Vector.empty)
    if (found.isEmpty) "" else s"""{"total":${found.size},"jobs":[${found.takeRight(most).flatMap(Inside.job(context, _)).mkString(",")}]}"""
  }

  /** The statement that the calling thread works for; none in a task or a streaming query. */
  def ofThread: Option[String] = {
    val properties = Inside.localProperties(context)
    if (TaskContext.get != null || properties.getProperty(Stream) != null) None
    else Option(properties.getProperty(Statement)).filter(_ != Nobody)
  }

  /** Makes the calling thread work for a statement, under its job group unless user code has chosen another one. */
  def attach(statement: String, description: String): Unit = {
    val properties = Inside.localProperties(context)
    properties.setProperty(Statement, statement)
    val group = properties.getProperty(Group)
    if (group == null || group.startsWith(Ours)) context.setJobGroup(statement, description.take(Described), interruptOnCancel = true)
    // Repls share the cores fairly where Spark's scheduler does; user code may choose another pool.
    if (isFair && properties.getProperty(Pool) == null) properties.setProperty(Pool, parts(statement)._1)
  }

  /** Copies what says for which statement the calling thread works. */
  def share(to: Properties): Unit = {
    val properties = Inside.localProperties(context)
    for (key <- Attached; value <- Option(properties.get(key))) to.put(key, value)
  }

  /** Does work on the calling thread for a statement. Then the thread works for what it worked for before, where that is another piece
    * of work that it is in the midst of, else for none: what a pool's thread has inherited is no longer true.
    */
  def within[A](statement: String, description: String)(work: => A): A = {
    val isInside = inside.get
    val before   = if (isInside) Attached.map(Inside.localProperties(context).get(_)) else Attached.map(_ => null)
    inside.set(true)
    attach(statement, description)
    try work
    catch { case failure: Throwable => failed.set(statement -> failure); throw failure }
    finally {
      val properties = Inside.localProperties(context)
      for ((key, value) <- Attached.zip(before)) if (value == null) properties.remove(key) else properties.put(key, value)
      if (!isInside) inside.remove()
    }
  }

  /** Whether the calling thread is in the midst of work for a statement. New threads don't inherit it. */
  private val inside = ThreadLocal.withInitial[Boolean](() => false)

  /** The last work of the calling thread that failed. */
  private val failed = new ThreadLocal[(String, Throwable)]

  /** Whether the calling thread dies in work for a cancelled statement. */
  def diesCancelled(of: Throwable): Boolean = {
    val statement = Option(failed.get).collect { case (statement, failure) if failure eq of => statement }.orElse(ofThread)
    synchronized(statement.exists(isCancelled))
  }

  /** Makes the calling thread work for no statement. */
  def detach(): Unit = Attached.foreach(Inside.localProperties(context).remove(_))

  /** The same, and its jobs are not taken for those of the only statement that runs. */
  def exempt(): Unit = {
    val properties = Inside.localProperties(context)
    if (Option(properties.getProperty(Group)).exists(_.startsWith(Ours))) detach()
    properties.setProperty(Statement, Nobody): Unit
  }
}

object Jobs {
  private final case class Job(id: Int, owner: Option[String], stages: Seq[Int])

  private val Ours       = "livius-"
  private val Nobody     = ""
  private val Statement  = "livius.statement"
  private val Group      = "spark.jobGroup.id"
  private val Pool       = "spark.scheduler.pool"
  private val Attached   = Seq(Statement, Group, "spark.job.description", "spark.job.interruptOnCancel")
  private val Stream     = "sql.streaming.queryId"
  private val Reason     = "The statement was cancelled."
  private val Described  = 200
  private val MostDoomed = 10000

  def watch(context: SparkContext): Jobs = {
    val jobs = new Jobs(context)
    Inside.listen(context, jobs)
    jobs
  }

  /** The repl and the number that a statement's name is made of. */
  private def parts(statement: String): (String, Int) = {
    val at = statement.lastIndexOf('-')
    (statement.take(at), statement.drop(at + 1).toInt)
  }
}
