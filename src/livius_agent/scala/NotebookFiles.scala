package livius

import java.io.{FileNotFoundException, IOException}
import java.nio.{ByteBuffer, CharBuffer}
import java.nio.charset.CodingErrorAction.REPLACE
import java.nio.charset.StandardCharsets.UTF_8
import java.nio.file.Paths

import com.fasterxml.jackson.databind.node.JsonNodeFactory

import notebookutils.FileInfo

import org.apache.hadoop.conf.Configuration
import org.apache.hadoop.fs.{FileAlreadyExistsException, FileStatus, FileSystem, FileUtil, LocalFileSystem, Path}

import scala.util.Using

/** What `notebookutils.fs` does; Python calls it over py4j.
  *
  * A relative path, and one below `/lakehouse/default`, means the session's lakehouse by its OneLake URL. So the rules of those hold for
  * it too, and what `ls` gives is as Fabric gives it.
  *
  * @param lakehouse where the session's lakehouse lies
  */
final class NotebookFiles private[livius] (conf: Configuration, lakehouse: String) {
  import NotebookFiles._

  /** Workspace and lakehouse by id; none where the lakehouse isn't one of this machine's folders. */
  private val home: Option[(String, String)] = Option(conf.get(OneLake.RootKey)).flatMap { root =>
    val (all, own) = (Paths.get(root), Paths.get(new Path(lakehouse).toUri.getPath))
    Option.when(own.startsWith(all) && own.getNameCount == all.getNameCount + 2) {
      val steps = all.relativize(own)
      (steps.getName(0).toString, steps.getName(1).toString)
    }
  }

  private def path(text: String): Path = text match {
    case null | ""       => throw new IllegalArgumentException("The path is empty. Name a file or folder, such as Files/data.csv.")
    case Place(inside)   => inLakehouse(Option(inside).getOrElse(""))
    case Absolute(_ @ _*) => new Path(text)
    case relative        => inLakehouse(relative)
  }

  private def inLakehouse(relative: String): Path = home match {
    case Some((workspace, name)) =>
      val steps = OneLake.stepsOf(relative.split('/').filterNot(_ == ".").mkString("/"))
      new Path("abfss", s"$workspace@${OneLake.Host}", (name +: steps).mkString("/", "/", ""))
    case None => new Path(lakehouse, relative)
  }

  private def files(path: Path): FileSystem = path.getFileSystem(conf)

  private def look(path: Path): Option[FileStatus] =
    try Some(files(path).getFileStatus(path))
    catch { case _: FileNotFoundException => None }

  private def known(path: Path): FileStatus = look(path).getOrElse(throw new FileNotFoundException(s"There is no $path"))

  /** What two spellings of one place have in common. */
  private def place(path: Path): java.nio.file.Path = files(path) match {
    case lake: OneLakeFileSystem => lake.local(path)
    case other                   => Paths.get(other.makeQualified(path).toUri.getPath)
  }

  def ls(folder: String): Array[FileInfo] = {
    val at = path(folder)
    files(at).listStatus(at).map(one => FileInfo(
      one.getPath.toString, one.getPath.getName, one.getLen, one.isDirectory, !one.isDirectory, one.getModificationTime
    ))
  }

  /** The same, for Python. */
  def lsJson(folder: String): String = {
    val all = JsonNodeFactory.instance.arrayNode
    for (one <- ls(folder))
      all.addObject().put("path", one.path).put("name", one.name).put("size", one.size)
        .put("isDir", one.isDir).put("isFile", one.isFile).put("modifyTime", one.modifyTime)
    all.toString
  }

  def mkdirs(folder: String): Boolean = {
    val at = path(folder)
    files(at).mkdirs(at)
  }

  def exists(file: String): Boolean = look(path(file)).isDefined

  /** As Hadoop copies: into a folder that exists, over a file that exists. */
  def cp(source: String, target: String, recurse: Boolean): Boolean = {
    val (from, to) = (path(source), path(target))
    if (known(from).isDirectory && !recurse) throw new IOException(s"$from is a folder. Set recurse to copy it with all that is in it.")
    val end = if (look(to).exists(_.isDirectory)) new Path(to, from.getName) else to
    apart(from, end)
    FileUtil.copy(files(from), from, files(end), end, false, true, conf)
  }

  /** Into a folder that exists, else to the name; a folder takes another's place only if it is to be overwritten. */
  def mv(source: String, target: String, createPath: Boolean, overwrite: Boolean): Boolean = {
    val (from, to) = (path(source), path(target))
    val moved      = known(from)
    val end        = if (look(to).exists(_.isDirectory) && !(moved.isDirectory && overwrite)) new Path(to, from.getName) else to
    apart(from, end)
    if (look(end).isDefined) {
      if (!overwrite) throw new FileAlreadyExistsException(s"$end exists already. Set overwrite to replace it.")
      files(end).delete(end, true)
    }
    val parent = end.getParent
    if (look(parent).isEmpty) {
      if (!createPath) throw new FileNotFoundException(s"There is no folder $parent. Set create_path (in Scala createPath) to make it.")
      files(parent).mkdirs(parent)
    }
    if (files(from).getUri != files(end).getUri) FileUtil.copy(files(from), from, files(end), end, true, true, conf)
    else if (!files(from).rename(from, end)) throw new IOException(s"$from could not be moved to $end.")
    else true
  }

  private def apart(from: Path, to: Path): Unit =
    if (place(to).startsWith(place(from))) throw new IOException(s"$to is $from itself, or lies in it.")

  def rm(file: String, recurse: Boolean): Boolean = {
    val at = path(file)
    look(at) match {
      case None => false
      case Some(found) =>
        if (found.isDirectory && !recurse && files(at).listStatus(at).nonEmpty)
          throw new IOException(s"$at is not empty. Set recurse to remove it with all that is in it.")
        files(at).delete(at, recurse)
    }
  }

  def put(file: String, content: String, overwrite: Boolean): Boolean = {
    val at = path(file)
    if (!overwrite && look(at).isDefined) throw new FileAlreadyExistsException(s"$at exists already. Set overwrite to replace it.")
    Using.resource(files(at).create(at, overwrite))(_.write(content.getBytes(UTF_8)))
    true
  }

  def append(file: String, content: String, createFileIfNotExists: Boolean): Boolean = {
    val at = path(file)
    if (look(at).isEmpty && createFileIfNotExists) put(file, content, overwrite = false)
    else if (look(at).isEmpty) throw new FileNotFoundException(s"There is no $at. Set createFileIfNotExists to make it.")
    else {
      val system = files(at) match {
        case local: LocalFileSystem => local.getRawFileSystem // with checksums nothing can be appended
        case other                  => other
      }
      Using.resource(system.append(at))(_.write(content.getBytes(UTF_8)))
      true
    }
  }

  /** The first bytes as text; a character that is cut by the end is left out. */
  def head(file: String, maxBytes: Int): String = {
    if (maxBytes < 1) throw new IllegalArgumentException(s"The number of bytes is at least 1, not $maxBytes.")
    val at = path(file)
    if (known(at).isDirectory) throw new IOException(s"$at is a folder. List it with ls.")
    val bytes = Using.resource(files(at).open(at))(_.readNBytes(maxBytes))
    val chars = CharBuffer.allocate(bytes.length)
    val isEnd = bytes.length < maxBytes
    UTF_8.newDecoder.onMalformedInput(REPLACE).onUnmappableCharacter(REPLACE).decode(ByteBuffer.wrap(bytes), chars, isEnd)
    chars.flip().toString
  }
}

object NotebookFiles {
  private val Place    = "(?:file:)?/+lakehouse/default(?:/(.*))?".r
  private val Absolute = "(/|[A-Za-z][A-Za-z0-9+.-]*:).*".r
}
