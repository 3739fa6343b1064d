package scala.tools.nsc.interpreter.livius

import java.io.PrintWriter

import scala.reflect.internal.util.{CodeAction, Position}
import scala.tools.nsc.Settings
import scala.tools.nsc.interpreter.{IMain, Naming, Results}
import scala.tools.nsc.interpreter.shell.ReplReporterImpl

/** The interpreter of Scala 2.13, as far as it differs from the one of 2.12.
  *
  * @param report takes each message, with its severity; and, of code that was typed in, the line and the caret below it
  */
final class Compiler(settings: Settings, messages: PrintWriter, report: (Option[(Int, String)], String) => Unit)
    extends IMain(
      settings,
      new ReplReporterImpl(settings, messages) {
        // The shell's own form leaves out the line, because it stands above on the terminal.
        override def doReport(pos: Position, message: String, severity: Severity, actions: List[CodeAction]): Unit = {
          val where = pos.finalPosition
          val isOurs = where.isDefined && where.source.file.name == "<console>"
          report(if (isOurs) Some(where.line -> where.lineCaret) else None, s"${clabel(severity)}$message")
        }
      }
    ) {
  def begin(): Unit = initializeCompiler()

  def quietly[A](body: => A): A = reporter.withoutPrintingResults(body)

  /** The statements of a text, or why it has none. */
  def statements(code: String): Either[Results.Result, List[global.Tree]] =
    parse(code).map { case (trees, _, _) => trees.asInstanceOf[List[global.Tree]] }

  /** Compiles a text; a synthetic one defines no result. */
  def compiled(code: String, synthetic: Boolean): Either[Results.Result, Request] = compile(code, synthetic)

  /** The classes around the code of a request: their frames, and those below, are none of the code's. */
  def wrappers(request: Request): Set[String] = {
    val line = request.lineRep.packageName
    Set(s"$line.$$eval$$", s"$line.$$read$$", s"$line.$$read")
  }
}

object Compiler {

  /** A text without the wrappers' names in it. */
  def unmangle(text: String): String = Naming.unmangle(text)
}
