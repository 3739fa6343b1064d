// The package is Spark's, because the checks of its views are visible only from within it.
package org.apache.spark.sql.livius

import org.apache.spark.SPARK_VERSION
import org.apache.spark.sql.{Row, SparkSession}
import org.apache.spark.sql.catalyst.analysis.PersistedView
import org.apache.spark.sql.catalyst.catalog.{CatalogTable, CatalogTableType}
import org.apache.spark.sql.catalyst.plans.logical.LogicalPlan
import org.apache.spark.sql.execution.{SparkPlan, SparkStrategy}
import org.apache.spark.sql.execution.command.{CreateViewCommand, ExecutedCommandExec, LeafRunnableCommand, ViewHelper}

/** Replaces a view in one step of the metastore. Spark drops the old one first: if the new one can't be made, neither is left. */
object ReplacedViews extends SparkStrategy {
  override def apply(plan: LogicalPlan): Seq[SparkPlan] = plan match {
    case create: CreateViewCommand if create.replace && create.viewType == PersistedView => ExecutedCommandExec(Replace(create)) :: Nil
    case _                                                                               => Nil
  }

  private final case class Replace(create: CreateViewCommand) extends LeafRunnableCommand {
    override def run(session: SparkSession): Seq[Row] = {
      val catalog = session.sessionState.catalog
      val old     = if (catalog.tableExists(create.name)) Some(catalog.getTableMetadata(create.name)) else None
      if (!old.exists(_.tableType == CatalogTableType.VIEW)) create.run(session)
      else {
        val view = old.get.identifier
        // With IF NOT EXISTS, Spark checks all that it checks before it would replace, and leaves the view alone.
        create.copy(replace = false, allowExisting = true).run(session)
        ViewHelper.checkCyclicViewReference(create.plan, Seq(view), view)
        val made = definition.invoke(create, session, create.plan).asInstanceOf[CatalogTable]
        Version.uncache(session, view)
        catalog.alterTable(made.copy(identifier = view, owner = old.get.owner, createVersion = SPARK_VERSION))
        Nil
      }
    }
  }

  /** What makes a view's definition of the command. It is private. */
  private lazy val definition = {
    val method = classOf[CreateViewCommand].getDeclaredMethods.find(_.getName.endsWith("prepareTable")).get
    method.setAccessible(true)
    method
  }
}
