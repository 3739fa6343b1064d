package livius

import java.io.{FileNotFoundException, IOException}
import java.net.URI
import java.nio.file.{FileAlreadyExistsException, Files, LinkOption, NoSuchFileException, NotDirectoryException, Path => LocalPath, Paths, SecureDirectoryStream}
import java.nio.file.attribute.{BasicFileAttributeView, BasicFileAttributes}
import java.util.UUID

import org.apache.hadoop.conf.Configuration
import org.apache.hadoop.fs.{FSDataInputStream, FSDataOutputStream, FileStatus, Path, RawLocalFileSystem}
import org.apache.hadoop.fs.permission.FsPermission
import org.apache.hadoop.security.AccessControlException
import org.apache.hadoop.util.Progressable

import scala.jdk.CollectionConverters._
import scala.util.Using

/** What the metastore, which may write to every workspace's folders, does with them for its callers: only what they could do themselves.
  *
  * A caller's paths lie in lakehouses of its own, and no link is followed below Files and Tables, which nobody but root can replace: each
  * step is opened relative to the one before, so that folders may be swapped for links at any moment.
  */
final class MetastoreFiles extends RawLocalFileSystem {
  import MetastoreFiles._

  private var rights: Rights = _

  override def initialize(uri: URI, conf: Configuration): Unit = {
    super.initialize(uri, conf)
    rights = Rights.of(conf)
  }

  override def getFileStatus(path: Path): FileStatus = Caller.current.fold(super.getFileStatus(path)) { caller =>
    val wanted = place(caller, path)
    try {
      if (wanted.steps.isEmpty) status(path, Files.readAttributes(wanted.area, classOf[BasicFileAttributes], LinkOption.NOFOLLOW_LINKS))
      else wanted.reach((folder, name) => status(path, attributes(folder, name)))
    } catch { case failure: IOException => throw new FileNotFoundException(s"There is no $path: $failure") }
  }

  override def listStatus(path: Path): Array[FileStatus] = {
    getFileStatus(path)
    super.listStatus(path)
  }

  override def mkdirs(path: Path): Boolean = Caller.current.fold(super.mkdirs(path)) { caller =>
    val wanted = place(caller, path)
    for (length <- 1 to wanted.steps.size) wanted.copy(steps = wanted.steps.take(length)).reach { (folder, name) =>
      // Java makes no folder relative to another: it is made in the area, which stays where it is, and moved from there.
      if (!isThere(folder, name)) {
        val made = Paths.get(s".livius-${UUID.randomUUID}")
        Files.createDirectory(wanted.area.resolve(made))
        try opened(wanted.area)(_.move(made, folder, name))
        finally Files.deleteIfExists(wanted.area.resolve(made))
      }
    }
    true
  }

  override def mkdirs(path: Path, permission: FsPermission): Boolean = Caller.current.fold(super.mkdirs(path, permission))(_ => mkdirs(path))

  override def rename(source: Path, target: Path): Boolean = Caller.current.fold(super.rename(source, target)) { caller =>
    place(caller, source).reach((from, name) => place(caller, target).reach { (to, wanted) =>
      if (isThere(to, wanted)) throw new FileAlreadyExistsException(target.toString)
      from.move(name, to, wanted)
    })
    true
  }

  override def delete(path: Path, recursive: Boolean): Boolean = Caller.current.fold(super.delete(path, recursive)) { caller =>
    try { place(caller, path).reach((folder, name) => remove(folder, name, if (recursive) Deepest else 1)); true }
    catch { case _: NoSuchFileException => false }
  }

  // The metastore needs none of these for a caller.
  override def open(path: Path, size: Int): FSDataInputStream                                = { none(path); super.open(path, size) }
  override def append(path: Path, size: Int, progress: Progressable): FSDataOutputStream     = { none(path); super.append(path, size, progress) }
  override def setOwner(path: Path, user: String, group: String): Unit                       = { none(path); super.setOwner(path, user, group) }
  override def setPermission(path: Path, permission: FsPermission): Unit                     = { none(path); super.setPermission(path, permission) }
  override def createSymlink(target: Path, link: Path, createParent: Boolean): Unit          = { none(link); super.createSymlink(target, link, createParent) }
  override protected def createOutputStreamWithMode(path: Path, append: Boolean, permission: FsPermission): java.io.OutputStream = {
    none(path)
    super.createOutputStreamWithMode(path, append, permission)
  }

  private def none(path: Path): Unit = if (Caller.current.nonEmpty) throw new AccessControlException(s"The metastore opens no files for others: $path")

  private def place(caller: Caller, path: Path): Place = {
    val local = Paths.get(makeQualified(path).toUri.getPath).normalize
    val areas = rights.of(caller).folders.flatMap(one => OneLake.Areas.map(one.resolve(_)))
    areas.find(local.startsWith(_)).map(area => Place(area, local.iterator.asScala.drop(area.getNameCount).toSeq))
      .getOrElse(throw new AccessControlException(s"$path is not in a lakehouse of the caller's."))
  }

  private def status(path: Path, found: BasicFileAttributes) =
    new FileStatus(found.size, found.isDirectory, 1, getDefaultBlockSize(path), found.lastModifiedTime.toMillis, makeQualified(path))
}

object MetastoreFiles {
  private type Folder = SecureDirectoryStream[LocalPath]

  /** How deep folders are deleted: each level holds a descriptor. */
  private val Deepest = 50

  /** What a path means: steps below the Files or Tables of a lakehouse. */
  private final case class Place(area: LocalPath, steps: Seq[LocalPath]) {

    /** Does something with the last step, in the folder that it is in. */
    def reach[A](work: (Folder, LocalPath) => A): A =
      if (steps.isEmpty) throw new AccessControlException(s"$area stays as it is.")
      else opened(area)(into(_, steps)(work))

    private def into[A](folder: Folder, steps: Seq[LocalPath])(work: (Folder, LocalPath) => A): A =
      if (steps.size == 1) work(folder, steps.head)
      else Using.resource(folder.newDirectoryStream(steps.head, LinkOption.NOFOLLOW_LINKS))(into(_, steps.tail)(work))
  }

  private def opened[A](folder: LocalPath)(work: Folder => A): A =
    Using.resource(Files.newDirectoryStream(folder))(stream => work(stream.asInstanceOf[Folder]))

  private def attributes(folder: Folder, name: LocalPath) =
    folder.getFileAttributeView(name, classOf[BasicFileAttributeView], LinkOption.NOFOLLOW_LINKS).readAttributes

  private def isThere(folder: Folder, name: LocalPath) =
    try { attributes(folder, name); true }
    catch { case _: NoSuchFileException => false }

  private def remove(folder: Folder, name: LocalPath, depth: Int): Unit =
    if (!attributes(folder, name).isDirectory) folder.deleteFile(name)
    else {
      if (depth > 1) Using.resource(folder.newDirectoryStream(name, LinkOption.NOFOLLOW_LINKS)) { inside =>
        inside.iterator.asScala.foreach(entry => remove(inside, entry.getFileName, depth - 1))
      }
      folder.deleteDirectory(name)
    }
}
