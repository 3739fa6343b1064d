package livius

import java.net.{InetAddress, InetSocketAddress, Socket}
import java.nio.ByteOrder
import java.nio.file.{Files, Path => LocalPath, Paths}
import java.security.PrivilegedAction

import org.apache.hadoop.conf.Configuration
import org.apache.hadoop.hive.metastore.IHMSHandler
import org.apache.hadoop.security.UserGroupInformation
import org.apache.thrift.TException
import org.apache.thrift.protocol.TProtocol
import org.apache.thrift.transport.TSocket

import scala.collection.concurrent.TrieMap
import scala.jdk.CollectionConverters._
import scala.util.{Try, Using}

/** Whoever calls the metastore through a socket, as the kernel names it.
  *
  * No uid has more rights than the file of `Rights` gives it, root's neither: some kernels say 0 of a socket that its owner has closed.
  */
final case class Caller(uid: Option[Int])

object Caller {
  private val Name = """caller-(\d*)""".r

  /** The one for whom this thread works; None in the metastore's own threads. Hadoop's user is the carrier, as Hive hands it to its pools. */
  def current: Option[Caller] = UserGroupInformation.getCurrentUser.getUserName match {
    case Name(uid) => Some(Caller(uid.toIntOption))
    case _         => None
  }

  // One for each uid: Hadoop keeps a file system for each that it ever saw.
  private val users = TrieMap.empty[Option[Int], UserGroupInformation]

  private[livius] def user(uid: Option[Int]): UserGroupInformation =
    users.getOrElseUpdate(uid, UserGroupInformation.createRemoteUser(s"caller-${uid.mkString}"))
}

/** The databases that each uid may use, with the folders of their lakehouses: `uid, database, workspace, lakehouse`, one a line. A fifth
  * field says that the lakehouse has schemas; `database` then is the prefix of all their databases.
  */
final class Rights private (file: LocalPath, root: LocalPath) {
  import Rights._

  private val read = new Replaced(file)(_.collect {
    case Array(uid, database, workspace, lakehouse, kind @ _*) if kind.isEmpty || kind == Seq(OneLake.WithSchemas) =>
      (uid.toInt, database, Lakehouse(root.resolve(workspace).resolve(lakehouse), kind.nonEmpty))
  }.groupMap(_._1)(row => row._2 -> row._3).map { case (uid, lakehouses) => uid -> Own(lakehouses.toMap) })

  /** Without the file nobody may do anything. */
  def of(caller: Caller): Own = caller.uid.filter(_ => Files.exists(file)).flatMap(read.now.get).getOrElse(Own(Map.empty))
}

object Rights {
  final case class Lakehouse(folder: LocalPath, hasSchemas: Boolean)

  /** A caller's lakehouses, by their database or the prefix of their schemas. */
  final case class Own(lakehouses: Map[String, Lakehouse]) {
    def folders: Set[LocalPath] = lakehouses.values.map(_.folder).toSet

    /** Where the tables of a database are; None if it is not the caller's. */
    def tables(database: String): Option[LocalPath] = {
      val (prefix, schema) = Schemas.parts(database)
      lakehouses.get(prefix).filter(_.hasSchemas == schema.nonEmpty)
        .map(found => schema.foldLeft(found.folder.resolve(OneLake.Tables))(_.resolve(_)))
    }
  }

  val FileKey = "fs.livius.callers"

  def of(conf: Configuration): Rights =
    new Rights(Paths.get(conf.get(FileKey)), Paths.get(conf.get(OneLake.RootKey)).normalize)
}

/** A connection, and whose it is. */
final class OwnedSocket(socket: Socket, owner: Option[Int]) extends TSocket(socket) {
  private val user = Caller.user(owner)

  def work[A](body: => A): A = user.doAs(new PrivilegedAction[Try[A]] { def run(): Try[A] = Try(body) }).get
}

/** A server's socket that asks the kernel whose each connection is, once.
  *
  * It asks in the thread that accepts, so no other connection with the same ends can have been accepted meanwhile. The answer counts if
  * our end is still connected afterwards: then the other end was still its owner's when the kernel was asked.
  */
final class OwnedSockets(address: InetSocketAddress) extends Sockets(address) {
  import OwnedSockets._

  override protected def accepted(connection: TSocket): TSocket = {
    val socket = connection.getSocket
    new OwnedSocket(socket, Iterator.continually(owner(socket)).take(Looks).collectFirst { case Some(uid) => uid })
  }
}

object OwnedSockets {
  private val Looks     = 3 // a row may be passed over while others come and go
  private val Tables    = Seq("/proc/net/tcp6", "/proc/net/tcp").map(Paths.get(_)) // Java connects by the newer protocol
  private val Connected = "01"
  private val Mapped    = "0000000000000000FFFF0000"

  private final case class Row(uid: Int, inode: Long)

  private def owner(socket: Socket): Option[Int] = Try {
    val ours   = ends(socket.getLocalAddress, socket.getLocalPort)
    val theirs = ends(socket.getInetAddress, socket.getPort)
    for (other <- row(theirs, ours); own <- row(ours, theirs) if own.inode != 0) yield other.uid
  }.toOption.flatten

  /** An address as the tables write it: four bytes in the machine's order, alone or mapped into the other protocol's. */
  private def ends(address: InetAddress, port: Int): Set[String] = {
    val bytes = if (ByteOrder.nativeOrder == ByteOrder.LITTLE_ENDIAN) address.getAddress.reverse else address.getAddress
    val plain = bytes.map(byte => f"$byte%02X").mkString + f":$port%04X"
    Set(plain, Mapped + plain)
  }

  private def row(local: Set[String], remote: Set[String]): Option[Row] =
    Tables.filter(Files.exists(_)).iterator.flatMap(table => Using.resource(Files.lines(table))(_.iterator.asScala.map(_.trim.split("\\s+")).collectFirst {
      case fields if fields.length > 9 && local(fields(1)) && remote(fields(2)) && fields(3) == Connected => Row(fields(7).toInt, fields(9).toLong)
    })).nextOption()
}

/** Works on each call as the one whose connection it came by. */
final class CallersProcessor(handler: IHMSHandler) extends Processing(handler) {
  override protected def around[A](input: TProtocol)(call: => A): A = input.getTransport match {
    case socket: OwnedSocket => socket.work(call)
    case _                   => throw new TException("A connection whose owner was not asked for.")
  }
}
