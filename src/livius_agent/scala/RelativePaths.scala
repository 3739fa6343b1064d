package livius

import java.util.Locale

import org.apache.hadoop.fs.Path
import org.apache.spark.sql.SparkSession
import org.apache.spark.sql.catalyst.{AliasIdentifier, TableIdentifier, TimeTravel}
import org.apache.spark.sql.catalyst.analysis.{RelationTimeTravel, UnresolvedFunctionName, UnresolvedIdentifier, UnresolvedNamespace, UnresolvedPartitionSpec, UnresolvedRelation, UnresolvedTable, UnresolvedTableOrView, UnresolvedView}
import org.apache.spark.sql.catalyst.catalog.{CatalogStorageFormat, CatalogUtils}
import org.apache.spark.sql.catalyst.expressions.Literal
import org.apache.spark.sql.catalyst.plans.logical._
import org.apache.spark.sql.catalyst.rules.Rule
import org.apache.spark.sql.execution.command.{CreateTableLikeCommand, DescribeQueryCommand, ExplainCommand}
import org.apache.spark.sql.execution.datasources.{CreateTable => CreateTableV1}
import org.apache.spark.sql.livius.Version

import scala.util.{Success, Try}

/** Relative paths mean the lakehouse's root, as they do in `spark.read` and ``parquet.`Files/x` ``; names may begin with a lakehouse's.
  *
  * Delta takes ``delta.`Files/t` `` for a table's name unless the path is absolute, and Spark puts a relative LOCATION below the folder
  * of the database, where Delta does not look for what it has written.
  */
final class RelativePaths(session: SparkSession) extends Rule[LogicalPlan] {
  /** For plans that Spark makes itself, as `saveAsTable` does. */
  override def apply(plan: LogicalPlan): LogicalPlan = plan.resolveOperatorsUp(absolutely)

  /** For a plan as the parser made it. Once the analyzer has it, names are looked up before any rule of ours: rules for hints would come
    * first, but Spark leaves them out of sessions with Hive's catalog.
    */
  def parsed(plan: LogicalPlan): LogicalPlan = plan.transformUpWithSubqueries(absolutely.orElse[LogicalPlan, LogicalPlan] {
    case named: UnresolvedWith =>
      named.copy(cteRelations = named.cteRelations.map(one => one.copy(_2 = parsed(one._2).asInstanceOf[SubqueryAlias])))
    case explain: ExplainCommand        => explain.copy(logicalPlan = parsed(explain.logicalPlan))
    case describe: DescribeQueryCommand => describe.copy(plan = parsed(describe.plan))
  }.orElse(Version.within(parsed)))

  private def absolutely: PartialFunction[LogicalPlan, LogicalPlan] = {
    case named: UnresolvedRelation    => qualified(named)
    case named: UnresolvedTable       => named.copy(multipartIdentifier = names(named.multipartIdentifier))
    case named: UnresolvedTableOrView => named.copy(multipartIdentifier = names(named.multipartIdentifier))
    case named: UnresolvedView        => named.copy(multipartIdentifier = names(named.multipartIdentifier))
    case named: UnresolvedIdentifier  => named.copy(nameParts = names(named.nameParts))
    case named: UnresolvedFunctionName => named.copy(multipartIdentifier = names(named.multipartIdentifier))
    case named: UnresolvedNamespace   => named.copy(multipartIdentifier = Schemas.schema(named.multipartIdentifier))
    case rename: RenameTable          => rename.copy(newName = names(rename.newName))
    // These keep plans and names beside their children.
    case travel @ TimeTravel(named: UnresolvedRelation, _, _, _)                     => travel.copy(relation = ofRelation(named))
    case travel @ RelationTimeTravel(named: UnresolvedRelation, _, _)                  => travel.copy(relation = ofRelation(named))
    case insert @ InsertIntoStatement(named: UnresolvedRelation, _, _, _, _, _, _) => insert.copy(table = ofRelation(named))
    case like: CreateTableLikeCommand =>
      like.copy(targetTable = table(like.targetTable), sourceTable = table(like.sourceTable), fileFormat = stored(like.fileFormat))

    case create: CreateTable                => create.copy(tableSpec = spec(create.tableSpec))
    case create: CreateTableAsSelect        => create.copy(tableSpec = spec(create.tableSpec))
    case replace: ReplaceTable              => replace.copy(tableSpec = spec(replace.tableSpec))
    case replace: ReplaceTableAsSelect      => replace.copy(tableSpec = spec(replace.tableSpec))
    case create: CreateTableV1              => create.copy(tableDesc = create.tableDesc.copy(storage = stored(create.tableDesc.storage)))
    case clone: CloneTableStatement         => clone.copy(targetLocation = clone.targetLocation.map(absolute))
    case create: CreateNamespace            => create.copy(properties = create.properties.map(located))
    case set: SetNamespaceLocation          => set.copy(location = absolute(set.location))
    case set: SetTableLocation              => set.copy(location = absolute(set.location))
    case load: LoadData                     => load.copy(path = absolute(load.path))
    case add: AddPartitions                 => add.copy(parts = add.parts.map {
      case part: UnresolvedPartitionSpec => part.copy(location = part.location.map(absolute))
      case part                          => part
    })
  }

  /** Columns may begin with all that the text has before its table's name. */
  private def qualified(named: UnresolvedRelation): LogicalPlan = ofRelation(named) match {
    case found if found.multipartIdentifier.size < named.multipartIdentifier.size =>
      SubqueryAlias(AliasIdentifier(named.multipartIdentifier.last, named.multipartIdentifier.init.takeRight(2)), found)
    case found => found
  }

  private def ofRelation(named: UnresolvedRelation) = names(named.multipartIdentifier) match {
    case same if same == named.multipartIdentifier => named
    case names                                     => named.copy(multipartIdentifier = names)
  }

  private def spec(wanted: TableSpecBase) = wanted match {
    case spec: UnresolvedTableSpec => spec.copy(
        location = spec.location.map(absolute),
        optionExpression = spec.optionExpression.copy(options = spec.optionExpression.options.map {
          case (key, Literal(path, _)) if key.equalsIgnoreCase("path") && path != null => key -> Literal(absolute(path.toString))
          case other                                                                   => other
        })
      )
    case spec: TableSpec => spec.copy(location = spec.location.map(absolute))
    case spec            => spec
  }

  private def stored(format: CatalogStorageFormat) =
    format.copy(locationUri = format.locationUri.map(uri => CatalogUtils.stringToURI(absolute(CatalogUtils.URIToString(uri)))))

  private def located(property: (String, String)) = property match {
    case ("location", path) => "location" -> absolute(path)
    case other              => other
  }

  def table(name: TableIdentifier): TableIdentifier = name.database match {
    case Some(format) => name.copy(table = names(Seq(format, name.table)).last)
    case None         => name
  }

  /** Makes the path in a name such as ``delta.`Files/t` `` absolute. No table has a slash in its name. What names a lakehouse first: [[Schemas]]. */
  def names(parts: Seq[String]): Seq[String] = parts match {
    case Seq(format, path) if format.toLowerCase(Locale.ROOT) == "delta" && path.contains('/') => Seq(format, absolute(path))
    case other                                                                                 => Schemas.table(other)
  }

  private def absolute(text: String): String = Try(new Path(text)) match {
    case Success(path) if !path.isAbsolute && path.toUri.getScheme == null =>
      path.getFileSystem(session.sparkContext.hadoopConfiguration).makeQualified(path).toString
    case _ => text // What is no path, Spark refuses.
  }
}
