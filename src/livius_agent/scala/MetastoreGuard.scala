package livius

import java.lang.reflect.{InvocationHandler, InvocationTargetException, Method, Proxy}
import java.nio.file.{Path => LocalPath, Paths}
import java.util.{Collections, List => JavaList, Map => JavaMap}

import org.apache.hadoop.fs.Path
import org.apache.hadoop.hive.metastore.IHMSHandler
import org.apache.hadoop.hive.metastore.api._

import scala.jdk.CollectionConverters._
import scala.util.Try

/** The metastore as each caller may have it: other people's databases do not exist.
  *
  * It knows the calls that Spark makes; all others are refused to callers. Among these are some that would have the metastore load
  * classes, or run expressions, of the caller's choice.
  */
final class MetastoreGuard private (handler: IHMSHandler, rights: Rights) extends InvocationHandler {
  import MetastoreGuard._

  def invoke(proxy: Object, method: Method, given: Array[AnyRef]): AnyRef = {
    val arguments = Option(given).toSeq.flatten
    def answer()  = try method.invoke(handler, arguments: _*) catch { case failure: InvocationTargetException => throw failure.getCause }
    Caller.current.fold(answer()) { caller =>
      val own = rights.of(caller)
      look(method, arguments, own)
      method.getName match {
        case call if Lists(call) && arguments.headOption.exists(isDefault) => Collections.emptyList[String]
        case "get_all_databases" | "get_databases" =>
          answer().asInstanceOf[JavaList[String]].asScala.filter(name => own.tables(name).nonEmpty || isDefault(name)).asJava
        case "get_all_functions" =>
          val found = answer().asInstanceOf[GetAllFunctionsResponse]
          Option(found.getFunctions).foreach(all => found.setFunctions(all.asScala.filter(one => own.tables(one.getDbName).nonEmpty).asJava))
          found
        case _ => answer()
      }
    }
  }

  /** Throws what refuses the call, unless the caller may make it. */
  private def look(method: Method, arguments: Seq[AnyRef], own: Rights.Own): Unit = {
    val call  = method.getName
    val named = (if (Named(call)) arguments.take(1).map(name => In(name.asInstanceOf[String])) else Nil) ++ arguments.flatMap(touched)
    if (!Known(call) || (Described(call) && named.isEmpty)) throw new MetaException(s"Sessions may not call $call.")
    named.foreach {
      case In(name) if isDefault(name) && OfDefault(call)      =>
      case In(name) if own.tables(identifier(name)).isEmpty    => throw unknown(method, name)
      case At(place) if !isIn(place, own.folders)              => throw new MetaException(outside(place))
      case Made(name, place)                                   => lookAtNew(name, place, own.tables(identifier(name)).getOrElse(throw unknown(method, name)))
      case _                                                   =>
    }
  }

  /** A lakehouse's database is at its Tables folder, a schema's below. If the database exists, that is the error, whichever place the
    * caller named.
    */
  private def lookAtNew(name: String, place: String, tables: LocalPath): Unit =
    if (!local(place).contains(tables)) throw {
      if (Try(handler.get_database(name)).isSuccess) new AlreadyExistsException(s"Database $name already exists")
      else new InvalidObjectException(s"The lakehouse of the database $name has its tables at $tables, not at $place.")
    }
}

object MetastoreGuard {
  def apply(handler: IHMSHandler, rights: Rights): IHMSHandler =
    Proxy.newProxyInstance(getClass.getClassLoader, Array(classOf[IHMSHandler]), new MetastoreGuard(handler, rights)).asInstanceOf[IHMSHandler]

  /** Calls with a database's name in front. */
  private val Named = Set(
    "get_database", "drop_database", "alter_database",
    "get_table", "get_all_tables", "get_tables", "get_tables_by_type", "get_table_objects_by_name",
    "alter_table", "alter_table_with_environment_context", "alter_table_with_cascade", "drop_table", "drop_table_with_environment_context",
    "get_partition", "get_partition_with_auth", "get_partition_by_name", "get_partitions", "get_partitions_with_auth", "get_partition_names",
    "get_partitions_ps", "get_partitions_ps_with_auth", "get_partition_names_ps", "get_partitions_by_filter", "get_partitions_by_names",
    "get_num_partitions_by_filter", "append_partition", "append_partition_with_environment_context",
    "alter_partition", "alter_partition_with_environment_context", "alter_partitions", "alter_partitions_with_environment_context",
    "rename_partition", "drop_partition", "drop_partition_with_environment_context",
    "get_table_column_statistics", "get_partition_column_statistics", "delete_table_column_statistics", "delete_partition_column_statistics",
    "get_functions", "get_function", "drop_function", "alter_function"
  )

  /** Calls whose arguments say what they touch. */
  private val Described = Set(
    "create_database", "create_table", "create_table_with_environment_context", "get_table_req", "get_table_objects_by_name_req",
    "add_partition", "add_partition_with_environment_context", "add_partitions", "add_partitions_req",
    "update_table_column_statistics", "update_partition_column_statistics", "get_table_statistics_req", "get_partitions_statistics_req",
    "get_aggr_stats_for", "set_aggr_stats_for", "create_function"
  )

  /** Calls that touch nothing, or whose answer is filtered. `shutdown` ends the caller's connection. */
  private val Harmless = Set(
    "get_all_databases", "get_databases", "get_all_functions", "set_ugi", "shutdown", "get_config_value", "getName", "getVersion", "getStatus",
    "partition_name_has_valid_characters", "partition_name_to_vals", "partition_name_to_spec"
  )

  private val Known = Named | Described | Harmless

  /** Spark wants a database of this name to be there. For callers it is empty, and stays so. */
  private val Default   = "default"
  private val Lists     = Set("get_all_tables", "get_tables", "get_tables_by_type", "get_functions")
  private val OfDefault = Lists + "get_database"

  private sealed trait Touched
  private final case class In(database: String)                   extends Touched
  private final case class At(place: String)                      extends Touched
  private final case class Made(database: String, place: String) extends Touched

  private def touched(argument: AnyRef): Seq[Touched] = argument match {
    case null | _: String | _: Number | _: java.lang.Boolean | _: JavaMap[_, _] | _: EnvironmentContext => Nil
    case several: JavaList[_]              => several.asScala.toSeq.flatMap(one => touched(one.asInstanceOf[AnyRef]))
    case database: Database                => Seq(Made(database.getName, database.getLocationUri))
    case table: Table                      => In(table.getDbName) +: at(table.getSd)
    case partition: Partition              => In(partition.getDbName) +: at(partition.getSd)
    case request: AddPartitionsRequest     => In(request.getDbName) +: touched(request.getParts)
    case request: GetTableRequest          => Seq(In(request.getDbName))
    case request: GetTablesRequest         => Seq(In(request.getDbName))
    case request: TableStatsRequest        => Seq(In(request.getDbName))
    case request: PartitionsStatsRequest   => Seq(In(request.getDbName))
    case request: SetPartitionsStatsRequest => touched(request.getColStats)
    case statistics: ColumnStatistics      => Seq(In(Option(statistics.getStatsDesc).map(_.getDbName).orNull))
    case function: Function                => Seq(In(function.getDbName))
    case other                             => throw new MetaException(s"Sessions may not send a ${other.getClass.getSimpleName}.")
  }

  private def at(storage: StorageDescriptor): Seq[Touched] =
    Option(storage).flatMap(found => Option(found.getLocation)).filter(_.nonEmpty).map(At(_)).toSeq

  /** The folder below a lakehouse that a location means, as Hive reads it. */
  private def local(place: String): Option[LocalPath] = Try(new Path(place).toUri).toOption.collect {
    case uri if Set(null, "file")(uri.getScheme) && uri.getAuthority == null => Paths.get(uri.getPath).normalize
  }

  private def isIn(place: String, lakehouses: Iterable[LocalPath]) =
    local(place).exists(path => lakehouses.exists(one => OneLake.Areas.exists(area => path.startsWith(one.resolve(area)) && path != one.resolve(area))))

  /** A name as Hive compares it. */
  private def identifier(name: String) = if (name == null) "" else name.trim.toLowerCase

  private def isDefault(name: Any) = name match {
    case text: String => identifier(text) == Default
    case _            => false
  }

  private def outside(place: String) = s"$place lies outside of the lakehouses that this session may use, or is not the path of a folder in them."

  /** An absent database, by an exception that the call may throw: else its client would not be told the text. */
  private def unknown(method: Method, name: String): Exception = {
    val text = s"There is no database $name that this session may use: it is a lakehouse's, of a workspace where it may run code."
    if (method.getExceptionTypes.contains(classOf[NoSuchObjectException])) new NoSuchObjectException(text) else new MetaException(text)
  }
}
