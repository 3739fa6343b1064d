package livius

import java.io.{IOException, PrintStream}
import java.net.InetAddress
import java.nio.charset.StandardCharsets.UTF_8
import java.security.SecureRandom
import java.util.{HexFormat, Properties}
import java.util.concurrent.{ConcurrentHashMap, ExecutionException, Executors}

import org.apache.spark.sql.{DataFrame, Dataset, SparkSession}
import org.apache.spark.sql.catalyst.parser.livius.Statements
import org.apache.spark.sql.livius.{Frames, Inside, LaterTypes}

import py4j.{ClientServer, DefaultGatewayServerListener, Py4JServerConnection}

import scala.collection.mutable
import scala.jdk.CollectionConverters._

/** How a Scala statement ended. `status` is ok, error or interrupted; `data` is JSON, what it showed by MIME type. */
final class ScalaResult(val status: String, val ename: String, val evalue: String, lines: Seq[String], val data: String = "{}") {
  val traceback: java.util.List[String] = new java.util.ArrayList(lines.size)
  lines.foreach(traceback.add)
}

object ScalaResult {
  val Ok: ScalaResult          = new ScalaResult("ok", "", "", Nil)
  def ok(data: String): ScalaResult = new ScalaResult("ok", "", "", Nil, data)
  val Stopped: ScalaResult     = new ScalaResult("ok", "", "", Nil)
  val Interrupted: ScalaResult = new ScalaResult("interrupted", "Interrupted", "The statement was interrupted", Nil)
  // Classic Livy calls every failure of Scala code so; clients look at the value.
  def error(value: String, traceback: Seq[String] = Nil): ScalaResult = new ScalaResult("error", "Error", value, traceback)
}

/** One isolated context inside the driver: a session, a gateway for its Python process, and a Scala interpreter at first need. */
final class Repl private[livius] (driver: Driver, number: Int, val id: String, pipe: String, val session: SparkSession) {
  private val output = new Streams.Pipe(pipe)
  private val out    = new PrintStream(output, true, UTF_8)

  /** All Scala of a repl runs on one thread, so that statements and warming up never meet. */
  private val worker   = oneThread(s"scala-$id")
  private val compiler = oneThread(s"compiler-$id")

  private def oneThread(name: String) = Executors.newSingleThreadExecutor { task =>
    val thread = new Thread(task, name)
    thread.setDaemon(true)
    thread.setContextClassLoader(driver.loader)
    thread
  }

  /** What a thread of the Python process finds as its local properties in Spark that says for no statement that it works for it. */
  @volatile private var inherited = new Properties

  /** The threads that work for Python: one for each of its threads that has called. */
  private val served = new ThreadGroup(s"gateway-$id")

  /** The statement that each of them works for, as Python says. */
  private val serves = new ConcurrentHashMap[Thread, String]

  /** Where Python's calls come from; those that have ended are removed at the next statement. */
  private val connections = ConcurrentHashMap.newKeySet[Py4JServerConnection]

  /** The Python statement that runs, how its code begins, and the threads that worked for Python before. */
  private val callers                           = new Object
  @volatile private var calling: Option[Calling] = None

  private lazy val interpreter = new Interpreter(session, driver.loader, driver.classDir, number, out, compiler)

  val pythonToken: String = {
    val bytes = new Array[Byte](32)
    new SecureRandom().nextBytes(bytes)
    HexFormat.of.formatHex(bytes)
  }

  /** Python has a gateway per repl: over a shared one, callbacks of one repl's streaming queries would run in another's process. */
  private val gateway: ClientServer = {
    val shared = new java.util.HashMap[String, AnyRef]
    shared.put("jsc", driver.javaSparkContext)
    shared.put("spark", session)
    shared.put("repl", this)
    val server = new ClientServer.ClientServerBuilder(shared)
      .authToken(pythonToken).javaPort(0).javaAddress(InetAddress.getLoopbackAddress)
      .autoStartJavaServer(false).build() // else its threads would be in the group of this thread
    // Each thread of Python has one here, a child of the one that listens; so what that one has, they have.
    server.getJavaServer.addListener(new DefaultGatewayServerListener {
      override def serverStarted(): Unit = inherited = Inside.localProperties(session.sparkContext)
      override def connectionStarted(one: Py4JServerConnection): Unit = connections.add(one)
    })
    // py4j's threads are daemons if their parent is one.
    val starter = new Thread(served, () => server.startServer(), s"gateway-$id")
    starter.setDaemon(true)
    starter.start()
    starter.join()
    server
  }

  /** What Python gives of DataFrames and variants. */
  def rows(data: Dataset[_], most: Int): Frames.Pieces             = Frames.rows(data, most)
  def table(data: Dataset[_]): Array[String]                       = Frames.table(data)
  def summary(data: Dataset[_]): DataFrame                         = Frames.summary(data)
  def variant(value: Array[Byte], metadata: Array[Byte]): String   =
    LaterTypes.variant(value, metadata, session.conf.get("spark.sql.session.timeZone"))

  /** The SQL statements of a text, which Python runs. */
  def script(text: String): Statements.Script = new Statements.Script(session, text)

  /** What Python's notebookutils calls. */
  def files: NotebookFiles                             = driver.files
  def ask(what: String, arguments: String): String = driver.ask(id, what, arguments)

  /** What Python is to say of an exception. */
  def failure(given: Throwable): Failure = new Failure(given)

  def pythonPort: Int = gateway.getJavaServer.getListeningPort

  /** Makes the session what `getOrCreate` finds. Attaching a Python process steals that place, so every statement takes it back. */
  def activate(): Unit = {
    Thread.currentThread.setContextClassLoader(driver.loader)
    SparkSession.setDefaultSession(session)
    SparkSession.setActiveSession(session)
  }

  /** Begins a Python statement. The thread that calls may be a new one: an interrupted call leaves its thread behind. */
  def begin(statement: String, code: String): Unit = callers.synchronized {
    Thread.interrupted() // what was to be stopped has ended
    activate()
    serves.keySet.removeIf(!_.isAlive)
    connections.removeIf(one => Option(one.getSocket).forall(_.isClosed))
    driver.work.begin(id, statement)
    calling = Some(new Calling(statement, code, threads))
    driver.work.detach()
    carry(statement)
    driver.work.share(inherited)
  }

  /** Makes the calling thread work for a statement, or for none if the name is empty. Python calls this before a thread's first call, and
    * when its work changes.
    */
  def carry(statement: String): Unit = {
    callers.synchronized {
      Thread.interrupted() // meant for what it worked for before
      serves.put(Thread.currentThread, statement)
    }
    if (statement.isEmpty) driver.work.exempt()
    else driver.work.attach(statement, calling.filter(_.statement == statement).fold("")(_.code))
  }

  /** Whether the JVM still works for a Python statement: an interrupted Python leaves its call, which may yet begin Spark jobs. */
  private[livius] def isCalling(statement: String): Boolean =
    calling.exists(one => one.statement == statement && (isCalled || one.busy.nonEmpty))

  /** Whether any call of Python's has come that no thread has taken yet: on a busy machine one takes a while to wake up. */
  private def isCalled: Boolean = connections.asScala.flatMap(one => Option(one.getSocket)).exists { socket =>
    try socket.getInputStream.available > 0
    catch { case _: IOException => false } // it is closed
  }

  private def threads: Set[Thread] = {
    val found = new Array[Thread](served.activeCount * 2 + 16)
    found.take(served.enumerate(found)).toSet
  }

  private final class Calling(val statement: String, val code: String, before: Set[Thread]) {

    /** The threads that are in a call for the statement now. */
    def busy: Set[Thread] = threads.filter { thread =>
      val isOurs = Option(serves.get(thread)).fold(!before(thread))(_ == statement)
      isOurs && thread.getStackTrace.exists(_.getClassName.startsWith("py4j.commands."))
    }
  }

  /** Stops what the JVM does for a statement: its Spark jobs, those it would begin yet, and its Scala code or what Python has called.
    *
    * @return whether Scala code of the statement has been interrupted; it can't be while it is compiled
    */
  def cancel(statement: String): Boolean = {
    val isScala = statements.synchronized {
      val scala = statements.filter(_.name == statement)
      scala.foreach(_.isUnwanted = true)
      scala.nonEmpty
    }
    if (isScala || calling.exists(_.statement == statement)) driver.work.cancel(statement)
    callers.synchronized(calling.filter(_.statement == statement).foreach(_.busy.foreach(_.interrupt())))
    statements.synchronized(statements.filter(_.name == statement).map(_.interrupt()).contains(true))
  }

  /** The Scala statement of this name, if it runs. */
  private[livius] def scalaStatement(statement: String): Option[Carried.Statement] =
    statements.synchronized(statements.find(_.name == statement))

  /** Makes the interpreter in the background: it takes seconds. */
  def warmScala(): Unit = worker.execute(() => Streams.redirected(out)(interpreter))

  /** Makes the interpreter, and has it compile what nobody sees. */
  def practiseScala(): Unit = worker.submit[Unit](() => Streams.redirected(out)(interpreter.practise())).get()

  /** Runs code to its end; it returns once all output is in the pipe. */
  def runScala(code: String, name: String): ScalaResult = {
    driver.work.begin(id, name)
    val statement = new Statement(name, code)
    // From here on it can be interrupted, also while it waits for the interpreter to be made.
    statements.synchronized(statements += statement)
    try worker.submit(() => statement.run()).get()
    catch { case failure: ExecutionException => throw failure.getCause }
    finally statements.synchronized(statements -= statement)
  }

  def close(): Unit = {
    driver.closed(this)
    statements.synchronized(statements.foreach(_.interrupt()))
    session.streams.active.foreach(_.stop())
    gateway.shutdown()
    worker.shutdown()
    compiler.shutdown()
    out.close()
    if (SparkSession.getDefaultSession.contains(session)) SparkSession.setDefaultSession(driver.base)
  }

  private val statements = mutable.Set.empty[Statement]
  private val LookEvery  = 20L

  /** One run of the interpreter. The lock makes sure that an interrupt never hits the compiler, whose open files it would close, nor
    * what a thread does after its work for the statement.
    */
  private final class Statement(val name: String, text: String) extends Interpreter.Guard with Carried.Statement {
    private var thread: Thread = _
    @volatile var isUnwanted   = false
    @volatile private var code = Set.empty[String]
    private val helpers        = mutable.Set.empty[Thread]

    /** What the statement shows, wherever its work is done. */
    @volatile private var shown: Display.Bundle = _

    def run(): ScalaResult = Streams.redirected(out) {
      activate()
      GatewayRequests.repl.set(id)
      try driver.work.within(name, text) {
        // An interrupt of the code's own lasts from one piece to the next, but not beyond the statement.
        val result = try interpreter.run(text, this) finally Thread.interrupted()
        while (isUnwanted && others.nonEmpty) {
          statements.synchronized(others.foreach(_.interrupt()))
          Thread.sleep(LookEvery)
        }
        if (isUnwanted && result.status == "error") ScalaResult.Interrupted else result
      } finally out.flush()
    }

    def user[A](codePackage: String)(body: => A): A = {
      statements.synchronized {
        if (isUnwanted) throw new InterruptedException
        code += s"$codePackage."
        shown = Display.current
        thread = Thread.currentThread
      }
      try body
      finally statements.synchronized {
        thread = null
        if (isUnwanted) Thread.interrupted()
      }
    }

    def does[A](work: => A): A = {
      val helper = Thread.currentThread
      val isNew  = statements.synchronized {
        val isNew = helper != thread && helpers.add(helper)
        if (isNew && isUnwanted) helper.interrupt()
        isNew
      }
      if (!isNew) work
      else
        try Streams.redirected(out) {
          activate()
          Display.into(shown)(driver.work.within(name, text)(work))
        } finally {
          statements.synchronized {
            helpers -= helper
            if (isUnwanted) Thread.interrupted()
          }
        }
    }

    def calls[A](work: => A): A = if (driver.work.ofThread.contains(name)) work else driver.work.within(name, text)(work)

    def interrupt(): Boolean = {
      isUnwanted = true
      if (thread != null) thread.interrupt()
      others.foreach(_.interrupt())
      thread != null
    }

    /** The other threads that work for this statement: those that were handed work, and those that run its code, as their stacks tell. */
    private def others: Set[Thread] = statements.synchronized(helpers.toSet) ++ running

    private def running: Seq[Thread] =
      if (code.isEmpty) Nil
      else
        Thread.getAllStackTraces.asScala.toSeq.collect {
          case (other, frames) if other != thread && frames.exists(frame => code.exists(frame.getClassName.startsWith)) => other
        }
  }
}
