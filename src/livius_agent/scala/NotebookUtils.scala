import scala.language.dynamics

/** Fabric's `notebookutils` for Scala code: what can be done here, and a clear word for what can't. */
package object notebookutils {

  /** Says what there is. */
  def help(): Unit = println(
    """fs           files of the lakehouse, of OneLake and of this machine
      |credentials  tokens and secrets
      |env          who runs this session, and where, by Synapse's names
      |runtime      where and for whom this session runs
      |session      ends the session
      |
      |Each has a help() of its own. The other modules that Fabric has are not available in Livius.""".stripMargin
  )
}

/** The old name, where no import is needed. */
package object mssparkutils extends notebookutils.OldName

package notebookutils {

  import livius.{GatewayRequests, Driver}

  final case class FileInfo(path: String, name: String, size: Long, isDir: Boolean, isFile: Boolean, modifyTime: Long)

  class NotebookUtilsException(message: String) extends RuntimeException(message)

  sealed abstract class Module(lines: (String, String)*) {

    /** Says what there is, or more of one method. */
    def help(method: String = ""): Unit = {
      val some = lines.filter { case (signature, _) => method.isEmpty || signature.startsWith(method) }
      if (some.isEmpty) println(s"There is no $method here.")
      some.foreach { case (signature, sentence) => println(s"$signature\n    $sentence") }
    }
  }

  object fs extends Module(
    "ls(path: String): Array[FileInfo]"                                             -> "lists a folder",
    "mkdirs(path: String): Boolean"                                                 -> "makes a folder, and those above it",
    "cp(src: String, dest: String, recurse: Boolean = false): Boolean"              -> "copies a file, or a folder with recurse",
    "fastcp(src: String, dest: String, recurse: Boolean = true): Boolean"           -> "the same as cp here",
    "mv(src: String, dest: String, createPath: Boolean = false, overwrite: Boolean = false): Boolean" -> "moves a file or folder",
    "put(file: String, content: String, overwrite: Boolean = false): Boolean"       -> "writes a text file",
    "head(file: String, maxBytes: Int = 102400): String"                            -> "gives the beginning of a text file",
    "append(file: String, content: String, createFileIfNotExists: Boolean = false): Boolean" -> "adds to a text file",
    "rm(path: String, recurse: Boolean = false): Boolean"                           -> "removes a file, or a folder with recurse",
    "exists(path: String): Boolean"                                                 -> "tells whether there is such a file or folder"
  ) {
    private def files = Driver.running.files

    def ls(path: String): Array[FileInfo]                                                                  = files.ls(path)
    def mkdirs(path: String): Boolean                                                                      = files.mkdirs(path)
    def cp(src: String, dest: String, recurse: Boolean = false): Boolean                                   = files.cp(src, dest, recurse)
    def fastcp(src: String, dest: String, recurse: Boolean = true, extraConfigs: Map[String, Any] = Map()): Boolean = files.cp(src, dest, recurse)
    def mv(src: String, dest: String, createPath: Boolean = false, overwrite: Boolean = false): Boolean    = files.mv(src, dest, createPath, overwrite)
    def put(file: String, content: String, overwrite: Boolean = false): Boolean                            = files.put(file, content, overwrite)
    def head(file: String, maxBytes: Int = 1024 * 100): String                                             = files.head(file, maxBytes)
    def append(file: String, content: String, createFileIfNotExists: Boolean = false): Boolean             = files.append(file, content, createFileIfNotExists)
    def rm(path: String, recurse: Boolean = false): Boolean                                                = files.rm(path, recurse)
    def exists(path: String): Boolean                                                                      = files.exists(path)

    private val NoMount                                                                = "fs.%s: there is no remote storage to mount. The lakehouse is at /lakehouse/default already"
    def mount(source: String, mountPoint: String, extraConfigs: Any = null): Boolean   = Missing(NoMount.format("mount"))
    def unmount(mountPoint: String, extraConfigs: Any = null): Boolean                 = Missing(NoMount.format("unmount"))
    def mounts(extraOptions: Any = null): Array[Any]                                   = Missing(NoMount.format("mounts"))
    def getMountPath(mountPoint: String, scope: String = ""): String                   = Missing(NoMount.format("getMountPath"))
  }

  object credentials extends Module(
    "getToken(audience: String): String"               -> "gives a token for storage, pbi, keyvault, kusto, sql, datalake, or a URL of these",
    "getSecret(akvName: String, secret: String): String" -> "gives a secret of a vault, by the vault's name or URL",
    "isValidToken(token: String): Boolean"             -> "tells whether a token has the form of one and has not expired"
  ) {
    def getToken(audience: String): String                    = GatewayRequests.of("token", "audience" -> audience).get("value").asText
    def getSecret(akvName: String, secret: String): String   = GatewayRequests.of("secret", "vault" -> akvName, "name" -> secret).get("value").asText
    def isValidToken(token: String): Boolean                  = livius.GatewayRequests.isCurrent(token)
    def putSecret(akvName: String, secretName: String, secretValue: String): String =
      Missing("credentials.putSecret: use livius secret set, or the vault itself")
  }

  object runtime extends Module("context: Map[String, Any]" -> "says where and for whom this session runs") {
    def context: Map[String, Any] = GatewayRequests.plain(GatewayRequests.of("context"))
  }

  object env extends Module(
    "getUserName(): String"      -> "gives the name of who created the session",
    "getUserId(): String"        -> "gives the id of who created the session: a user's, or an application's",
    "getJobId(): String"         -> "gives the session's id, which is the id of its Livy job",
    "getWorkspaceName(): String" -> "gives the workspace's name",
    "getPoolName(): String"      -> "gives null: sessions of Livius don't come from a pool",
    "getClusterId(): String"     -> "gives the id of the session's driver"
  ) {
    private def of(name: String): String = runtime.context(name).asInstanceOf[String]

    def getUserName(): String      = of("userName")
    def getUserId(): String        = of("userId")
    def getJobId(): String         = of("activityId")
    def getWorkspaceName(): String = of("currentWorkspaceName")
    def getPoolName(): String      = of("poolName")
    def getClusterId(): String     = of("clusterId")
  }

  object session extends Module("stop(): Unit" -> "ends the session after this statement; nothing behind it runs") {
    def stop(detach: Boolean = true): Unit = {
      GatewayRequests.of("stop")
      throw new livius.Stopped
    }
  }

  private[notebookutils] object Missing {
    def apply(what: String): Nothing = throw new UnsupportedOperationException(s"notebookutils.$what. Livius does not have it.")
  }

  /** A module of Fabric's that is not here: whatever is called in it says so. */
  sealed class Missing(name: String, why: String) extends Dynamic {
    def applyDynamic(method: String)(arguments: Any*): Any                = Missing(s"$name.$method: $why")
    def applyDynamicNamed(method: String)(arguments: (String, Any)*): Any = Missing(s"$name.$method: $why")
    def selectDynamic(method: String): Any                                = Missing(s"$name.$method: $why")
  }

  object notebook        extends Missing("notebook", "only Fabric has notebooks to run; submit their code as statements")
  object lakehouse       extends Missing("lakehouse", "use Fabric's REST for lakehouses, which Livius serves, or livius lakehouse")
  object variableLibrary extends Missing("variableLibrary", "there are no variable libraries")
  object udf             extends Missing("udf", "there are no user data functions")

  /** The old name. */
  object mssparkutils extends OldName

  class OldName {
    val fs: notebookutils.fs.type                           = notebookutils.fs
    val credentials: notebookutils.credentials.type         = notebookutils.credentials
    val env: notebookutils.env.type                         = notebookutils.env
    val runtime: notebookutils.runtime.type                 = notebookutils.runtime
    val session: notebookutils.session.type                 = notebookutils.session
    val notebook: notebookutils.notebook.type               = notebookutils.notebook
    val lakehouse: notebookutils.lakehouse.type             = notebookutils.lakehouse
    val variableLibrary: notebookutils.variableLibrary.type = notebookutils.variableLibrary
    val udf: notebookutils.udf.type                         = notebookutils.udf
    def help(): Unit                                        = notebookutils.help()
  }
}
