package livius

import org.apache.spark.sql.catalyst.parser.{ParameterContext, ParserInterface}
import org.apache.spark.sql.catalyst.plans.logical.LogicalPlan
import org.apache.spark.sql.types.StructType

/** A parser that has another one make its plans. */
abstract class DelegatingParser(next: ParserInterface) extends ParserInterface {

  /** The plan of a text, with what the other parser makes of it. */
  protected def planned(text: String)(parse: => LogicalPlan): LogicalPlan

  override def parsePlan(text: String): LogicalPlan = planned(text)(next.parsePlan(text))

  override def parsePlanWithParameters(text: String, parameters: ParameterContext): LogicalPlan =
    planned(text)(next.parsePlanWithParameters(text, parameters))

  override def parseRoutineParam(text: String): StructType = next.parseRoutineParam(text)
}
