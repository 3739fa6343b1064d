// The package is Spark's: rows in its own form, and the functions that `show` is made of, are visible only from within it.
package org.apache.spark.sql.livius

import java.io.StringWriter

import scala.collection.mutable
import scala.jdk.CollectionConverters._

import com.fasterxml.jackson.core.{JsonFactory, JsonFactoryBuilder, JsonGenerator}
import com.fasterxml.jackson.databind.ObjectMapper

import org.apache.spark.sql.{classic, functions, Column, DataFrame, Dataset, Row}
import org.apache.spark.sql.catalyst.{CatalystTypeConverters, InternalRow}
import org.apache.spark.sql.catalyst.expressions.{BoundReference, GenericInternalRow, RowOrdering, SpecializedGetters, ToPrettyString}
import org.apache.spark.sql.catalyst.util.{ArrayData, DateTimeUtils, MapData}
import org.apache.spark.sql.execution.SQLExecution
import org.apache.spark.sql.internal.SQLConf
import org.apache.spark.sql.types._

/** What statements give of a DataFrame: its first rows as JSON, or as a table in text and in HTML. Each runs it once. */
object Frames {

  /** Values nested deeper than this become a text that says so: readers of JSON have their limits too. */
  val Deepest = 100
  val TooDeep = s"[nested deeper than $Deepest levels]"

  private val HtmlRows = 1000
  private val HtmlCell = 1000
  private val TextRows = 20
  private val TextCell = 20
  private val Piece    = 1024 * 1024
  private val factory  = new JsonFactory

  /** Reads what this object writes, however long it is. */
  val mapper: ObjectMapper = new ObjectMapper(new JsonFactoryBuilder().streamReadConstraints(Version.unlimited).build)

  /** Runs a DataFrame and gives its first rows as JSON. */
  def rows(data: Dataset[_], most: Int): Pieces = {
    val frame   = classicFrame(data)
    val limited = frame.limit(most + 1).queryExecution
    val found   = SQLExecution.withNewExecutionId(limited, Some("take"))(limited.executedPlan.executeCollect())
    new Pieces(frame.schema, found, most, new Values(zone(frame)))
  }

  /** Rows as pieces of JSON, so that the whole text is never in memory. */
  final class Pieces private[Frames] (schema: StructType, found: Array[InternalRow], most: Int, values: Values) {
    private val write = values.array(schema)
    private val count = found.length.min(most)
    private var given = 0

    /** The `headers` of classic Livy's table, as JSON. */
    def headers: String = written { json =>
      json.writeStartArray()
      for (field <- schema) {
        json.writeStartObject()
        json.writeStringField("name", field.name)
        json.writeStringField("type", livyType(field.dataType))
        json.writeEndObject()
      }
      json.writeEndArray()
    }

    /** An object with the next `rows`, as arrays of values. `last` tells whether no row is left, `more` whether there are more than were
      * asked for.
      */
    def next(): String = {
      val text = new StringWriter
      val json = factory.createGenerator(text)
      json.writeStartObject()
      json.writeArrayFieldStart("rows")
      while (given < count && text.getBuffer.length < Piece) {
        write(json, found(given))
        given += 1
      }
      json.writeEndArray()
      json.writeBooleanField("last", given == count)
      json.writeBooleanField("more", found.length > most)
      json.writeEndObject()
      json.close()
      text.toString
    }
  }

  /** A row with a schema as an object of JSON: values look as in `rows`, whatever classes Spark has collected them as. */
  def row(row: Row): String = {
    val values = CatalystTypeConverters.createToCatalystConverter(row.schema)(row)
    written(new Values(SQLConf.get.sessionLocalTimeZone).of(row.schema, 1)(_, values))
  }

  /** The first rows as `show()` prints them, and as HTML. Both say what they leave out. */
  def table(data: Dataset[_]): Array[String] = {
    val frame = classicFrame(data)
    val cells = frame.getRows(HtmlRows, HtmlCell)
    // Spark draws text and HTML itself, but would collect the rows for each: so it is given the texts as a table of their own.
    val texts = StructType(cells.head.map(StructField(_, StringType)))
    val drawn = frame.sparkSession.createDataFrame(cells.tail.map(Row.fromSeq).asJava, texts)
    val isCut = cells.tail.exists(_.exists(cell => cell.length == HtmlCell && cell.endsWith("...")))
    val note  = if (isCut) s"cells are cut at $HtmlCell characters\n" else ""
    Array(drawn.showString(TextRows, TextCell), drawn.htmlString(HtmlRows, HtmlCell) + note)
  }

  /** One row for each column of a DataFrame: its type, how many of its values are missing, how many different ones there are, the least
    * and the greatest. The last three are null where Spark can't compare values.
    */
  def summary(data: Dataset[_]): DataFrame = {
    val frame   = classicFrame(data)
    val columns = frame.toDF(frame.columns.indices.map(at => s"_$at"): _*)
    val missing = functions.lit(null).cast(StringType)
    val facts = columns.schema.map { field =>
      val column = functions.col(field.name)
      def compared(fact: Column): Column = if (RowOrdering.isOrderable(field.dataType)) fact else missing
      Seq(
        functions.count_if(column.isNull),
        compared(functions.count_distinct(column)),
        compared(functions.min(column).cast(StringType)),
        compared(functions.max(column).cast(StringType))
      )
    }
    val found = columns.agg(functions.lit(0), facts.flatten: _*).head()
    val lines = frame.schema.zipWithIndex.map { case (field, at) =>
      Row.fromSeq(Seq(field.name, field.dataType.simpleString) ++ (1 to 4).map(fact => found.get(at * 4 + fact)))
    }
    frame.sparkSession.createDataFrame(lines.asJava, Summary)
  }

  private val Summary = StructType.fromDDL("`column` string, `type` string, missing bigint, different bigint, min string, max string")

  /** Names of which none is there twice: `a`, `a_2`. An object of JSON has one value for each. */
  def unique(names: Seq[String]): Seq[String] = {
    val taken = mutable.Set.empty[String]
    names.map { name =>
      val free = (Iterator(name) ++ Iterator.from(2).map(count => s"${name}_$count")).find(!taken(_)).get
      taken += free
      free
    }
  }

  private def livyType(kind: DataType): String = kind match {
    case NullType                          => "NULL_TYPE"
    case BooleanType                       => "BOOLEAN_TYPE"
    case _: IntegralType                   => "BIGINT_TYPE"
    case FloatType | DoubleType            => "DOUBLE_TYPE"
    case _: DecimalType                    => "DECIMAL_TYPE"
    case DateType                          => "DATE_TYPE"
    case TimestampType | TimestampNTZType  => "TIMESTAMP_TYPE"
    case _: ArrayType                      => "ARRAY_TYPE"
    case _: MapType | _: StructType        => "MAP_TYPE"
    case _                                 => "STRING_TYPE"
  }

  private def classicFrame(data: Dataset[_]): classic.DataFrame = data.asInstanceOf[classic.Dataset[_]].toDF()
  private def zone(frame: classic.DataFrame): String            = frame.sparkSession.sessionState.conf.sessionLocalTimeZone

  private def written(write: JsonGenerator => Unit): String = {
    val text = new StringWriter
    val json = factory.createGenerator(text)
    write(json)
    json.close()
    text.toString
  }

  private type Write = (JsonGenerator, Any) => Unit

  /** Writes values of Spark's types. The texts of moments, intervals and the like are those that `show()` prints. */
  private[Frames] final class Values(zone: String) {
    private val zoneId = DateTimeUtils.getZoneId(zone) // Spark takes names that Java does not: PST, +8:00

    /** A row as an array: names may be there twice. */
    def array(row: StructType): Write = {
      val writes = row.map(field => of(field.dataType, 1)).toArray
      val kinds  = row.map(_.dataType).toArray
      (json, value) => {
        json.writeStartArray()
        for (at <- writes.indices) item(json, value.asInstanceOf[InternalRow], at, kinds(at), writes(at))
        json.writeEndArray()
      }
    }

    def of(kind: DataType, depth: Int): Write = kind match {
      case _ if depth > Deepest                         => (json, _) => json.writeString(TooDeep)
      case BooleanType                                  => (json, value) => json.writeBoolean(value.asInstanceOf[Boolean])
      case ByteType | ShortType | IntegerType | LongType => (json, value) => json.writeNumber(value.asInstanceOf[Number].longValue)
      case FloatType                                    => (json, value) => float(json, value.asInstanceOf[Float])
      case DoubleType                                   => (json, value) => double(json, value.asInstanceOf[Double])
      case _: DecimalType => (json, value) => json.writeString(value.asInstanceOf[Decimal].toJavaBigDecimal.toPlainString)
      case _: StringType  => (json, value) => json.writeString(value.toString)
      case BinaryType     => (json, value) => json.writeBinary(value.asInstanceOf[Array[Byte]])
      case list: ArrayType =>
        val write = of(list.elementType, depth + 1)
        (json, value) => {
          val items = value.asInstanceOf[ArrayData]
          json.writeStartArray()
          for (at <- 0 until items.numElements) item(json, items, at, list.elementType, write)
          json.writeEndArray()
        }
      case map: MapType =>
        val (name, write) = (key(map.keyType, depth + 1), of(map.valueType, depth + 1))
        (json, value) => {
          val entries = value.asInstanceOf[MapData]
          val names   = (0 until entries.numElements).map(at => name(entries.keyArray.get(at, map.keyType)))
          json.writeStartObject()
          for ((name, at) <- unique(names).zipWithIndex) {
            json.writeFieldName(name)
            item(json, entries.valueArray, at, map.valueType, write)
          }
          json.writeEndObject()
        }
      case struct: StructType =>
        val fields = unique(struct.fieldNames.toSeq).zip(struct).zipWithIndex.map { case ((name, field), at) =>
          (name, at, field.dataType, of(field.dataType, depth + 1))
        }
        (json, value) => {
          json.writeStartObject()
          for ((name, at, kind, write) <- fields) {
            json.writeFieldName(name)
            item(json, value.asInstanceOf[InternalRow], at, kind, write)
          }
          json.writeEndObject()
        }
      case _ =>
        LaterTypes.write(kind, zoneId, depth).getOrElse {
          val text = shown(kind)
          (json, value) => json.writeString(text(value))
        }
    }

    private def item(json: JsonGenerator, from: SpecializedGetters, at: Int, kind: DataType, write: Write): Unit =
      if (kind == NullType || from.isNullAt(at)) json.writeNull() else write(json, from.get(at, kind))

    /** What stands for a map's key: a text as it is, anything else as JSON. */
    private def key(kind: DataType, depth: Int): Any => String = kind match {
      case _: StringType if depth <= Deepest => _.toString
      case _ =>
        val write = of(kind, depth)
        value => {
          val text = written(write(_, value))
          if (text.startsWith("\"")) mapper.readTree(text).asText else text
        }
    }

    private def shown(kind: DataType): Any => String = {
      val text = ToPrettyString(BoundReference(0, kind, nullable = true), Some(zone))
      value => text.eval(new GenericInternalRow(Array(value))).toString
    }

    private def float(json: JsonGenerator, value: Float): Unit =
      if (java.lang.Float.isFinite(value)) json.writeNumber(value) else json.writeString(value.toString)

    private def double(json: JsonGenerator, value: Double): Unit =
      if (java.lang.Double.isFinite(value)) json.writeNumber(value) else json.writeString(value.toString)
  }
}
