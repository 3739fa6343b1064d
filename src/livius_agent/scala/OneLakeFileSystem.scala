package livius

import java.io.FileNotFoundException
import java.net.URI
import java.nio.file.{Files, NoSuchFileException, Path => LocalPath}
import java.nio.file.StandardCopyOption.ATOMIC_MOVE
import java.nio.file.attribute.BasicFileAttributes
import java.util.EnumSet

import org.apache.hadoop.conf.Configuration
import org.apache.hadoop.fs._
import org.apache.hadoop.fs.permission.FsPermission
import org.apache.hadoop.security.AccessControlException
import org.apache.hadoop.util.Progressable

import scala.jdk.CollectionConverters._
import scala.util.Using

/** `abfss://<workspace>@onelake…/<lakehouse>.Lakehouse/Files/…` as folders of this machine.
  *
  * As OneLake does, it leaves a lakehouse and its two folders alone: files are made, renamed and deleted below these. No method asks for
  * owners or permissions, which Hadoop would start a process for, per file.
  */
class OneLakeFileSystem extends FileSystem {
  private val raw          = new MaskedFileSystem
  private var uri: URI     = _
  private var lake: OneLake = _
  private var authority    = ""
  private var working      = new Path("/")

  override def initialize(name: URI, conf: Configuration): Unit = {
    authority = OneLake.authorityOf(name)
    uri = URI.create(s"${name.getScheme}://${name.getRawAuthority}")
    lake = OneLake.of(conf)
    lake.lakehouses(authority) // an unknown one is told of at once
    super.initialize(name, conf)
    setConf(conf)
    raw.initialize(URI.create("file:///"), conf)
    working = new Path(uri.getScheme, uri.getAuthority, "/")
  }

  override def getUri: URI                            = uri
  override def getScheme: String                      = if (uri == null) "abfss" else uri.getScheme
  override def getWorkingDirectory: Path              = working
  override def setWorkingDirectory(path: Path): Unit = working = whole(path)
  override def getDefaultBlockSize: Long              = raw.getDefaultBlockSize(new Path("/"))

  private def whole(path: Path): Path = {
    checkPath(path)
    path.makeQualified(uri, working)
  }

  /** The file that a path means, after all checks. */
  def local(path: Path): LocalPath = lake.file(authority, whole(path).toUri.getPath)

  private def steps(path: Path) = OneLake.stepsOf(whole(path).toUri.getPath)

  /** The file behind a path below Files or Tables, for changing it. */
  private def changing(path: Path): LocalPath = steps(path) match {
    case Seq(_, area, _, _*) if OneLake.Areas.contains(area) => local(path)
    case _ => throw new AccessControlException(s"$path can't be changed: a lakehouse has files below Files and Tables only.")
  }

  private def plain(file: LocalPath) = new Path("file", null, file.toString)

  override def open(path: Path, bufferSize: Int): FSDataInputStream = {
    val file = local(path)
    if (Files.isDirectory(file)) throw new FileNotFoundException(s"$path is a folder")
    raw.open(plain(file), bufferSize)
  }

  override def create(
      path: Path, permission: FsPermission, overwrite: Boolean, bufferSize: Int, replication: Short, blockSize: Long, progress: Progressable
  ): FSDataOutputStream = {
    val file = changing(path)
    if (Files.isDirectory(file)) throw new FileAlreadyExistsException(s"$path is a folder")
    Files.createDirectories(file.getParent)
    // Of two at once, one makes it.
    if (!overwrite) made(path)(Files.createFile(file))
    raw.create(plain(file), true, bufferSize, replication, blockSize, progress)
  }

  override def createNonRecursive(
      path: Path, permission: FsPermission, flags: EnumSet[CreateFlag], bufferSize: Int, replication: Short, blockSize: Long,
      progress: Progressable
  ): FSDataOutputStream = {
    if (!Files.isDirectory(changing(path).getParent)) throw new FileNotFoundException(s"There is no folder for $path")
    create(path, permission, flags.contains(CreateFlag.OVERWRITE), bufferSize, replication, blockSize, progress)
  }

  private def made[A](path: Path)(body: => A): A =
    try body
    catch { case _: java.nio.file.FileAlreadyExistsException => throw new FileAlreadyExistsException(s"$path exists already") }

  override def append(path: Path, bufferSize: Int, progress: Progressable): FSDataOutputStream =
    raw.append(plain(changing(path)), bufferSize, progress)

  /** Never replaces a file: of two that rename to one name, one learns that it was too late. */
  override def rename(source: Path, target: Path): Boolean = {
    val from   = changing(source)
    val wanted = local(target)
    val to     = if (Files.isDirectory(wanted)) wanted.resolve(from.getFileName) else changing(target)
    if (!Files.exists(from) || !Files.isDirectory(to.getParent) || to.startsWith(from)) false
    else
      try { moveNew(from, to); true }
      catch { case _: java.nio.file.FileAlreadyExistsException => false }
  }

  /** What FileContext calls. */
  override def rename(source: Path, target: Path, options: Options.Rename*): Unit = {
    val (from, to) = (changing(source), changing(target))
    if (!Files.exists(from)) throw new FileNotFoundException(s"There is no $source")
    if (!Files.isDirectory(to.getParent)) throw new FileNotFoundException(s"There is no folder for $target")
    if (options.contains(Options.Rename.OVERWRITE)) Files.move(from, to, ATOMIC_MOVE) else made(target)(moveNew(from, to))
  }

  private def moveNew(from: LocalPath, to: LocalPath): Unit =
    if (Files.isDirectory(from)) {
      if (Files.exists(to)) throw new java.nio.file.FileAlreadyExistsException(to.toString)
      Files.move(from, to, ATOMIC_MOVE)
    } else {
      Files.createLink(to, from)
      Files.delete(from)
    }

  override def delete(path: Path, recursive: Boolean): Boolean = raw.delete(plain(changing(path)), recursive)

  override def mkdirs(path: Path, permission: FsPermission): Boolean = {
    val file = local(path)
    if (!Files.isDirectory(file)) made(path)(Files.createDirectories(changing(path)))
    true
  }

  override def listStatus(path: Path): Array[FileStatus] =
    if (steps(path).isEmpty)
      lake.lakehouses(authority).map(place => getFileStatus(new Path(working, s"${place.lakehouseName}.Lakehouse"))).toArray
    else {
      val own = getFileStatus(path)
      if (own.isFile) Array(own)
      else Using.resource(Files.newDirectoryStream(local(path))) { files =>
        // A file may go away, or be a link to nothing.
        files.asScala.flatMap(file => look(file, new Path(own.getPath, new Path(null, null, file.getFileName.toString)))).toArray
      }.sortBy(_.getPath.getName)
    }

  override def getFileStatus(path: Path): FileStatus =
    if (steps(path).isEmpty) new FileStatus(0, true, 1, getDefaultBlockSize, 0, whole(path))
    else look(local(path), whole(path)).getOrElse(throw new FileNotFoundException(s"There is no $path"))

  private def look(file: LocalPath, path: Path): Option[FileStatus] =
    try {
      val attributes = Files.readAttributes(file, classOf[BasicFileAttributes])
      val length     = if (attributes.isDirectory) 0 else attributes.size
      Some(new FileStatus(length, attributes.isDirectory, 1, getDefaultBlockSize, attributes.lastModifiedTime.toMillis, path))
    } catch {
      case _: NoSuchFileException                                                          => None
      case failure: java.nio.file.FileSystemException if failure.getReason == "Not a directory" => None
    }
}

/** The same for programs that use Hadoop's other interface, as streaming checkpoints do. */
abstract class OneLakeContext(uri: URI, conf: Configuration, scheme: String)
    extends DelegateToFileSystem(OneLakeContext.quoted(uri), OneLakeContext.files(uri), conf, scheme, false) {
  override def getUriDefaultPort: Int = -1
}

object OneLakeContext {
  // It takes the authority apart and puts it together without quoting it again: a blank in a workspace's name would be an error.
  private def quoted(uri: URI) = URI.create(s"${uri.getScheme}://${uri.getRawAuthority.replace("%", "%25")}/")

  private def files(uri: URI) = new OneLakeFileSystem {
    override def initialize(quoted: URI, conf: Configuration): Unit = super.initialize(uri, conf)
  }
}

final class OneLakeAbfs(uri: URI, conf: Configuration) extends OneLakeContext(uri, conf, "abfs")

final class OneLakeAbfss(uri: URI, conf: Configuration) extends OneLakeContext(uri, conf, "abfss")
