package livius

import java.math.BigInteger

import com.fasterxml.jackson.databind.JsonNode
import com.fasterxml.jackson.databind.node.{ArrayNode, JsonNodeFactory, ObjectNode}

import org.apache.spark.rdd.RDD
import org.apache.spark.sql.{Dataset, Row}
import org.apache.spark.sql.internal.SQLConf
import org.apache.spark.sql.livius.{Frames, LaterTypes}
import org.apache.spark.sql.types.Decimal

import scala.annotation.tailrec
import scala.jdk.CollectionConverters._

/** What Scala code shows beside its text: Fabric's display functions, and what classic Livy's `%json` and `%table` become. */
object Display {
  private val MostRows = 1000
  private val Longest  = 32 * 1024 * 1024
  private val Missing  = "NULL_TYPE"
  private val make     = JsonNodeFactory.instance
  private val shown    = new InheritableThreadLocal[ObjectNode]

  private[livius] type Bundle = ObjectNode

  /** Where what the calling thread shows goes, or null. */
  private[livius] def current: Bundle = shown.get

  /** Does work of another thread whose part of the statement's output goes to the bundle. What the thread inherited is of an earlier one. */
  private[livius] def into[A](bundle: Bundle)(body: => A): A = {
    shown.set(bundle)
    try body
    finally shown.remove()
  }

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

  /** Shows a DataFrame as a table, in text and in HTML; anything else as text.
    *
    * @param summary whether a table follows that says of each column how many values are missing, how many differ, and the like
    */
  def display(value: Any, summary: Boolean = false): Unit = value match {
    case data: Dataset[_] if !data.isStreaming =>
      for (frame <- data +: (if (summary) Seq(Frames.summary(data)) else Nil)) {
        val Array(text, html) = Frames.table(frame)
        println(text)
        displayHTML(html)
      }
    case other => println(other)
  }

  /** Shows a value as JSON. */
  def json(value: Any): Unit = show(
    "application/json",
    value match {
      case data: Dataset[_] =>
        val (headers, rows) = rowsOf(data)
        val names           = Frames.unique(headers.asScala.toSeq.map(_.get("name").asText))
        items(rows.asScala.map(row => named(names.zip(row.asScala))))
      case other => asJson(firstOf(other))
    }
  )

  /** Shows rows in classic Livy's form. */
  def table(value: Any): Unit = {
    val body = make.objectNode
    value match {
      case data: Dataset[_] =>
        val (headers, rows) = rowsOf(data)
        body.set[JsonNode]("headers", headers)
        body.set[JsonNode]("data", rows)
      case other => fill(body, other)
    }
    show("application/vnd.livy.table.v1+json", body)
  }

  private def fill(body: ObjectNode, value: Any): Unit = {
    val rows = (firstOf(value) match {
      case many: Iterable[_] if !many.isInstanceOf[scala.collection.Map[_, _]] => many.toSeq
      case many: Array[_]                                                      => many.toSeq
      case one                                                                 => Seq(one)
    }).map(row => numbered(cellsOf(row)).zip(plainOf(row)))
    val columns = rows.flatMap(_.map(_._1._1)).distinct
    val heads   = body.putArray("headers")
    for (column @ (name, _) <- columns) {
      val all = rows.flatMap(_.collect { case ((`column`, cell), _) => typeOf(cell) }).filter(_ != Missing).distinct
      require(all.size < 2, s"The column $name holds both ${all.mkString(" and ")}.")
      heads.addObject().put("name", name).put("type", all.headOption.getOrElse(Missing))
    }
    val data = body.putArray("data")
    for (row <- rows) {
      val plain = row.map { case ((column, _), cell) => column -> cell }.toMap
      val line  = data.addArray()
      columns.foreach(column => line.add(plain.getOrElse(column, make.nullNode)))
    }
  }

  /** A row's cells, each with the name of its column and how often the row had that name before. */
  private def numbered(cells: Seq[(String, Any)]): Seq[((String, Int), Any)] =
    cells.zipWithIndex.map { case ((name, cell), at) => (name, cells.take(at).count(_._1 == name)) -> cell }

  /** The first rows with their headers; it prints what is left out. */
  private def rowsOf(data: Dataset[_]): (JsonNode, ArrayNode) = {
    val pieces = Frames.rows(data, MostRows)
    val rows   = make.arrayNode
    @tailrec def read(length: Int): Unit = {
      val text  = pieces.next()
      val piece = Frames.mapper.readTree(text)
      rows.addAll(piece.get("rows").asInstanceOf[ArrayNode])
      if (piece.get("last").asBoolean) {
        if (piece.get("more").asBoolean) println(s"The first ${rows.size} rows are given; there are more.")
      } else if (length + text.length > Longest) println(s"The first ${rows.size} rows are given: more would have over $Longest characters.")
      else read(length + text.length)
    }
    read(0)
    (Frames.mapper.readTree(pieces.headers), rows)
  }

  private def firstOf(value: Any): Any = value match {
    case data: RDD[_] =>
      val some = data.take(MostRows + 1).toSeq
      if (some.size > MostRows) println(s"The first $MostRows rows are given; there are more.")
      some.take(MostRows)
    case other => other
  }

  private def cellsOf(row: Any): Seq[(String, Any)] = row match {
    case row: Row if row.schema != null                            => row.schema.fieldNames.toSeq.zip(row.toSeq)
    case row: Row                                                  => cellsOf(row.toSeq)
    case map: scala.collection.Map[_, _]                           => map.toSeq.map { case (name, cell) => keyOf(name) -> cell }
    case map: java.util.Map[_, _]                                  => cellsOf(map.asScala)
    case many: Iterable[_]                                         => many.toSeq.zipWithIndex.map { case (cell, at) => s"$at" -> cell }
    case many: Array[_]                                            => cellsOf(many.toSeq)
    case Some(inner)                                               => cellsOf(inner)
    case product: Product if product.productArity > 0              => product.productElementNames.toSeq.zip(product.productIterator.toSeq)
    case other                                                     => Seq("0" -> other)
  }

  /** The cells of `cellsOf` as JSON. */
  private def plainOf(row: Any): Seq[JsonNode] = row match {
    case row: Row if row.schema != null => asJson(row).asScala.toSeq
    case other                          => cellsOf(other).map { case (_, cell) => asJson(cell) }
  }

  private def typeOf(cell: Any): String = cell match {
    case null | None | ()                                                      => Missing
    case Some(inner)                                                           => typeOf(inner)
    case _: Boolean                                                            => "BOOLEAN_TYPE"
    case _: Byte | _: Short | _: Int | _: Long | _: BigInt | _: BigInteger     => "BIGINT_TYPE"
    case _: Float | _: Double                                                  => "DOUBLE_TYPE"
    case _: BigDecimal | _: java.math.BigDecimal | _: Decimal                  => "DECIMAL_TYPE"
    case _: java.sql.Date | _: java.time.LocalDate                             => "DATE_TYPE"
    case _: java.util.Date | _: java.time.Instant | _: java.time.LocalDateTime => "TIMESTAMP_TYPE"
    case _: Array[Byte]                                                        => "STRING_TYPE"
    case row: Row if row.schema != null                                        => "MAP_TYPE"
    case _: scala.collection.Map[_, _] | _: java.util.Map[_, _]                => "MAP_TYPE"
    case _: Row | _: Iterable[_] | _: Array[_] | _: java.lang.Iterable[_]      => "ARRAY_TYPE"
    case product: Product if product.productArity > 0                          => "MAP_TYPE"
    case _                                                                     => "STRING_TYPE"
  }

  private def asJson(value: Any, depth: Int = 1): JsonNode = value match {
    case null | None | ()             => make.nullNode
    case Some(inner)                  => asJson(inner, depth)
    case flag: Boolean                => make.booleanNode(flag)
    case number: Byte                 => make.numberNode(number.toInt)
    case number: Short                => make.numberNode(number.toInt)
    case number: Int                  => make.numberNode(number)
    case number: Long                 => make.numberNode(number)
    case number: BigInt               => make.numberNode(number.bigInteger)
    case number: BigInteger           => make.numberNode(number)
    // JSON has no name for what is no number.
    case number: Float                => if (number.isNaN || number.isInfinite) make.textNode(s"$number") else make.numberNode(number)
    case number: Double               => if (number.isNaN || number.isInfinite) make.textNode(s"$number") else make.numberNode(number)
    case number: BigDecimal           => make.textNode(number.bigDecimal.toPlainString)
    case number: java.math.BigDecimal => make.textNode(number.toPlainString)
    case number: Decimal              => make.textNode(number.toJavaBigDecimal.toPlainString)
    case bytes: Array[Byte]           => make.binaryNode(bytes)
    case _: Iterable[_] | _: Array[_] | _: java.lang.Iterable[_] | _: java.util.Map[_, _] | _: Row | _: Product if depth > Frames.Deepest =>
      make.textNode(Frames.TooDeep)
    case row: Row if row.schema != null               => Frames.mapper.readTree(Frames.row(row))
    case row: Row                                     => items(row.toSeq.map(asJson(_, depth + 1)))
    case map: scala.collection.Map[_, _]              => fields(map, depth)
    case map: java.util.Map[_, _]                     => fields(map, depth)
    case many: Iterable[_]                            => items(many.map(asJson(_, depth + 1)))
    case many: Array[_]                               => items(many.toSeq.map(asJson(_, depth + 1)))
    case many: java.lang.Iterable[_]                  => items(many.asScala.map(asJson(_, depth + 1)))
    case product: Product if product.productArity > 0 => fields(product, depth)
    case other => LaterTypes.json(other, SQLConf.get.sessionLocalTimeZone).fold[JsonNode](make.textNode(s"$other"))(Frames.mapper.readTree)
  }

  /** What stands for a map's key: a text as it is, anything else as JSON. */
  private def keyOf(key: Any): String = {
    val plain = asJson(key)
    if (plain.isTextual) plain.asText else plain.toString
  }

  private def fields(row: Any, depth: Int): JsonNode = {
    val cells = cellsOf(row)
    named(Frames.unique(cells.map(_._1)).zip(cells.map { case (_, cell) => asJson(cell, depth + 1) }))
  }

  private def named(cells: Iterable[(String, JsonNode)]): JsonNode = {
    val made = make.objectNode
    for ((name, cell) <- cells) made.set[JsonNode](name, cell)
    made
  }

  private def items(many: Iterable[JsonNode]): JsonNode = {
    val made = make.arrayNode
    many.foreach(made.add(_: JsonNode))
    made
  }
}
