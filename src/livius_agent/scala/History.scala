// The package is Spark's, because what its History Server is made of is visible only from within it.
package org.apache.spark.deploy.history.livius

import java.io.{BufferedInputStream, File, FileInputStream, InputStream}
import java.util.ServiceLoader
import java.util.concurrent.ConcurrentHashMap
import java.util.zip.ZipOutputStream

import scala.jdk.CollectionConverters._
import scala.util.Try

import org.apache.commons.io.input.BoundedInputStream
import org.apache.hadoop.io.Text
import org.apache.hadoop.util.LineReader
import org.apache.spark.{SecurityManager, SparkConf, SparkException}
import org.apache.spark.deploy.history.{ApplicationHistoryProvider, HistoryAppStatusStore, HistoryServer, LoadedAppUI}
import org.apache.spark.internal.config.Status.ASYNC_TRACKING_ENABLED
import org.apache.spark.io.CompressionCodec
import org.apache.spark.scheduler.ReplayListenerBus
import org.apache.spark.status.{AppHistoryServerPlugin, AppStatusListener, ElementTrackingStore}
import org.apache.spark.status.api.v1.ApplicationInfo
import org.apache.spark.ui.SparkUI
import org.apache.spark.util.Utils
import org.apache.spark.util.kvstore.InMemoryStore

/** What Spark's History Server shows: the event log in a file, for whoever knows the file's name.
  *
  * Spark's own provider lists a folder and believes the application's id in each log. Logs come from drivers, which run code of users: one that
  * states another's id would be shown in its place. Here an application is what the gateway calls it, and none is listed.
  */
final class History(conf: SparkConf) extends ApplicationHistoryProvider {
  private val folder = new File(conf.get("spark.history.fs.logDirectory"))
  private val shown  = new ConcurrentHashMap[String, ApplicationInfo]

  override def getListing(): Iterator[ApplicationInfo]                                           = Iterator.empty
  def getListing(max: Int)(predicate: ApplicationInfo => Boolean): Iterator[ApplicationInfo]     = Iterator.empty
  override def getApplicationInfo(id: String): Option[ApplicationInfo]                            = Option(shown.get(id)).orElse {
    getAppUI(id, None)
    Option(shown.get(id))
  }
  override def checkUIViewPermissions(id: String, attempt: Option[String], user: String): Boolean = true
  override def writeEventLogs(id: String, attempt: Option[String], zip: ZipOutputStream): Unit =
    throw new SparkException("The gateway has the event logs.")

  override def getAppUI(id: String, attempt: Option[String]): Option[LoadedAppUI] =
    Option(new File(folder, id)).filter(file => attempt.isEmpty && id.matches(Id) && file.isFile).flatMap { file =>
      val kept  = new InMemoryStore
      val store = new ElementTrackingStore(kept, conf.clone.set(ASYNC_TRACKING_ENABLED, false))
      val bus   = new ReplayListenerBus
      bus.addListener(new AppStatusListener(store, conf, live = false))
      val plugins = ServiceLoader.load(classOf[AppHistoryServerPlugin], Utils.getContextOrSparkClassLoader).asScala.toSeq.sortBy(_.displayOrder)
      plugins.flatMap(_.createListeners(conf, store)).foreach(bus.addListener(_))
      val events = CompressionCodec.createCodec(conf, "zstd").compressedContinuousInputStream(new BufferedInputStream(new FileInputStream(file)))
      // Of a driver that was killed, the last event may be cut.
      try bus.replay(lines(events, math.max(LeastLog, MostOfByte * file.length)), id, true, ReplayListenerBus.SELECT_ALL_FILTER)
      finally events.close()
      store.close(false) // the listeners write their sums
      val status = new HistoryAppStatusStore(conf, kept)
      for (info <- Try(status.applicationInfo()).toOption) yield {
        shown.put(id, info)
        val last  = info.attempts.head
        val uri   = HistoryServer.getAttemptURI(id, None)
        val pages = SparkUI.create(None, status, conf, new SecurityManager(conf), info.name, uri, last.startTime.getTime, last.appSparkVersion)
        plugins.foreach(_.setupUI(pages))
        LoadedAppUI(pages)
      }
    }

  /** The lines of a log up to one that is longer than any event: compression may hide lines, and logs, of any size. */
  private def lines(events: InputStream, most: Long): Iterator[String] = {
    val reader = new LineReader(BoundedInputStream.builder().setInputStream(events).setMaxCount(most).get())
    val line   = new Text
    Iterator.continually(reader.readLine(line, LongestEvent, LongestEvent)).takeWhile(read => read > 0 && read < LongestEvent).map(_ => line.toString)
  }

  private val Id           = "[0-9a-f-]{36}"
  private val LongestEvent = 16 * 1024 * 1024
  private val LeastLog     = 256L * 1024 * 1024
  private val MostOfByte   = 40L
}

/** The History Server, for any user. */
object Main {
  def main(arguments: Array[String]): Unit = {
    _root_.livius.Login.settle()
    HistoryServer.main(arguments)
  }
}
