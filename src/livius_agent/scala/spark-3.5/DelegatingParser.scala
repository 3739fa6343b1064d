package livius

import org.apache.spark.sql.catalyst.parser.ParserInterface
import org.apache.spark.sql.catalyst.plans.logical.LogicalPlan

/** A parser that has another one make its plans. */
abstract class DelegatingParser(next: ParserInterface) extends ParserInterface {

  /** The plan of a text, with what the other parser makes of it. */
  protected def planned(text: String)(parse: => LogicalPlan): LogicalPlan

  override def parsePlan(text: String): LogicalPlan = planned(text)(next.parsePlan(text))
}
