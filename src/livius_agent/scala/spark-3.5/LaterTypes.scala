package org.apache.spark.sql.livius

import java.time.ZoneId

import com.fasterxml.jackson.core.JsonGenerator

import org.apache.spark.sql.types.DataType

/** Values of types that only later versions of Spark have: there are none. */
object LaterTypes {
  def write(kind: DataType, zone: ZoneId, depth: Int): Option[(JsonGenerator, Any) => Unit] = None
  def json(value: Any, zone: String): Option[String]                                       = None

  def variant(value: Array[Byte], metadata: Array[Byte], zone: String): String = throw new UnsupportedOperationException("Spark 3.5 has no variants.")
}
