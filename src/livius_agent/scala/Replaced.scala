package livius

import java.nio.file.{Files, Path}
import java.nio.file.attribute.BasicFileAttributes

import scala.jdk.CollectionConverters._

/** What a file of the gateway's says now: it is replaced as a whole, and read again then. */
final class Replaced[A](file: Path)(parse: Seq[Array[String]] => A) {
  private var read: (Object, A) = _

  /** The parsed rows, each split at its tabs. */
  def now: A = synchronized {
    val attributes = Files.readAttributes(file, classOf[BasicFileAttributes])
    val version    = (attributes.fileKey, attributes.lastModifiedTime)
    if (read == null || version != read._1) read = version -> parse(Files.readAllLines(file).asScala.toSeq.map(_.split("\t", -1)))
    read._2
  }
}
