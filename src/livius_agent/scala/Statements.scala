// The package is Spark's, because its lexer's stream and what sets its parser up are visible only from within it.
package org.apache.spark.sql.catalyst.parser.livius

import org.antlr.v4.runtime.{CharStreams, CommonTokenStream, Token}
import org.antlr.v4.runtime.misc.Interval
import org.apache.spark.sql.{Dataset, SparkSession, classic}
import org.apache.spark.sql.catalyst.parser.{SqlBaseLexer, UpperCaseCharStream}
import org.apache.spark.sql.catalyst.plans.logical.CommandResult
import org.apache.spark.sql.internal.VariableSubstitution

import scala.annotation.tailrec
import scala.jdk.CollectionConverters._

/** A statement, and the line of the whole text on which its text begins, from which Spark counts the lines of its errors. */
final class Statement(val text: String, val line: Int)

/** Cuts text into SQL statements, by Spark's own lexer and parser.
  *
  * Outside of a script, each semicolon that the lexer sees ends a statement. Where a script ends is for the parser to say; if it can't,
  * the rest of the text is one statement, and running it gives Spark's error.
  */
object Statements {
  import SqlBaseLexer.SEMICOLON

  /** The statements of a text for Python, to which each call costs a round trip. */
  final class Script(session: SparkSession, text: String) {
    private val cutter = new Cutter(text)

    /** The line of the next statement, a line break, and its text; null at the end. It is cut with the settings of those before it. */
    def next(): String =
      session.asInstanceOf[classic.SparkSession].withActive(cutter.next()).fold(null: String)(found => s"${found.line}\n${found.text}")

    /** Computes the first rows of a query that nobody will see. What is no query has been done when its frame was made. */
    def finish(frame: Dataset[_], rows: Int): Unit = frame.asInstanceOf[classic.Dataset[_]].queryExecution.commandExecuted match {
      case _: CommandResult => ()
      case _                => frame.take(rows): Unit
    }
  }

  /** The tokens of a text, without blanks and comments. */
  def tokens(text: String): Seq[Token] = {
    val tokens = new CommonTokenStream(lexer(stream(text)))
    tokens.fill()
    tokens.getTokens.asScala.filter(token => token.getChannel == Token.DEFAULT_CHANNEL && token.getType != Token.EOF).toSeq
  }

  private def stream(text: String) = new UpperCaseCharStream(CharStreams.fromString(text))

  private def lexer(chars: UpperCaseCharStream) = {
    val lexer = new SqlBaseLexer(chars)
    lexer.removeErrorListeners()
    lexer
  }

  /** All positions are Spark's: they count characters, for some of which Java has two. */
  private final class Cutter(text: String) {
    private val chars = stream(text)
    private var from  = 0
    private var line  = 1

    /** The next statement; None at the end. Blanks and comments alone are no statement, but a comment that does not end is an error. */
    @tailrec def next(): Option[Statement] =
      if (from >= chars.size) None
      else {
        // Each statement has a lexer of its own, as when Spark parses it: the lexer counts the brackets of types.
        chars.seek(from)
        val lexed  = lexer(chars)
        lexed.setLine(line)
        val tokens = new CommonTokenStream(lexed)
        val first  = tokens.LT(1)
        if (Scripts.mayBegin(tokens)) passScript(tokens)
        while (!Set(SEMICOLON, Token.EOF).contains(tokens.LA(1))) tokens.consume()
        val last  = tokens.LT(1)
        val piece = between(from, last.getStartIndex)
        val text  = if (from == 0) piece else piece.stripLeading
        val begin = line + piece.dropRight(text.length).count(_ == '\n')
        from = last.getStartIndex + 1
        line = last.getLine
        if (first != last || lexed.has_unclosed_bracketed_comment) Some(new Statement(text, begin)) else next()
      }

    private def passScript(tokens: CommonTokenStream): Unit = {
      val variables          = new VariableSubstitution
      val rest               = between(from, chars.size)
      val meant              = variables.substitute(rest)
      val end                = Scripts.end(meant, new CommonTokenStream(lexer(stream(meant)))).getOrElse(Int.MaxValue)
      def place(token: Token) =
        if (meant == rest) token.getStartIndex - from
        else { val before = variables.substitute(between(from, token.getStartIndex)); before.codePointCount(0, before.length) }
      while (tokens.LA(1) != Token.EOF && (tokens.LA(1) != SEMICOLON || place(tokens.LT(1)) < end)) tokens.consume()
    }

    private def between(from: Int, to: Int) = if (from == to) "" else chars.getText(Interval.of(from, to - 1))
  }
}
