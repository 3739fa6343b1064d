package livius

import java.nio.file.{Files, Path, Paths}
import java.util.Locale

import org.apache.spark.sql.{Row, SparkSession}
import org.apache.spark.sql.catalyst.analysis.UnresolvedFunction
import org.apache.spark.sql.catalyst.expressions.Attribute
import org.apache.spark.sql.catalyst.plans.logical.LogicalPlan
import org.apache.spark.sql.execution.command.LeafRunnableCommand
import org.apache.spark.sql.hive.livius.SchemaClient
import org.apache.spark.sql.livius.{Inside, Version}

/** The names of databases in a lakehouse that has schemas.
  *
  * The metastore has its schema `x` as the database `<prefix>__x`. The lakehouse's own sessions know it as `x`. They know a schema of
  * another lakehouse as `lakehouse.x`, and one of another workspace as `workspace.lakehouse.x`: each is one name with dots in it, because
  * Spark's catalog of Hive's databases has no names of several parts. In a lakehouse without schemas, `dbo` stands for its database.
  */
final class Schemas private (lake: OneLake, bound: OneLake.Place) {
  import Schemas._

  /** As it is named now: it may have been renamed. */
  private def own = lake.places.find(_.lakehouse == bound.lakehouse).getOrElse(bound)

  /** A table's name as Spark's catalog has it; names with other numbers of parts, or of no lakehouse, stay as they are. */
  def table(parts: Seq[String]): Seq[String] =
    if (parts.size < 3) parts else known(parts.init).fold(parts)(Seq(_, parts.last))

  /** A schema's name as Spark's catalog has it. */
  def schema(parts: Seq[String]): Seq[String] =
    if (parts.size < 2) parts else known(parts).fold(parts)(Seq(_))

  private def known(parts: Seq[String]) = place(parts.init).map(found => before(found) + parts.last)

  /** The lakehouse that the parts of a name before its schema mean. */
  def place(parts: Seq[String]): Option[OneLake.Place] = parts match {
    case Seq()                     => Some(own)
    case Seq(lakehouse)            => lake.places.find(one => one.workspace == own.workspace && one.isLakehouse(lakehouse))
    case Seq(workspace, lakehouse) => lake.places.find(one => one.isWorkspace(workspace) && one.isLakehouse(lakehouse))
    case _                         => None
  }

  /** What is before the schema in names of Spark's catalog. */
  def before(place: OneLake.Place): String =
    if (place.lakehouse == own.lakehouse) ""
    else if (place.workspace == own.workspace) s"${place.shownLakehouse}."
    else s"${place.shownWorkspace}.${place.shownLakehouse}."

  /** The lakehouse and the schema in a name of Spark's catalog; only a workspace's name has dots in it. */
  def apart(name: String): Option[(OneLake.Place, String)] = {
    val parts = name.split("\\.", -1).toSeq
    place(if (parts.size > 3) Seq(parts.dropRight(2).mkString("."), parts(parts.size - 2)) else parts.init).map(_ -> parts.last)
  }

  /** The metastore's name of a database. What names no lakehouse exists nowhere, under its own name. */
  def stored(name: String): String = apart(name) match {
    case _ if name == SparkDefault                       => name
    case Some((place, schema)) if place.hasSchemas       => database(place.database, schema)
    case Some((place, schema)) if schema == Default      => place.database
    case _                                               => name
  }

  /** Where a schema's tables are. */
  def folder(name: String): Option[Path] = apart(name).collect { case (place, schema) if place.hasSchemas => lake.tables(place).resolve(schema) }

  /** As Fabric's SHOW prints a schema. */
  def spelled(name: String): String = apart(name).fold(name) { case (place, schema) =>
    Seq(place.shownWorkspace, place.shownLakehouse, schema).map(part => "`" + part.replace("`", "``") + "`").mkString(".")
  }
}

object Schemas {
  /** The schema that each such lakehouse has, and that can't be dropped. */
  val Default = "dbo"

  /** What is between the prefix of a lakehouse and its schema in the metastore. No prefix has it. */
  private val Between = "__"

  /** The names that a schema may have, in lower case. */
  val Name = "[a-z0-9_]+".r

  /** Spark insists on a database of this name. It is nobody's. */
  val SparkDefault = "default"

  @volatile private var current: Option[Schemas] = None

  /** Makes a lakehouse, by its prefix, the one of this JVM's sessions. Returns its first database, and where that lies below the lakehouse. */
  def bind(session: SparkSession, prefix: String): (String, String) = {
    val conf = session.sparkContext.hadoopConfiguration
    val lake = Option(conf.get(OneLake.NamesKey)).filter(names => Files.exists(Paths.get(names))).map(_ => OneLake.of(conf))
    current = lake.flatMap(lake => lake.places.find(place => place.database == prefix && place.hasSchemas).map(new Schemas(lake, _)))
    current.fold((prefix, OneLake.Tables)) { schemas =>
      SchemaClient.install(session, schemas)
      (Default, s"${OneLake.Tables}/$Default")
    }
  }

  /** The name of a schema's database. */
  def database(prefix: String, schema: String): String = s"$prefix$Between$schema"

  /** The prefix and the schema in a database's name; a lakehouse without schemas has only the one. */
  def parts(database: String): (String, Option[String]) = database.split(Between, 2) match {
    case Array(prefix, schema) if Name.matches(schema) => (prefix, Some(schema))
    case _                                             => (database, None)
  }

  def table(parts: Seq[String]): Seq[String]  = current.fold(parts)(_.table(parts))
  def schema(parts: Seq[String]): Seq[String] = current.fold(parts)(_.schema(parts))

  /** The plan of a SQL text. What lists schemas, or tables with them, spells these as Fabric does; functions may have a lakehouse's name too. */
  def shown(plan: LogicalPlan): LogicalPlan = current.fold(plan)(schemas => plan.transformAllExpressionsWithSubqueries {
    case call: UnresolvedFunction => call.copy(nameParts = schemas.table(call.nameParts))
  } match {
    case show @ Version.ShowSchemas(names, pattern) =>
      schemas.place(names).fold(plan)(place => ShowSchemas(schemas, schemas.before(place), pattern, show.output))
    case show if Version.listsTables(show) => Spelled(schemas, plan, plan.output)
    case other                             => other
  })

  private final case class ShowSchemas(schemas: Schemas, before: String, pattern: Option[String], override val output: Seq[Attribute])
      extends LeafRunnableCommand {
    override def run(session: SparkSession): Seq[Row] =
      Inside.databases(session, before + pattern.getOrElse("*")).map(name => Row(schemas.spelled(name)))
  }

  private final case class Spelled(schemas: Schemas, plan: LogicalPlan, override val output: Seq[Attribute]) extends LeafRunnableCommand {
    override def run(session: SparkSession): Seq[Row] = Inside.rows(session, plan).map { row =>
      val schema = row.getString(0).stripPrefix("`").stripSuffix("`") // Spark quotes the names with dots
      if (schema.isEmpty) row else Row.fromSeq(schemas.spelled(schema) +: row.toSeq.tail)
    }
  }
}
