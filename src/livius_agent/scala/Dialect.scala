package livius

import org.apache.spark.sql.{Row, SparkSession, SparkSessionExtensions}
import org.apache.spark.sql.catalyst.expressions.{Attribute, AttributeReference, Expression}
import org.apache.spark.sql.catalyst.parser.{ParameterContext, ParserInterface}
import org.apache.spark.sql.catalyst.plans.logical.LogicalPlan
import org.apache.spark.sql.catalyst.{FunctionIdentifier, TableIdentifier}
import org.apache.spark.sql.execution.command.LeafRunnableCommand
import org.apache.spark.sql.types.{DataType, StringType, StructType}

/** What Fabric's Spark SQL has beyond Spark's and Delta's. */
final class Dialect extends (SparkSessionExtensions => Unit) {
  def apply(extensions: SparkSessionExtensions): Unit = extensions.injectParser((_, next) => new Dialect.Parser(next))
}

object Dialect {
  private val Optimize = """(?is)((?:\s|--[^\n]*\n|/\*.*?\*/)*OPTIMIZE\s+\S.*?)\s+VORDER\s*;?\s*""".r
  private val Note     = "VORDER has no effect here: it orders data for Fabric's own engine. The files were optimized without it."

  private final class Parser(next: ParserInterface) extends ParserInterface {
    override def parsePlan(text: String): LogicalPlan = text match {
      case Optimize(rest) => OptimizeWithNote(rest, next.parsePlan(rest).output :+ AttributeReference("note", StringType)())
      case _              => next.parsePlan(text)
    }

    override def parsePlanWithParameters(text: String, parameters: ParameterContext): LogicalPlan =
      if (Optimize.matches(text)) parsePlan(text) else next.parsePlanWithParameters(text, parameters)

    override def parseExpression(text: String): Expression                 = next.parseExpression(text)
    override def parseTableIdentifier(text: String): TableIdentifier       = next.parseTableIdentifier(text)
    override def parseFunctionIdentifier(text: String): FunctionIdentifier = next.parseFunctionIdentifier(text)
    override def parseMultipartIdentifier(text: String): Seq[String]       = next.parseMultipartIdentifier(text)
    override def parseQuery(text: String): LogicalPlan                     = next.parseQuery(text)
    override def parseRoutineParam(text: String): StructType               = next.parseRoutineParam(text)
    override def parseTableSchema(text: String): StructType                = next.parseTableSchema(text)
    override def parseDataType(text: String): DataType                     = next.parseDataType(text)
  }

  /** Runs OPTIMIZE, and says in each row of its result what was left out. */
  private final case class OptimizeWithNote(text: String, override val output: Seq[Attribute]) extends LeafRunnableCommand {
    override def run(session: SparkSession): Seq[Row] =
      session.sql(text).collect().toSeq.map(row => Row.fromSeq(row.toSeq :+ Note))
  }
}
