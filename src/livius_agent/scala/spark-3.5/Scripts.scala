package org.apache.spark.sql.catalyst.parser.livius

import org.antlr.v4.runtime.CommonTokenStream

/** Scripts, which came with Spark 4. */
private[livius] object Scripts {
  def mayBegin(tokens: CommonTokenStream): Boolean                 = false
  def end(text: String, tokens: CommonTokenStream): Option[Int] = None
}
