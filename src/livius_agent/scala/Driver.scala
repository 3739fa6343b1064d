package livius

import java.io.File
import java.net.URLClassLoader
import java.util.concurrent.ConcurrentHashMap
import java.util.concurrent.atomic.AtomicInteger

import com.fasterxml.jackson.databind.node.JsonNodeFactory

import org.apache.hadoop.fs.Path
import org.apache.spark.{JobExecutionStatus, SparkConf, SparkContext}
import org.apache.spark.api.java.JavaSparkContext
import org.apache.spark.sql.SparkSession
import org.apache.spark.sql.execution.livius.QueryPools
import org.apache.spark.sql.livius.{CancelledJobs, EventLog, Inside}

import scala.jdk.CollectionConverters._
import scala.util.Try
import scala.util.control.NonFatal

/** What the agent asks of its JVM. All of it may be called from any thread. */
object Driver {

  /** Starts Spark with the conf that SparkSubmit left in the system properties. It serves a session once it is bound.
    *
    * @param classDir an existing folder, where the repls put the classes that people define
    */
  def start(classDir: String): Driver = {
    Streams.install()
    // A class of a repl must be one and the same for interpreter, driver and local executors, else casting it fails. So one loader
    // defines them all, and Spark must find it when it makes its executors.
    val loader = new URLClassLoader(Array(new File(classDir).toURI.toURL), Thread.currentThread.getContextClassLoader)
    Thread.currentThread.setContextClassLoader(loader)

    val conf = new SparkConf()
      .set("spark.repl.class.outputDir", classDir)
      // As spark-shell does: with isolation, tasks would look for a repl's classes in a place of the session.
      .setIfMissing("spark.sql.artifact.isolation.enabled", "false")
      // What PySpark sets when it makes the context itself.
      .setIfMissing("spark.rdd.compress", "true")
      .setIfMissing("spark.serializer.objectStreamReset", "100")
      .setIfMissing("spark.app.name", "Livius")
    val context = new SparkContext(conf)
    context.addSparkListener(CancelledJobs)
    try {
      val driver = new Driver(context, Inside.session(context), loader, classDir)
      current = Some(driver)
      driver
    } catch {
      case failure: Throwable =>
        context.stop()
        throw failure
    }
  }

  @volatile private var current: Option[Driver] = None

  private val Default = "default"

  /** The driver of this JVM, for what user code calls by name. */
  def running: Driver =
    current.getOrElse(throw new IllegalStateException("This works in a session's own code only, not in tasks that run elsewhere."))
}

private object Threads {
  def alive: Seq[Thread] = {
    val root = Iterator.iterate(Thread.currentThread.getThreadGroup)(_.getParent).takeWhile(_ != null).toSeq.last
    val some = new Array[Thread](2 * root.activeCount + 10)
    some.take(root.enumerate(some)).toSeq
  }
}

final class Driver private (
    context: SparkContext,
    private[livius] val base: SparkSession,
    private[livius] val loader: ClassLoader,
    private[livius] val classDir: String
) {
  import Driver._

  private[livius] val work = Jobs.watch(context)
  private val asks        = new GatewayRequests
  private val repls       = new ConcurrentHashMap[String, Repl]
  private val opened      = new AtomicInteger

  /** What a further repl's session starts with. */
  @volatile private var initialConf = base.conf.getAll
  @volatile private var database    = ""
  @volatile private var notebook    = Option.empty[NotebookFiles]

  Carried.current = () => work.ofThread.flatMap(name => repls.values.asScala.iterator.flatMap(_.scalaStatement(name)).nextOption()).orNull

  // As Java does it, but the end of a cancelled statement's thread would be in the output of the next statement.
  Thread.setDefaultUncaughtExceptionHandler { (thread, failure) =>
    if (!work.diesCancelled(failure)) {
      System.err.print("Exception in thread \"" + thread.getName + "\" ")
      failure.printStackTrace()
    }
  }

  val javaSparkContext: JavaSparkContext = new JavaSparkContext(context)

  /** Makes it the driver of a session.
    *
    * @param lakehouse   the folder or URL that relative paths start from
    * @param ofLakehouse the lakehouse's database, or the prefix of its schemas (see [[Schemas]]); what is current in every repl is made if it
    *                    is missing. Empty for Spark's default
    * @param settings    conf for all sessions, also those that user code makes
    */
  def bind(lakehouse: String, ofLakehouse: String, settings: java.util.Map[String, String]): Unit = {
    Inside.set(context, base, settings.asScala)
    val root = new Path(lakehouse)
    // Hadoop keeps one file system object per scheme: from now on it resolves relative paths here, for everybody.
    root.getFileSystem(context.hadoopConfiguration).setWorkingDirectory(root)
    // Streaming checkpoints go through Hadoop's other interface, which starts from here.
    if (Option(root.toUri.getScheme).forall(_ == "file")) System.setProperty("user.dir", root.toUri.getPath)
    val (first, tables) = Schemas.bind(base, ofLakehouse)
    if (first.nonEmpty) {
      if (!base.catalog.databaseExists(first)) Inside.createDatabase(base, first, s"$lakehouse/$tables")
      base.catalog.setCurrentDatabase(first)
    }
    initialConf = base.conf.getAll
    database = first
    notebook = Some(new NotebookFiles(context.hadoopConfiguration, lakehouse))
    EventLog.begin(context)
  }

  def files: NotebookFiles = notebook.getOrElse(throw new IllegalStateException("The driver has no session yet."))

  /** Does once what it will do when it is bound, so that it takes less time then, and has Spark's pages show nothing of the work so far. */
  def rehearse(): Unit = {
    base.catalog.databaseExists(Default)
    base.catalog.setCurrentDatabase(Default)
    description
    Inside.forgetWork(context)
  }

  /** What the gateway is to know of it, as JSON: one answer, because each call from Python takes a moment. Of the conf secrets are redacted as
    * Spark's own pages do it.
    */
  def description: String = {
    val json     = JsonNodeFactory.instance.objectNode
    val versions = json.put("spark_app_id", context.applicationId).put("ui_url", context.uiWebUrl.orNull).putObject("versions")
    versions.put("spark", context.version).put("scala", scala.util.Properties.versionNumberString)
    versions.put("java", System.getProperty("java.version")).put("delta", io.delta.VERSION)
    val conf = json.putObject("conf")
    for ((key, value) <- Inside.redacted(context.getConf)) conf.put(key, value)
    json.toString
  }

  /** See [[GatewayRequests]]. */
  def ask(repl: String, what: String, arguments: String): String = asks.ask(repl, what, arguments)
  def nextAsk(millis: Long): String                              = asks.next(millis)
  def answerAsk(id: Long, text: String): Unit                    = asks.answer(id, text)

  /** Opens a repl: the first one has the base session, each further one a session of its own. */
  def openRepl(id: String, pipe: String): Repl = {
    Thread.currentThread.setContextClassLoader(loader)
    val number = opened.getAndIncrement()
    val repl   = new Repl(this, number, id, pipe, if (number == 0) base else newSession())
    if (repls.putIfAbsent(id, repl) != null) {
      repl.close()
      throw new IllegalArgumentException(s"there is a repl $id already")
    }
    repl
  }

  /** A new session forgets what was set on the base one, and its database. */
  private def newSession(): SparkSession = {
    val session = base.newSession()
    for ((key, value) <- initialConf if !session.conf.getOption(key).contains(value) && session.conf.isModifiable(key))
      Try(session.conf.set(key, value))
    if (database.nonEmpty) session.catalog.setCurrentDatabase(database)
    session
  }

  /** See [[Jobs.describe]]. */
  def jobs(statement: String, most: Int, isLast: Boolean): String = work.describe(statement, most, isLast)

  /** How many bytes of the heap are in use, and how many there may be: one answer, because each call from Python takes a moment. */
  def heap: String = {
    val java = Runtime.getRuntime
    s"${java.totalMemory - java.freeMemory} ${java.maxMemory}"
  }

  /** Completed tasks over all tasks of a statement's jobs; -1 if it had none. */
  def progress(statement: String): Double = {
    val tracker = context.statusTracker
    val stages  = work.of(statement).flatMap(tracker.getJobInfo(_)).flatMap { job =>
      val isRunning = job.status == JobExecutionStatus.RUNNING
      // A finished job's skipped stages would hold the figure down for ever.
      job.stageIds.flatMap(tracker.getStageInfo(_)).filter(stage => isRunning || stage.numCompletedTasks > 0)
    }.distinctBy(_.stageId)
    val tasks = stages.map(_.numTasks).sum
    if (tasks == 0) -1 else stages.map(_.numCompletedTasks).sum.toDouble / tasks
  }

  /** What of a cancelled statement is left: its jobs or calls that may begin some, what Spark's pools or its scheduler may yet begin, tasks
    * that run Python, tasks, nothing.
    *
    * Tasks end a moment after their job. Those in the JVM only compute until they look whether they should; Python goes on with
    * whatever it does until Spark ends its worker, for which it looks every two seconds. What Spark has yet to take note of is waited for.
    */
  def left(statement: String): String = {
    // Looked at first: what they have begun by now is seen below.
    val isCalling = repls.values.asScala.exists(_.isCalling(statement))
    val isPlanned = QueryPools.areBusy(base, Threads.alive)
    val isSettled = Inside.settle(context)
    val tracker = context.statusTracker
    def tasks   = work.of(statement).flatMap(tracker.getJobInfo(_)).flatMap(_.stageIds.filterNot(work.isWanted))
      .flatMap(tracker.getStageInfo(_)).map(_.numActiveTasks).sum
    if (isCalling || work.isActive(statement)) "jobs"
    else if (isPlanned || !isSettled) "planned"
    // A job that ended after the first wait is out of our list already; out of Spark's it is once its own listener has heard of it too.
    else if (tasks == 0) { if (Inside.settle(context)) "nothing" else "planned" }
    else if (!context.isLocal || Threads.alive.exists(_.getName.startsWith("Worker Monitor for"))) "python"
    else "tasks"
  }

  /** Kills the tasks that still run for a statement whose jobs have ended: Spark's own order to end may have missed them. */
  def killTasks(statement: String): Unit =
    for (task <- Inside.runningTasks(context, work.of(statement), !work.isWanted(_)))
      context.killTaskAttempt(task, interruptThread = true, "the statement was cancelled")

  /** Whether anything works that no statement waits for: a streaming query, in whichever session, or jobs of a thread left running. */
  def isBusy: Boolean = Inside.hasStreams(base) || work.inBackground

  def stop(): Unit = {
    repls.values.forEach(repl => try repl.close() catch { case NonFatal(_) => })
    context.stop()
  }

  private[livius] def closed(repl: Repl): Unit = repls.remove(repl.id, repl)
}
