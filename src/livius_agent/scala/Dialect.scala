package livius

import org.apache.spark.sql.{Row, SparkSession, SparkSessionExtensions}
import org.apache.spark.sql.catalyst.expressions.{Attribute, AttributeReference, Expression}
import org.apache.spark.sql.catalyst.parser.{ParserInterface, SqlBaseLexer}
import org.apache.spark.sql.catalyst.parser.livius.Statements
import org.apache.spark.sql.catalyst.plans.logical.LogicalPlan
import org.apache.spark.sql.catalyst.{FunctionIdentifier, TableIdentifier}
import org.apache.spark.sql.delta.commands.OptimizeTableCommand
import org.apache.spark.sql.execution.command.LeafRunnableCommand
import org.apache.spark.sql.livius.ReplacedViews
import org.apache.spark.sql.types.{DataType, StringType, StructType}

import scala.util.Try

/** What SQL means here beyond what Spark and Delta make of it. */
final class Dialect extends (SparkSessionExtensions => Unit) {
  def apply(extensions: SparkSessionExtensions): Unit = {
    extensions.injectParser((session, next) => new Dialect.Parser(next, new RelativePaths(session)))
    extensions.injectResolutionRule(new RelativePaths(_))
    extensions.injectPlannerStrategy(_ => ReplacedViews)
  }
}

object Dialect {
  private val VOrder = "VORDER"
  private val Note   = "VORDER has no effect here: it orders data for Fabric's own engine. The files were optimized without it."

  private final class Parser(next: ParserInterface, paths: RelativePaths) extends DelegatingParser(next) {
    override protected def planned(text: String)(parse: => LogicalPlan): LogicalPlan =
      optimize(text).getOrElse(Schemas.shown(paths.parsed(parse)))

    /** The plan of an OPTIMIZE that ends with VORDER and that Delta understands without it. */
    private def optimize(text: String): Option[LogicalPlan] =
      for {
        plain <- withoutVOrder(text)
        plan  <- Try(next.parsePlan(plain)).toOption if isWhole(plan)
      } yield OptimizeWithNote(plain, plan.output :+ AttributeReference("note", StringType)())

    /** Delta reads a condition only when it runs; one that lacks its last word had VORDER as a column. */
    private def isWhole(plan: LogicalPlan) = plan match {
      case optimize: OptimizeTableCommand => optimize.userPartitionPredicates.forall(condition => Try(next.parseExpression(condition)).isSuccess)
      case _                              => false
    }

    override def parseExpression(text: String): Expression                 = next.parseExpression(text)
    override def parseTableIdentifier(text: String): TableIdentifier       = paths.names(next.parseMultipartIdentifier(text)) match {
      case Seq(database, table) => TableIdentifier(table, Some(database))
      case _                    => next.parseTableIdentifier(text)
    }
    override def parseFunctionIdentifier(text: String): FunctionIdentifier = next.parseFunctionIdentifier(text)
    override def parseMultipartIdentifier(text: String): Seq[String]       = paths.names(next.parseMultipartIdentifier(text))
    override def parseQuery(text: String): LogicalPlan                     = paths.parsed(next.parseQuery(text))
    override def parseTableSchema(text: String): StructType                = next.parseTableSchema(text)
    override def parseDataType(text: String): DataType                     = next.parseDataType(text)
  }

  /** An OPTIMIZE with blanks in the place of its VORDER, so that positions stay. Most texts don't have the word, and are not cut up. */
  private def withoutVOrder(text: String): Option[String] =
    if (!mentions(text, VOrder)) None
    else {
      val tokens = Statements.tokens(text).reverse.dropWhile(_.getType == SqlBaseLexer.SEMICOLON).reverse
      if (tokens.headOption.forall(!_.getText.equalsIgnoreCase("OPTIMIZE")) || !tokens.last.getText.equalsIgnoreCase(VOrder)) None
      else {
        val from = text.offsetByCodePoints(0, tokens.last.getStartIndex)
        Some(text.patch(from, " " * VOrder.length, VOrder.length))
      }
    }

  private def mentions(text: String, word: String) = text.indices.exists(text.regionMatches(true, _, word, 0, word.length))

  /** Runs OPTIMIZE, and says in each row of its result what was left out. */
  private final case class OptimizeWithNote(text: String, override val output: Seq[Attribute]) extends LeafRunnableCommand {
    override def run(session: SparkSession): Seq[Row] =
      session.sql(text).collect().toSeq.map(row => Row.fromSeq(row.toSeq :+ Note))
  }
}
