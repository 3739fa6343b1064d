// The package is Spark's, because its event log and the queues of its events are visible only from within it.
package org.apache.spark.sql.livius

import java.io.File
import java.nio.file.Files
import java.nio.file.attribute.PosixFilePermissions

import scala.collection.mutable.ListBuffer
import scala.util.control.NonFatal

import org.apache.spark.{SparkConf, SparkContext, SparkFirehoseListener}
import org.apache.spark.scheduler._

/** Spark's own event log, from the moment on at which the driver is a session's, and up to a size.
  *
  * Spark begins its log with the context and never ends it: the log of a driver of the pool would have the warm-up, and a busy one would fill
  * the disk. So this listener has the events that describe the application until it is bound; the log starts with them.
  */
final class EventLog(conf: SparkConf) extends SparkFirehoseListener {
  import EventLog._

  private val folder = new File(conf.get(Folder))
  private val limit  = conf.getLong(Limit, 0)
  private val file   = new File(folder, s"$Name.zstd.inprogress")
  private val first  = ListBuffer.empty[SparkListenerEvent]
  private val bus    = new ReplayListenerBus
  private var log    = Option.empty[EventLoggingListener]
  private var since  = 0

  override def onEvent(event: SparkListenerEvent): Unit = synchronized {
    if (log.nonEmpty) write(event)
    else if (isFirst(event)) first += event
  }

  /** Begins the log of a context that has just been bound. Without a log the session works as well, so a failure is only reported. */
  private def begin(context: SparkContext): Unit = {
    context.listenerBus.removeListener(this)
    val began = synchronized {
      try {
        val settings = context.getConf.set("spark.eventLog.compress", "true").set("spark.eventLog.compression.codec", "zstd")
          .set("spark.eventLog.rolling.enabled", "false")
        val made = new EventLoggingListener(Name, None, folder.toURI, settings, context.hadoopConfiguration)
        made.start()
        Files.setPosixFilePermissions(file.toPath, PosixFilePermissions.fromString("rw-------"))
        bus.addListener(made)
        log = Some(made)
        first.foreach(event => bus.postToAll(asOf(System.currentTimeMillis, event, context)))
      } catch { case NonFatal(failure) => report(s"This session has no event log: $failure") }
      first.clear()
      log.nonEmpty
    }
    // A queue of its own: what is slow about a disk must not delay other listeners.
    if (began) context.listenerBus.addToEventLogQueue(this)
  }

  private def write(event: SparkListenerEvent): Unit = {
    bus.postToAll(event)
    since += 1
    if (event.isInstanceOf[SparkListenerApplicationEnd]) end()
    else if (since >= LookAfter) {
      since = 0
      if (file.length > limit) {
        bus.postToAll(SparkListenerApplicationEnd(System.currentTimeMillis))
        end()
        new File(folder, Full).createNewFile()
        report(s"The event log has reached its limit of $limit bytes. Later jobs are missing in it.")
      }
    }
  }

  private def end(): Unit = {
    log.foreach(_.stop())
    log = None
  }

  private def report(text: String): Unit = System.err.println(text)
}

object EventLog {

  /** Begins the log, if the driver is to have one. */
  def begin(context: SparkContext): Unit = context.listenerBus.findListenersByClass[EventLog]().foreach(_.begin(context))

  private val Folder    = "spark.livius.eventLog.folder"
  private val Limit     = "spark.livius.eventLog.limit"
  private val Name      = "events"
  private val Full      = "full"
  private val LookAfter = 64

  private def isFirst(event: SparkListenerEvent) = event match {
    case _: SparkListenerApplicationStart | _: SparkListenerEnvironmentUpdate | _: SparkListenerResourceProfileAdded => true
    case _: SparkListenerExecutorAdded | _: SparkListenerBlockManagerAdded                                           => true
    case _                                                                                                           => false
  }

  /** An event of the start as if Spark had started now, with the name and conf of the session. */
  private def asOf(now: Long, event: SparkListenerEvent, context: SparkContext): SparkListenerEvent = event match {
    case started: SparkListenerApplicationStart => started.copy(appName = context.getConf.get("spark.app.name"), time = now)
    case added: SparkListenerExecutorAdded      => added.copy(time = now)
    case added: SparkListenerBlockManagerAdded  => added.copy(time = now)
    case update: SparkListenerEnvironmentUpdate =>
      SparkListenerEnvironmentUpdate(update.environmentDetails + ("Spark Properties" -> context.getConf.getAll.toSeq.sorted))
    case other => other
  }
}
