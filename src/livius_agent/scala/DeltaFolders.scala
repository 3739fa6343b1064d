package livius

import java.io.{File, IOException}
import java.lang.reflect.{InvocationHandler, InvocationTargetException, Method, Proxy}
import java.nio.charset.StandardCharsets.UTF_8
import java.nio.file.{Files, Path}
import java.util.{List => JavaList}
import java.nio.file.StandardCopyOption.ATOMIC_MOVE

import org.apache.hadoop.fs.{Path => Location}
import org.apache.hadoop.hive.metastore.{IHMSHandler, TableType}
import org.apache.hadoop.hive.metastore.api.{Database, FieldSchema, SerDeInfo, StorageDescriptor, Table}

import scala.collection.mutable
import scala.jdk.CollectionConverters._
import scala.util.Using
import scala.util.control.NonFatal

/** Makes tables of the Delta folders that appear below a database's folder, as a lakehouse does.
  *
  * A folder is registered once. If its table is dropped, the folder stays (its table was an external one) and stays unregistered, until
  * the folder itself, or its log, is replaced by another. What was seen is remembered in a file: one `inode<TAB>folder` a line.
  *
  * In a lakehouse with schemas, a folder that appears with Delta folders in it becomes a schema.
  *
  * @param handler the metastore's own, called in process
  * @param memory  the file
  * @param schemas the prefixes of lakehouses that have schemas, and where these have their folders
  */
final class DeltaFolders(handler: IHMSHandler, memory: Path, schemas: () => Seq[(String, Path)]) {
  import DeltaFolders._

  private var known: Map[File, String] =
    if (!Files.exists(memory)) Map.empty
    else Files.readAllLines(memory).asScala.map(_.split("\t", 2)).collect { case Array(log, at) => new File(at) -> log }.toMap
  private var waiting  = Set.empty[File]
  private val reported = mutable.Set.empty[String]

  /** Looks into every database once. It never throws: what is wrong with a folder is that folder's problem. */
  def look(): Unit = synchronized(attempt("the metastore") {
    for ((prefix, tables) <- schemas()) attempt(prefix)(makeSchemas(prefix, tables))
    val databases = handler.get_all_databases.asScala.toSeq.map(name => attempt(name)(lookInto(name)))
    val seen      = databases.flatten.flatten.toMap
    waiting = seen.collect { case (folder, log) if !known.get(folder).contains(log) => folder }.toSet
    // What is gone may come back as something new. But what could not be read is not gone.
    if (databases.forall(_.nonEmpty)) remember(known.filter { case (folder, _) => seen.contains(folder) })
  })

  /** The handler for others: a database that they make has the Delta folders that lie there as its tables from the start.
    *
    * They are managed tables, as if they had been made by name. Nothing is waited for: no CREATE TABLE can be under way there yet.
    */
  def served: IHMSHandler = Proxy.newProxyInstance(getClass.getClassLoader, Array(classOf[IHMSHandler]), new InvocationHandler {
    def invoke(proxy: Object, method: Method, arguments: Array[AnyRef]): AnyRef = {
      val answer = try method.invoke(handler, Option(arguments).toSeq.flatten: _*) catch { case failure: InvocationTargetException => throw failure.getCause }
      if (method.getName == "create_database") arguments.foreach { case made: Database => adopt(made.getName); case _ => }
      answer match {
        case names: JavaList[_] if names.contains(WarmUp) && arguments.headOption.exists(_.toString.endsWith("default")) =>
          names.asScala.filter(_ != WarmUp).asJava
        case _ => answer
      }
    }
  }).asInstanceOf[IHMSHandler]

  private def makeSchemas(prefix: String, tables: Path): Unit = {
    val present = handler.get_all_databases.asScala.toSet
    for (folder <- Option(tables.toFile.listFiles).toSeq.flatten; name = Schemas.database(prefix, tableName(folder)))
      if (Schemas.Name.matches(tableName(folder)) && !present(name) && Option(folder.listFiles).toSeq.flatten.exists(one => isSettled(new File(one, "_delta_log")))) {
        handler.create_database(new Database(name, null, new Location("file", null, folder.getPath).toString, java.util.Map.of()))
        adopt(name)
      }
  }

  private def adopt(database: String): Unit = synchronized(attempt(database) {
    for ((root, folders) <- foldersOf(database); (folder, log) <- folders if commits(new File(folder, "_delta_log")).nonEmpty) attempt(folder.getPath) {
      handler.create_table(managed(table(database, tableName(folder), new Location(root, folder.getName).toString)))
      remember(known + (folder -> log))
    }
  })

  /** Returns the Delta folders of a database, with the identity of their logs. */
  private def lookInto(database: String): Map[File, String] = foldersOf(database).fold(Map.empty[File, String]) { case (root, folders) =>
    val tables = handler.get_all_tables(database).asScala.toSet
    for ((folder, log) <- folders) attempt(folder.getPath) {
      val name = tableName(folder)
      if (tables(name)) remember(known + (folder -> log))
      else if (!known.get(folder).contains(log) && waiting(folder) && isSettled(new File(folder, "_delta_log"))) {
        val location = new Location(root, folder.getName).toString
        // A table of another name may be there.
        if (!locations(database, tables).contains(location)) handler.create_table(table(database, name, location))
        remember(known + (folder -> log))
      }
    }
    folders
  }

  /** Returns where a database lies and the Delta folders there, with the identity of their logs; None where it is not on this machine. */
  private def foldersOf(database: String): Option[(Location, Map[File, String])] = {
    val root = new Location(handler.get_database(database).getLocationUri)
    Option.when(root.toUri.getScheme == "file") {
      root -> Option(new File(root.toUri.getPath).listFiles).toSeq.flatten
        .filter(folder => Name.matches(tableName(folder)))
        .flatMap(folder => identity(new File(folder, "_delta_log")).map(folder -> _)).toMap
    }
  }

  private def locations(database: String, tables: Set[String]): Set[String] =
    if (tables.isEmpty) Set.empty
    else handler.get_table_objects_by_name(database, tables.toList.asJava).asScala
      .flatMap(table => Option(table.getSd)).flatMap(sd => Option(sd.getSerdeInfo.getParameters.get("path"))).toSet

  private def remember(now: Map[File, String]): Unit = if (now != known) {
    val partial = memory.resolveSibling(s"${memory.getFileName}.partial")
    Files.write(partial, now.map { case (folder, log) => s"$log\t$folder" }.toSeq.sorted.asJava)
    Files.move(partial, memory, ATOMIC_MOVE)
    known = now
  }

  /** Each complaint is made once, not every five seconds. */
  private def attempt[A](what: String)(body: => A): Option[A] =
    try Some(body)
    catch {
      case NonFatal(failure) =>
        val complaint = s"livius: cannot register $what: $failure"
        if (reported.size < 1000 && reported.add(complaint)) System.err.println(complaint)
        None
    }
}

object DeltaFolders {

  /** The table that drivers of the starter pool warm up with; nobody else needs to see it. */
  private val WarmUp = "livius_warm_up"
  private val Name   = "[a-z0-9_]+".r
  private val Commit = """\d{20}\.(json|checkpoint.*)""".r

  /** Delta commits before Spark registers, and on a busy machine long before. So what a log begins with tells how long it is left alone:
    * a CREATE TABLE that is under way would fail if its table were there already.
    */
  private val SettledAfterMillis = 10000
  private val CreatedAfterMillis = 120000
  private val Creation           = """"operation"\s*:\s*"(?:CREATE|REPLACE|CLONE)""".r.unanchored
  private val Moment             = """"timestamp"\s*:\s*(\d{1,15})""".r.unanchored
  private val HeadBytes          = 64 * 1024

  private def tableName(folder: File) = folder.getName.toLowerCase(java.util.Locale.ROOT)

  private def identity(log: File): Option[String] =
    try if (log.isDirectory) Some(Files.getAttribute(log.toPath, "unix:ino").toString) else None
    catch { case _: IOException => None }

  private def commits(log: File): Seq[File] = Option(log.listFiles).toSeq.flatten.filter(file => Commit.matches(file.getName))

  private def isSettled(log: File): Boolean = {
    val now = System.currentTimeMillis
    commits(log).minByOption(_.getName).exists { first =>
      first.lastModified < now - SettledAfterMillis && createdAt(first).forall(_ < now - CreatedAfterMillis)
    }
  }

  /** Returns when a CREATE TABLE wrote this commit, if one did: by its own words, as a copied file is younger. */
  private def createdAt(commit: File): Option[Long] = {
    val head = Using.resource(Files.newInputStream(commit.toPath))(in => new String(in.readNBytes(HeadBytes), UTF_8))
    Some(head).filter(Creation.matches).collect { case Moment(millis) => millis.toLong }
  }

  private def managed(table: Table): Table = {
    table.setTableType(TableType.MANAGED_TABLE.name)
    table.getParameters.remove("EXTERNAL")
    table
  }

  /** An external table as Spark stores one that Hive itself cannot read; columns are in Delta's log only. */
  private def table(database: String, name: String, location: String): Table = {
    val storage = new StorageDescriptor
    storage.setCols(List(new FieldSchema("col", "array<string>", "from deserializer")).asJava)
    storage.setLocation(location)
    storage.setInputFormat("org.apache.hadoop.mapred.SequenceFileInputFormat")
    storage.setOutputFormat("org.apache.hadoop.hive.ql.io.HiveSequenceFileOutputFormat")
    storage.setNumBuckets(-1)
    storage.setSerdeInfo(new SerDeInfo(
      null,
      "org.apache.hadoop.hive.serde2.lazy.LazySimpleSerDe",
      mutable.Map("serialization.format" -> "1", "path" -> location).asJava
    ))
    storage.setBucketCols(java.util.List.of())
    storage.setSortCols(java.util.List.of())
    storage.setParameters(new java.util.HashMap)

    val table = new Table
    table.setDbName(database)
    table.setTableName(name)
    table.setOwner(System.getProperty("user.name"))
    table.setCreateTime((System.currentTimeMillis / 1000).toInt)
    table.setSd(storage)
    table.setPartitionKeys(java.util.List.of())
    table.setTableType(TableType.EXTERNAL_TABLE.name)
    table.setParameters(mutable.Map(
      "EXTERNAL"                    -> "TRUE",
      "spark.sql.sources.provider"  -> "delta",
      "spark.sql.sources.schema"    -> """{"type":"struct","fields":[]}""",
      "spark.sql.partitionProvider" -> "catalog",
      "spark.sql.create.version"    -> org.apache.spark.SPARK_VERSION
    ).asJava)
    table
  }
}
