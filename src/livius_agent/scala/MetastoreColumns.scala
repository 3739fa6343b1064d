package livius

import java.nio.file.{Files, Path}
import java.sql.{Connection, DriverManager}

import scala.util.Using

/** Widens the columns of a metastore's database that was made before `package-derby.orm` had them so. */
private[livius] object MetastoreColumns {
  private final case class Column(table: String, name: String, kind: String, mayBeNull: Boolean = true)

  private val Clob    = "CLOB"
  private val Longest = "VARCHAR(32672)"

  private val Wanted = Seq(
    Column("TBLS", "VIEW_ORIGINAL_TEXT", Clob),
    Column("TBLS", "VIEW_EXPANDED_TEXT", Clob),
    Column("TABLE_PARAMS", "PARAM_VALUE", Clob),
    Column("SERDE_PARAMS", "PARAM_VALUE", Clob),
    Column("SD_PARAMS", "PARAM_VALUE", Clob),
    Column("COLUMNS_V2", "TYPE_NAME", Clob, mayBeNull = false),
    Column("COLUMNS_V2", "COMMENT", Longest),
    Column("PARTITION_PARAMS", "PARAM_VALUE", Longest),
    Column("DATABASE_PARAMS", "PARAM_VALUE", Longest),
    Column("DBS", "DESC", Longest)
  )

  /** Alters what is narrower than wanted, each column in one transaction; before Hive opens the database, if there is one. */
  def widen(database: Path, url: String): Unit = if (Files.exists(database)) {
    Using.resource(DriverManager.getConnection(url)) { connection =>
      connection.setAutoCommit(false)
      for (column <- Wanted; kind <- kindOf(connection, column) if isNarrow(kind, column)) {
        alter(connection, column)
        connection.commit()
      }
      connection.commit()
    }
  }

  /** The declared type of a column; None where its table has yet to be made. */
  private def kindOf(connection: Connection, column: Column): Option[String] =
    Using.resource(connection.getMetaData.getColumns(null, "APP", column.table, column.name)) { found =>
      Option.when(found.next())(s"${found.getString("TYPE_NAME")}(${found.getInt("COLUMN_SIZE")})")
    }

  private def isNarrow(kind: String, column: Column) =
    if (column.kind == Clob) !kind.startsWith(Clob) else kind != column.kind

  private def alter(connection: Connection, column: Column): Unit = {
    val (table, name, wide) = (s""""APP"."${column.table}"""", s""""${column.name}"""", s""""${column.name}_WIDE"""")
    val steps =
      if (column.kind != Clob) Seq(s"ALTER TABLE $table ALTER COLUMN $name SET DATA TYPE ${column.kind}")
      else Seq( // Derby changes no type in place but to a longer one of the same name.
        s"ALTER TABLE $table ADD COLUMN $wide $Clob",
        s"UPDATE $table SET $wide = $name",
        s"ALTER TABLE $table DROP COLUMN $name",
        s"""RENAME COLUMN "APP"."${column.table}".$wide TO $name"""
      ) ++ Option.unless(column.mayBeNull)(s"ALTER TABLE $table ALTER COLUMN $name NOT NULL")
    Using.resource(connection.createStatement())(statement => steps.foreach(statement.execute))
  }
}
