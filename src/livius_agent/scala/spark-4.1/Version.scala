package org.apache.spark.sql.livius

import com.fasterxml.jackson.core.StreamReadConstraints

import org.apache.spark.{SparkContext, SparkThrowable}
import org.apache.spark.sql.{SparkSession, classic}
import org.apache.spark.sql.catalyst.TableIdentifier
import org.apache.spark.sql.catalyst.analysis.UnresolvedNamespace
import org.apache.spark.sql.catalyst.plans.logical.{LogicalPlan, ShowTables, ShowTablesExtended, ShowViews, SingleStatement}
import org.apache.spark.sql.execution.command.{CommandUtils, ShowNamespacesCommand}

/** What is called otherwise in another version of Spark. */
object Version {

  /** The class of an error. */
  def condition(failure: SparkThrowable): String = failure.getCondition

  /** Cancels the jobs of a group. Spark itself refuses further ones, before their first task. It keeps the last thousand groups in mind. */
  def cancel(context: SparkContext, group: String, reason: String): Unit = context.cancelJobGroupAndFutureJobs(group, reason)

  def uncache(session: SparkSession, view: TableIdentifier): Unit =
    CommandUtils.uncacheTableOrView(session.asInstanceOf[classic.SparkSession], view)

  /** Lets JSON be read however long it is. */
  def unlimited: StreamReadConstraints =
    StreamReadConstraints.builder.maxNameLength(Int.MaxValue).maxStringLength(Int.MaxValue).maxNumberLength(Int.MaxValue).build

  /** What spark-shell imports beyond what all versions do. */
  val Imports = List("import org.apache.spark.util.LogUtils.SPARK_LOG_SCHEMA")

  /** The namespace and the pattern of SHOW SCHEMAS. */
  object ShowSchemas {
    def unapply(plan: LogicalPlan): Option[(Seq[String], Option[String])] = plan match {
      case ShowNamespacesCommand(UnresolvedNamespace(names, _), pattern, _) => Some((names, pattern))
      case _                                                                => None
    }
  }

  def listsTables(plan: LogicalPlan): Boolean = plan match {
    case _: ShowTables | _: ShowTablesExtended | _: ShowViews => true
    case _                                                    => false
  }

  /** A plan with another one of its own, which is not among its children. */
  def within(change: LogicalPlan => LogicalPlan): PartialFunction[LogicalPlan, LogicalPlan] = {
    // One of a script: its children are those of its plan.
    case one: SingleStatement => one.copy(parsedPlan = change(one.parsedPlan))
  }
}
