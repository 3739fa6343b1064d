package org.apache.spark.sql.livius

import java.io.StringWriter
import java.math.{BigDecimal => JavaDecimal}
import java.time.ZoneId

import com.fasterxml.jackson.core.{JsonFactory, JsonGenerator}

import org.apache.spark.sql.catalyst.util.{DateTimeUtils, STUtils}
import org.apache.spark.sql.types._
import org.apache.spark.types.variant.Variant
import org.apache.spark.types.variant.VariantUtil.Type
import org.apache.spark.unsafe.types.{GeographyVal, GeometryVal, VariantVal}

import scala.util.Try

/** Values of types that older versions of Spark don't have, as JSON. */
object LaterTypes {

  /** What writes values of a type; None if it is not one of these. */
  def write(kind: DataType, zone: ZoneId, depth: Int): Option[(JsonGenerator, Any) => Unit] = kind match {
    // Spark has no text for these yet; their bytes are in the form WKB.
    case _: GeometryType  => Some((json, value) => json.writeBinary(STUtils.stAsBinary(value.asInstanceOf[GeometryVal])))
    case _: GeographyType => Some((json, value) => json.writeBinary(STUtils.stAsBinary(value.asInstanceOf[GeographyVal])))
    case VariantType      => Some((json, value) => variant(json, of(value.asInstanceOf[VariantVal]), zone, depth))
    case _                => None
  }

  /** A collected value as JSON; None if it is of no such type. */
  def json(value: Any, zone: String): Option[String] = value match {
    case value: VariantVal => Some(variant(value.getValue, value.getMetadata, zone))
    case _                 => None
  }

  /** A variant as JSON. */
  def variant(value: Array[Byte], metadata: Array[Byte], zone: String): String = {
    val text = new StringWriter
    val json = factory.createGenerator(text)
    variant(json, new Variant(value, metadata), DateTimeUtils.getZoneId(zone), 1)
    json.close()
    text.toString
  }

  private val factory = new JsonFactory

  private def of(value: VariantVal) = new Variant(value.getValue, value.getMetadata)

  /** A variant as `to_json` writes it, but for decimals that readers of JSON, which have doubles, would change. */
  private def variant(json: JsonGenerator, value: Variant, zone: ZoneId, depth: Int): Unit = value.getType match {
    case Type.OBJECT | Type.ARRAY if depth > Frames.Deepest => json.writeString(Frames.TooDeep)
    case Type.OBJECT =>
      json.writeStartObject()
      for (at <- 0 until value.objectSize) {
        val field = value.getFieldAtIndex(at)
        json.writeFieldName(field.key)
        variant(json, field.value, zone, depth + 1)
      }
      json.writeEndObject()
    case Type.ARRAY =>
      json.writeStartArray()
      for (at <- 0 until value.arraySize) variant(json, value.getElementAtIndex(at), zone, depth + 1)
      json.writeEndArray()
    case Type.DECIMAL =>
      val number = value.getDecimal
      if (survives(number)) json.writeRawValue(number.toPlainString) else json.writeString(number.toPlainString)
    case _ => json.writeRawValue(value.toJson(zone))
  }

  private def survives(number: JavaDecimal): Boolean =
    (number.scale <= 0 && Try(number.longValueExact).isSuccess) || new JavaDecimal(number.doubleValue.toString).compareTo(number) == 0
}
