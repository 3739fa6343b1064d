// The package is the compiler's: what compiles a text without running it is visible only from within it.
package scala.tools.nsc.interpreter.livius

import java.io.PrintWriter

import scala.reflect.internal.util.Position
import scala.tools.nsc.Settings
import scala.tools.nsc.interpreter.{IMain, Naming, ReplReporter, Results}

/** The interpreter of Scala 2.12, as far as it differs from the one of 2.13.
  *
  * @param report takes each message, with its severity; and, of code that was typed in, the line and the caret below it
  */
final class Compiler(settings: Settings, messages: PrintWriter, report: (Option[(Int, String)], String) => Unit)
    extends IMain(settings, messages) {
  override lazy val reporter: ReplReporter = new ReplReporter(this) {
    override def display(pos: Position, message: String, severity: Severity): Unit = {
      val where  = pos.finalPosition
      val isOurs = where.isDefined && where.source.file.name == "<console>"
      report(if (isOurs) Some(place(new String(where.source.content), where.point)) else None, s"${clabel(severity)}$message")
    }
  }

  private var typed    = ""
  private var compiles = Option.empty[Request]

  def begin(): Unit = initializeSynchronous()

  def quietly[A](body: => A): A = beSilentDuring(body)

  /** The statements of a text, or why it has none. */
  def statements(code: String): Either[Results.Result, List[global.Tree]] = {
    typed = code
    compiles = None
    parse(code) match {
      case parse.Success(trees)    => Right(trees.asInstanceOf[List[global.Tree]])
      case parse.Incomplete(_)     => Left(Results.Incomplete)
      case parse.Error(_)          => Left(Results.Error)
    }
  }

  /** Compiles a text; a synthetic one defines no result. */
  def compiled(code: String, synthetic: Boolean): Either[Results.Result, Request] = {
    typed = code
    compiles = None
    requestFromLine(code.drop(blanks(code)), synthetic).flatMap { request =>
      compiles = Option(request)
      if (request != null && request.compile) Right(request) else Left(Results.Error)
    }
  }

  /** The classes around the code of a request: their frames, and those below, are none of the code's. */
  def wrappers(request: Request): Set[String] = {
    val line  = request.lineRep.packageName
    val inner = request.accessPath.split('.').filter(_.nonEmpty).scanLeft(s"$line.$$read")((outer, name) => s"$outer$$$name")
    Set(s"$line.$$eval$$", s"$line.$$read$$", s"$line.$$eval") ++ inner.init
  }

  /** The beginning of an assignment is put before an expression; then there may be neither an empty line nor the end of a statement. */
  private def blanks(code: String): Int = Compiler.Blanks.findPrefixOf(code).fold(0)(_.length)

  /** The line of the typed text, and the caret below it, that belong to a point of the source that was made of it.
    *
    * The compiler gets wrappers around a text, and the beginning of an assignment before its last expression.
    */
  private def place(source: String, point: Int): (Int, String) = {
    val blank = blanks(typed)
    val code  = typed.drop(blank)
    val at = compiles.fold(point) { request =>
      val made   = request.line
      val before = request.ObjectSourceCode.preamble
      val inMade = point - (source.indexOf(before) + before.length - made.length)
      val more   = made.length - code.length
      val same   = made.zip(code).takeWhile { case (one, other) => one == other }.length
      val cut    = (0 to same).reverse.find(at => made.drop(at + more) == code.drop(at)).getOrElse(same)
      blank + (if (inMade < cut) inMade else math.max(cut, inMade - more))
    }
    val upTo = typed.take(at)
    (upTo.count(_ == '\n') + 1, upTo.drop(upTo.lastIndexOf('\n') + 1).map(char => if (char == '\t') '\t' else ' ') + "^")
  }
}

object Compiler {
  private val Blanks = """(?s)(?:[\s;]|//[^\n]*|/\*.*?\*/)+""".r

  private object naming extends Naming {
    override val freshLineId: () => Int = () => 0
  }

  /** A text without the wrappers' names in it. */
  def unmangle(text: String): String = naming.unmangle(text)
}
