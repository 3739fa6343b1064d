package org.apache.spark.sql.livius

import com.fasterxml.jackson.core.StreamReadConstraints

import org.apache.spark.{SparkContext, SparkException, SparkThrowable}
import org.apache.spark.sql.SparkSession
import org.apache.spark.sql.catalyst.TableIdentifier
import org.apache.spark.sql.catalyst.analysis.UnresolvedNamespace
import org.apache.spark.sql.catalyst.plans.logical.{LogicalPlan, ShowNamespaces, ShowTableExtended, ShowTables, ShowViews}
import org.apache.spark.sql.execution.command.CommandUtils

/** What is called otherwise in another version of Spark. */
object Version {

  private val Cancelled = """(?s)Job \d+ cancelled .*""".r

  /** The class of an error. That of a cancelled job has none yet, so it gets its later one. */
  def condition(failure: SparkThrowable): String = failure match {
    case job: SparkException if job.getErrorClass == null && Cancelled.pattern.matcher(s"${job.getMessage}").matches => "SPARK_JOB_CANCELLED"
    case _                                                                                                     => failure.getErrorClass
  }

  /** Cancels the jobs of a group. This Spark takes no reason, and does not refuse further ones: those are ended as they begin. */
  def cancel(context: SparkContext, group: String, reason: String): Unit = context.cancelJobGroup(group)

  def uncache(session: SparkSession, view: TableIdentifier): Unit = CommandUtils.uncacheTableOrView(session, view.quotedString)

  /** Lets JSON be read however long it is. */
  def unlimited: StreamReadConstraints = StreamReadConstraints.builder.maxStringLength(Int.MaxValue).maxNumberLength(Int.MaxValue).build

  /** What spark-shell imports beyond what all versions do. */
  val Imports = List.empty[String]

  /** The namespace and the pattern of SHOW SCHEMAS. */
  object ShowSchemas {
    def unapply(plan: LogicalPlan): Option[(Seq[String], Option[String])] = plan match {
      case ShowNamespaces(UnresolvedNamespace(names), pattern, _) => Some((names, pattern))
      case _                                                      => None
    }
  }

  def listsTables(plan: LogicalPlan): Boolean = plan match {
    case _: ShowTables | _: ShowTableExtended | _: ShowViews => true
    case _                                                   => false
  }

  /** A plan with another one of its own, which is not among its children: there are none. */
  def within(change: LogicalPlan => LogicalPlan): PartialFunction[LogicalPlan, LogicalPlan] = PartialFunction.empty
}
