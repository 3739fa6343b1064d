package livius

import java.io.PrintStream
import java.net.InetAddress
import java.nio.charset.StandardCharsets.UTF_8
import java.security.SecureRandom
import java.util.HexFormat
import java.util.concurrent.{ExecutionException, Executors}

import org.apache.spark.sql.SparkSession

import py4j.ClientServer

import scala.collection.mutable

/** How a Scala statement ended. `status` is ok, error or interrupted; `data` is JSON, what it showed by MIME type. */
final class ScalaResult(val status: String, val ename: String, val evalue: String, lines: Seq[String], val data: String = "{}") {
  val traceback: java.util.List[String] = new java.util.ArrayList(lines.size)
  lines.foreach(traceback.add)
}

object ScalaResult {
  val Ok: ScalaResult          = new ScalaResult("ok", "", "", Nil)
  def ok(data: String): ScalaResult = new ScalaResult("ok", "", "", Nil, data)
  val Interrupted: ScalaResult = new ScalaResult("interrupted", "Interrupted", "The statement was interrupted", Nil)
  // Classic Livy calls every failure of Scala code so; clients look at the value.
  def error(value: String, traceback: Seq[String] = Nil): ScalaResult = new ScalaResult("error", "Error", value, traceback)
}

/** One isolated context inside the driver: a session, a gateway for its Python process, and a Scala interpreter at first need. */
final class Repl private[livius] (driver: Driver, number: Int, val id: String, pipe: String, val session: SparkSession) {
  private val output = new Streams.Pipe(pipe)
  private val out    = new PrintStream(output, true, UTF_8)

  /** All Scala of a repl runs on one thread, so that statements and warming up never meet. */
  private val worker = Executors.newSingleThreadExecutor { task =>
    val thread = new Thread(task, s"scala-$id")
    thread.setDaemon(true)
    thread.setContextClassLoader(driver.loader)
    thread
  }
  private lazy val interpreter = new Interpreter(session, driver.loader, driver.classDir, number, out)

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
      .authToken(pythonToken).javaPort(0).javaAddress(InetAddress.getLoopbackAddress).build()
    // py4j's threads are daemons if their parent is one.
    val starter = new Thread(() => server.startServer(), s"gateway-$id")
    starter.setDaemon(true)
    starter.start()
    starter.join()
    server
  }

  def pythonPort: Int = gateway.getJavaServer.getListeningPort

  /** Makes the session what `getOrCreate` finds. Attaching a Python process steals that place, so every statement takes it back. */
  def activate(): Unit = {
    Thread.currentThread.setContextClassLoader(driver.loader)
    SparkSession.setDefaultSession(session)
    SparkSession.setActiveSession(session)
  }

  /** Makes the interpreter in the background: it takes seconds. */
  def warmScala(): Unit = worker.execute(() => Streams.redirected(out)(interpreter))

  /** Runs code to its end; it returns once all output is in the pipe. */
  def runScala(code: String, group: String): ScalaResult = {
    val statement = new Statement(group)
    // From here on it can be interrupted, also while it waits for the interpreter to be made.
    statements.synchronized(statements += statement)
    try worker.submit(() => statement.run(code)).get()
    catch { case failure: ExecutionException => throw failure.getCause }
    finally statements.synchronized(statements -= statement)
  }

  /** Ends the running statement, if there is one, at its next check or blocking call. */
  def interruptScala(): Unit = statements.synchronized(statements.foreach(_.interrupt()))

  private[livius] def cancelling(group: String): Unit =
    statements.synchronized(statements.filter(_.group == group).foreach(_.isUnwanted = true))

  def close(): Unit = {
    driver.closed(this)
    interruptScala()
    session.streams.active.foreach(_.stop())
    gateway.shutdown()
    worker.shutdown()
    out.close()
    if (SparkSession.getDefaultSession.contains(session)) SparkSession.setDefaultSession(driver.base)
  }

  private val statements = mutable.Set.empty[Statement]

  /** One run of the interpreter. The lock makes sure that an interrupt never hits the compiler, whose open files it would close, nor
    * the statement after.
    */
  private final class Statement(val group: String) extends Interpreter.Guard {
    private var thread: Thread = _
    @volatile var isUnwanted   = false

    def run(code: String): ScalaResult = Streams.redirected(out) {
      activate()
      session.sparkContext.setJobGroup(group, group, interruptOnCancel = true)
      try {
        val result = interpreter.run(code, this)
        if (isUnwanted && result.status == "error") ScalaResult.Interrupted else result
      } finally {
        session.sparkContext.clearJobGroup()
        out.flush()
      }
    }

    def user[A](body: => A): A = {
      statements.synchronized {
        if (isUnwanted) throw new InterruptedException
        thread = Thread.currentThread
      }
      try body
      finally statements.synchronized {
        thread = null
        Thread.interrupted()
      }
    }

    def interrupt(): Unit = {
      isUnwanted = true
      if (thread != null) thread.interrupt()
    }
  }
}
