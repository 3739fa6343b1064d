package livius

import java.lang.{Boolean => JavaBoolean}
import java.net.URI
import java.nio.file.{Files, Path => LocalPath, Paths}
import java.nio.file.StandardCopyOption.ATOMIC_MOVE
import java.util.{Iterator => JavaIterator, UUID}

import io.delta.storage.HadoopFileSystemLogStore
import org.apache.hadoop.conf.Configuration
import org.apache.hadoop.fs.{LocalFileSystem, Path, RawLocalFileSystem}
import org.apache.hadoop.fs.permission.FsPermission

/** Local files with the permissions that the process's mask gives them.
  *
  * Hadoop would set them anew, by a process for each file and folder; and can't where the file is another member's of the workspace.
  */
final class MaskedFileSystem extends RawLocalFileSystem {
  override def setPermission(path: Path, permission: FsPermission): Unit = ()
}

/** Hadoop's local files without its checksums beside each.
  *
  * A lakehouse has no such files; and what Python, or a OneLake URL, wrote over a file that has one could not be read any more.
  */
final class PlainFileSystem extends LocalFileSystem(new MaskedFileSystem) {
  override def initialize(name: URI, conf: Configuration): Unit = {
    super.initialize(name, conf)
    setVerifyChecksum(false)
    setWriteChecksum(false)
  }
}

/** Delta's log in local folders, for any number of processes at once.
  *
  * Delta's own looks whether a commit exists, then renames: two processes that look at the same moment both go on, and one commit is
  * lost. A hard link is made by one of them only.
  */
final class LocalLogStore(conf: Configuration) extends HadoopFileSystemLogStore(conf) {

  override def write(path: Path, actions: JavaIterator[String], overwrite: JavaBoolean, conf: Configuration): Unit = {
    val file    = local(path, conf)
    val partial = file.resolveSibling(s".${file.getFileName}.${UUID.randomUUID}.tmp")
    try {
      Files.write(partial, () => actions.asInstanceOf[JavaIterator[CharSequence]])
      if (overwrite) Files.move(partial, file, ATOMIC_MOVE) else Files.createLink(file, partial)
    } finally Files.deleteIfExists(partial)
  }

  private def local(path: Path, conf: Configuration): LocalPath = path.getFileSystem(conf) match {
    case lake: OneLakeFileSystem => lake.local(path)
    case _                       => Paths.get(path.toUri.getPath)
  }

  // The parts of a checkpoint do not come this way; so Delta shall write them aside and rename them.
  override def isPartialWriteVisible(path: Path, conf: Configuration): JavaBoolean = true
}
