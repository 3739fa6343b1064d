package livius

import com.fasterxml.jackson.databind.JsonNode
import com.fasterxml.jackson.databind.node.{JsonNodeFactory, ObjectNode}

import org.apache.spark.rdd.RDD
import org.apache.spark.sql.{Dataset, Row}
import org.apache.spark.sql.livius.Inside

import scala.jdk.CollectionConverters._

/** What Scala code shows beside its text: Fabric's display functions, and what classic Livy's `%json` and `%table` become. */
object Display {
  private val MostRows = 1000
  private val TextRows = 20
  private val CellSize = 1000
  private val make     = JsonNodeFactory.instance
  private val shown    = new InheritableThreadLocal[ObjectNode]

  /** Runs the body and returns what it showed, as JSON: MIME types with their values. */
  private[livius] def collected[A](body: => A): (A, String) = {
    val bundle = make.objectNode
    shown.set(bundle)
    try {
      val result = body
      (result, bundle.synchronized(bundle.toString))
    } finally shown.remove()
  }

  private def show(mime: String, value: JsonNode): Unit = Option(shown.get).foreach(bundle => bundle.synchronized(bundle.set[JsonNode](mime, value)))

  /** Shows HTML, after what was shown before. */
  def displayHTML(html: String): Unit = Option(shown.get).foreach { bundle =>
    bundle.synchronized {
      val before = Option(bundle.get("text/html")).fold("")(_.asText)
      bundle.put("text/html", before + html)
    }
  }

  /** Shows a DataFrame as a table, in text and in HTML; anything else as text. */
  def display(value: Any): Unit = value match {
    case data: Dataset[_] =>
      print(Inside.text(data, TextRows))
      displayHTML(Inside.html(data, MostRows, CellSize))
    case other => println(other)
  }

  /** Shows a value as JSON. */
  def json(value: Any): Unit = show("application/json", asJson(rowsOf(value).getOrElse(value)))

  /** Shows rows in classic Livy's form. */
  def table(value: Any): Unit = {
    val rows  = rowsOf(value).getOrElse(value match {
      case many: Iterable[_] if !many.isInstanceOf[Map[_, _]] => many.toSeq
      case many: Array[_]                                     => many.toSeq
      case one                                                => Seq(one)
    }).map(cellsOf)
    val names = rows.flatMap(_.map(_._1)).distinct
    val types = names.map { name =>
      val all = rows.flatMap(_.collect { case (`name`, cell) if cell != null && cell != None => typeOf(cell) }).distinct
      require(all.size < 2, s"The column $name holds both ${all.mkString(" and ")}.")
      name -> all.headOption.getOrElse("NULL_TYPE")
    }
    val body  = make.objectNode
    val heads = body.putArray("headers")
    for ((name, kind) <- types) heads.addObject().put("name", name).put("type", kind)
    val data = body.putArray("data")
    for (row <- rows; cells = row.toMap; line = data.addArray(); name <- names) line.add(asJson(cells.getOrElse(name, null)))
    show("application/vnd.livy.table.v1+json", body)
  }

  private def rowsOf(value: Any): Option[Seq[Any]] = {
    val some = value match {
      case data: Dataset[_] => Some(data.toDF().take(MostRows + 1).toSeq)
      case data: RDD[_]     => Some(data.take(MostRows + 1).toSeq)
      case _                => None
    }
    if (some.exists(_.size > MostRows)) println(s"The first $MostRows rows are given; there are more.")
    some.map(_.take(MostRows))
  }

  private def cellsOf(row: Any): Seq[(String, Any)] = row match {
    case row: Row if row.schema != null                            => row.schema.fieldNames.toSeq.zip(row.toSeq)
    case map: scala.collection.Map[_, _]                           => map.toSeq.map { case (name, cell) => s"$name" -> cell }
    case map: java.util.Map[_, _]                                  => cellsOf(map.asScala)
    case many: Iterable[_]                                         => many.toSeq.zipWithIndex.map { case (cell, at) => s"$at" -> cell }
    case many: Array[_]                                            => cellsOf(many.toSeq)
    case product: Product if product.productArity > 0              => product.productElementNames.toSeq.zip(product.productIterator.toSeq)
    case other                                                     => Seq("0" -> other)
  }

  private def typeOf(cell: Any): String = cell match {
    case _: Boolean                                                         => "BOOLEAN_TYPE"
    case _: Byte | _: Short | _: Int | _: Long | _: BigInt                  => "BIGINT_TYPE"
    case _: Float | _: Double                                               => "DOUBLE_TYPE"
    case _: BigDecimal | _: java.math.BigDecimal                            => "DECIMAL_TYPE"
    case _: java.sql.Date | _: java.time.LocalDate                          => "DATE_TYPE"
    case _: java.util.Date | _: java.time.Instant | _: java.time.LocalDateTime => "TIMESTAMP_TYPE"
    case _: scala.collection.Map[_, _] | _: java.util.Map[_, _]             => "MAP_TYPE"
    case _: Iterable[_] | _: Array[_]                                       => "ARRAY_TYPE"
    case Some(inner)                                                        => typeOf(inner)
    case _                                                                  => "STRING_TYPE"
  }

  private def asJson(value: Any): JsonNode = value match {
    case null | None | ()      => make.nullNode
    case Some(inner)           => asJson(inner)
    case flag: Boolean         => make.booleanNode(flag)
    case number: Byte          => make.numberNode(number.toInt)
    case number: Short         => make.numberNode(number.toInt)
    case number: Int           => make.numberNode(number)
    case number: Long          => make.numberNode(number)
    case number: BigInt        => make.numberNode(number.bigInteger)
    case number: Float         => asJson(number.toDouble)
    // JSON has no name for these.
    case number: Double        => if (number.isNaN || number.isInfinite) make.textNode(s"$number") else make.numberNode(number)
    case bytes: Array[Byte]    => make.binaryNode(bytes)
    case row: Row if row.schema != null             => fields(cellsOf(row))
    case map: scala.collection.Map[_, _]            => fields(cellsOf(map))
    case map: java.util.Map[_, _]                   => fields(cellsOf(map))
    case many: Iterable[_]                          => items(many)
    case many: Array[_]                             => items(many)
    case many: java.lang.Iterable[_]                => items(many.asScala)
    case product: Product if product.productArity > 0                          => fields(cellsOf(product))
    case other                                      => make.textNode(s"$other")
  }

  private def fields(cells: Seq[(String, Any)]): JsonNode = {
    val made = make.objectNode
    for ((name, cell) <- cells) made.set[JsonNode](name, asJson(cell))
    made
  }

  private def items(many: Iterable[Any]): JsonNode = {
    val made = make.arrayNode
    many.foreach(item => made.add(asJson(item)))
    made
  }
}
