package livius

import java.net.{URI, URLDecoder}
import java.nio.charset.StandardCharsets.UTF_8
import java.nio.file.{Files, LinkOption, NoSuchFileException, Path, Paths}
import java.util.Locale

import org.apache.hadoop.conf.Configuration
import org.apache.hadoop.security.AccessControlException

import scala.util.Try

/** Where the lakehouses of OneLake URLs lie on this machine.
  *
  * A file names those that the driver's principal may use; the gateway keeps it true, so it is read again when it changed. What it
  * does not name does not exist here.
  */
final class OneLake private (root: Path, names: Path) {
  import OneLake._

  private val read = new Replaced(names)(rows => {
    val databases = rows.collect { case Array(lakehouse, database, kind) => lakehouse -> (database, kind) }.toMap.withDefaultValue(("", ""))
    rows.collect { case Array(workspace, workspaceName, lakehouse, lakehouseName) =>
      val (database, kind) = databases(lakehouse)
      Place(workspace, workspaceName, lakehouse, lakehouseName, database, kind == WithSchemas)
    }
  })

  /** All lakehouses that may be used. */
  def places: Seq[Place] = read.now

  /** The folder of a lakehouse's tables. */
  def tables(place: Place): Path = root.resolve(place.workspace).resolve(place.lakehouse).resolve(Tables)

  /** The lakehouses of the workspace that the URL's authority names, by name or id. */
  def lakehouses(authority: String): Seq[Place] = {
    val wanted = authority match {
      case Authority(workspace) => workspace
      case other                => throw new AccessControlException(
          s"$other is not OneLake of this installation. The only storage behind abfss:// here is " +
            s"abfss://<workspace>@$Host/<lakehouse>.Lakehouse/Files/… and …/Tables/…"
        )
    }
    val known = read.now
    val found = known.filter(_.isWorkspace(wanted))
    if (found.isEmpty) throw new AccessControlException(
      s"There is no workspace $wanted that this session may use. It may use: ${listed(known.map(_.workspaceName))}."
    )
    if (found.map(_.workspace).distinct.size > 1)
      throw new AccessControlException(s"Several workspaces are named $wanted. Write the workspace's id in place of its name.")
    found
  }

  /** The file that a path below a workspace means. Everything but a place inside of one of its lakehouses is refused. */
  def file(authority: String, path: String): Path = {
    val steps = stepsOf(path)
    val known = lakehouses(authority)
    val name  = steps.headOption.getOrElse(throw new AccessControlException("The URL names no lakehouse."))
    val place = lakehouse(known, name)
    val base  = root.resolve(place.workspace).resolve(place.lakehouse)
    Areas.foreach(area => Files.createDirectories(base.resolve(area)))
    inside(base, steps.tail.foldLeft(base)(_.resolve(_)), path)
  }

  private def lakehouse(known: Seq[Place], name: String): Place = {
    val plain = if (name.toLowerCase(Locale.ROOT).endsWith(Suffix)) name.dropRight(Suffix.length) else name
    known.filter(_.isLakehouse(plain)) match {
      case Seq(one) => one
      case Seq()    => throw new AccessControlException(
          s"There is no lakehouse $name that this session may use in this workspace. It may use: ${listed(known.map(_.lakehouseName))}."
        )
      case _ => throw new AccessControlException(s"Several lakehouses are named $plain. Write the lakehouse's id in place of its name.")
    }
  }

  /** Refuses what links lead out of the lakehouse, also where the last steps do not exist yet. */
  private def inside(base: Path, target: Path, path: String): Path = {
    val home    = root.toRealPath().resolve(root.relativize(base))
    val nearest = Iterator.iterate(target)(_.getParent).find(Files.exists(_, LinkOption.NOFOLLOW_LINKS)).get
    val isHere  =
      try nearest.toRealPath().startsWith(home)
      catch { case _: NoSuchFileException => false } // a link to nothing: what is written there would appear elsewhere
    if (!isHere) throw new AccessControlException(s"$path leads out of its lakehouse.")
    target
  }
}

object OneLake {
  val Host   = "onelake.dfs.fabric.microsoft.com"
  val Tables = "Tables"
  val Areas  = Seq("Files", Tables)

  /** The keys of the Hadoop conf that say where all of it is. */
  val RootKey  = "fs.livius.onelake.root"
  val NamesKey = "fs.livius.onelake.names"

  /** A lakehouse, with its database's name in the metastore. */
  final case class Place(workspace: String, workspaceName: String, lakehouse: String, lakehouseName: String, database: String, hasSchemas: Boolean) {
    def isWorkspace(wanted: String): Boolean = is(workspace, workspaceName, wanted)
    def isLakehouse(wanted: String): Boolean = is(lakehouse, lakehouseName, wanted)

    /** The names to show; the file leaves out those that can't be in a URL. */
    def shownWorkspace: String = if (workspaceName.isEmpty) workspace else workspaceName
    def shownLakehouse: String = if (lakehouseName.isEmpty) lakehouse else lakehouseName
  }

  /** What files of the gateway's say of a lakehouse that has schemas. */
  val WithSchemas = "schemas"

  private val Suffix      = ".lakehouse"
  private val Authority   = s"(?i)([^@]+)@(?:[a-z0-9-]+-)?${Host.replace(".", "\\.")}".r
  private val Encodings   = 5
  private var only: Option[(String, String, OneLake)] = None

  def of(conf: Configuration): OneLake = synchronized {
    val (root, names) = (conf.get(RootKey), conf.get(NamesKey))
    if (root == null || names == null) throw new AccessControlException("OneLake URLs are not available in this process.")
    only.collect { case (`root`, `names`, lake) => lake }.getOrElse {
      val lake = new OneLake(Paths.get(root), Paths.get(names))
      only = Some((root, names, lake))
      lake
    }
  }

  /** Hadoop takes text literally, so who writes %20 for a blank means it twice. */
  def authorityOf(uri: URI): String = decoded(Option(uri.getAuthority).getOrElse(""))

  private def decoded(text: String) = Try(URLDecoder.decode(text.replace("+", "%2B"), UTF_8)).getOrElse(text)

  /** The steps of a path. Steps back are refused, in whichever encoding: somebody after us may decode them. */
  def stepsOf(path: String): Seq[String] = {
    val readings = Iterator.iterate(path)(decoded).take(Encodings)
    if (readings.exists(one => one.contains('\u0000') || one.split("[/\\\\]").exists(step => step == ".." || step == ".")))
      throw new AccessControlException(s"${path.replace('\u0000', '?')} contains . or .. or a NUL as a step. Write the path without it.")
    path.split('/').toSeq.filter(_.nonEmpty)
  }

  private def is(id: String, name: String, wanted: String) = id.equalsIgnoreCase(wanted) || (name.nonEmpty && name.equalsIgnoreCase(wanted))

  private def listed(names: Seq[String]) = {
    val (some, more) = names.distinct.sorted.splitAt(20)
    if (some.isEmpty) "none" else some.mkString(", ") + (if (more.isEmpty) "" else s" and ${more.size} more")
  }
}
