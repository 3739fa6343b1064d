package org.apache.spark.sql.catalyst.parser.livius

import org.antlr.v4.runtime.CommonTokenStream
import org.apache.spark.sql.catalyst.parser.{AbstractParser, ParseException, SqlBaseLexer, SqlBaseParser}
import org.apache.spark.sql.internal.SQLConf

/** Spark's scripts: statements between BEGIN and END. */
private[livius] object Scripts {
  import SqlBaseLexer.{BEGIN, COLON}

  /** Whether what comes next may be one. */
  def mayBegin(tokens: CommonTokenStream): Boolean = tokens.LA(1) == BEGIN || tokens.LA(2) == COLON && tokens.LA(3) == BEGIN

  /** Where the script ends with which a text begins; None if Spark's parser finds no whole one. */
  def end(text: String, tokens: CommonTokenStream): Option[Int] = {
    val parser = new SqlBaseParser(tokens)
    try {
      AbstractParser.configureParser(parser, text, tokens, SQLConf.get)
      AbstractParser.executeWithTwoStageStrategy(parser, tokens, (parser: SqlBaseParser) => parser.beginEndCompoundBlock())
      Some(tokens.LT(-1).getStopIndex + 1)
    } catch { case _: ParseException | _: StackOverflowError => None }
  }
}
