package livius

import java.io.{File, PrintStream, PrintWriter, StringWriter}
import java.lang.reflect.{InvocationTargetException, UndeclaredThrowableException}
import java.net.URI

import org.apache.spark.sql.SparkSession

import scala.annotation.tailrec
import scala.reflect.internal.util.{CodeAction, Position}
import scala.tools.nsc.Settings
import scala.tools.nsc.interpreter.{IMain, Naming, Results}
import scala.tools.nsc.interpreter.shell.ReplReporterImpl
import scala.util.Try
import scala.util.matching.Regex

object Interpreter {

  /** Stands around user code, and only that, which is in a package of its own. */
  trait Guard {
    def user[A](codePackage: String)(body: => A): A
  }

  private val Hidden = List(
    "import org.apache.spark.SparkContext._",
    "import spark.implicits._",
    "import spark.sql",
    "import org.apache.spark.sql.functions._",
    "import org.apache.spark.util.LogUtils.SPARK_LOG_SCHEMA",
    "import _root_.livius.Display.{display, displayHTML}"
  )

  // Interpreters share a folder of classes, and name them by counting. Spark knows their classes by that very pattern, so it is the
  // numbers that must differ. Nobody types a hundred thousand cells.
  private val LinesPerInterpreter = 100000
  private val LongestResult       = 64 * 1024
  private val LongestTraceback    = 60
  // Java limits a class to 64 KiB of code and as many names; long before that the compiler takes minutes, and the driver's memory.
  private val LongestCell         = 1024 * 1024
  private val MostPieces          = 1000
  private val LastLine            = """[ \t]*%(json|table)[ \t]+(.+)""".r
  private val Magic               = """(?s)\s*(%%?[A-Za-z]\w*).*""".r
  private val Command             = """(?s)\s*(:[A-Za-z?]+)(?:\s.*)?""".r
  private val Kinds               = Map("pyspark" -> "pyspark", "python" -> "pyspark", "sql" -> "sql", "sparkr" -> "sparkr", "r" -> "sparkr")
  private val Brackets            = """[\s)}]*[)}]""".r

  /** What is before the last line, `json` or `table`, and what is to be shown. One expression for all of it would take an hour for a
    * line with many blanks.
    */
  private object Shown {
    def unapply(code: String): Option[(String, String, String)] = {
      val text            = code.stripTrailing
      val (before, last) = text.splitAt(text.lastIndexOf('\n') + 1)
      LastLine.unapplySeq(last).map { case List(how, what) => (before, how, what) }
    }
  }

  private def ourJar: String = new File(getClass.getProtectionDomain.getCodeSource.getLocation.toURI).getPath
}

/** A Scala interpreter on a session. Not for several threads at once. */
final class Interpreter(session: SparkSession, loader: ClassLoader, classDir: String, number: Int, out: PrintStream) {
  import Interpreter._

  private val messages = new StringWriter
  private var cell     = Array.empty[String]

  private val repl: IMain = {
    val settings = new Settings
    val userJars = session.sparkContext.jars.map(new URI(_))
      .filter(uri => uri.getScheme == null || uri.getScheme == "file").map(_.getPath)
    settings.processArguments(
      List("-usejavacp", "-Yrepl-class-based", "-Yrepl-outdir", classDir, "-Yrangepos", "-nowarn")
        ++ List(s"-Xplugin:$ourJar", "-Xplugin-require:livius")
        ++ (if (userJars.isEmpty) Nil else List("-classpath", userJars.mkString(File.pathSeparator))),
      processAll = true
    )
    settings.embeddedDefaults(loader)
    new IMain(settings, new ReplReporterImpl(settings, new PrintWriter(messages)) {
      // The shell's own form leaves out the line, because it stands above on the terminal.
      override def doReport(pos: Position, message: String, severity: Severity, actions: List[CodeAction]): Unit = {
        val text  = s"${clabel(severity)}$message"
        val where = pos.finalPosition
        val line  = if (where.isDefined && where.source.file.name == "<console>") cell.lift(where.line - 1) else None
        out.println(line.fold(text)(line => s"<console>:${where.line}: $text\n$line\n${where.lineCaret}"))
      }
    })
  }

  repl.initializeCompiler()
  for (_ <- 1 to number * LinesPerInterpreter) repl.naming.freshLineId()
  repl.reporter.withoutPrintingResults {
    repl.bind("spark", "_root_.org.apache.spark.sql.SparkSession", session, List("@transient"))
    repl.bind("sc", "_root_.org.apache.spark.SparkContext", session.sparkContext, List("@transient"))
    repl.bind("sqlContext", "_root_.org.apache.spark.sql.SQLContext", session.sqlContext, List("@transient"))
    Hidden.foreach(repl.interpret(_))
  }

  def run(code: String, guard: Guard): ScalaResult = code match {
    case _ if code.length > LongestCell =>
      ScalaResult.error(s"The cell has ${code.length} characters; Scala takes at most $LongestCell. Read large data from a file.")
    case _ if code.contains('\u0000') => ScalaResult.error("The code contains a NUL character. Remove it.")
    case Shown(before, how, what)      => runCell(s"${before}_root_.livius.Display.$how($what)", guard)
    case Magic(name)                   => ScalaResult.error(unknown(name))
    case Command(name) =>
      ScalaResult.error(s"$name is a command of spark-shell and has no meaning in a session. A statement may have any number of lines.")
    case _ => runCell(code, guard)
  }

  private def unknown(magic: String) = {
    val kind = Kinds.get(magic.dropWhile(_ == '%').toLowerCase).map(kind => s": send this code with the kind $kind")
    s"$magic has no meaning in Scala. A statement has one language, which its kind says${kind.getOrElse("")}. " +
      "Scala knows %json and %table, on a cell's last line."
  }

  private def runCell(code: String, guard: Guard): ScalaResult = Display.collected(runShown(code, guard)) match {
    case (ScalaResult.Ok, data) => ScalaResult.ok(data)
    case (failed, _)            => failed
  }

  private def runShown(code: String, guard: Guard): ScalaResult = {
    messages.getBuffer.setLength(0)
    cell = code.split("\n", -1)
    // Else the parser takes the errors of the cell before for its own.
    repl.reporter.reset()
    try repl.parse(code) match {
      case Left(Results.Incomplete) => ScalaResult.error("incomplete statement")
      case Left(_)                  => compilerSays()
      case Right((trees, _, _))     => runAll(pieces(code, trees.asInstanceOf[List[repl.global.Tree]]), guard)
    } catch {
      case _: InterruptedException => ScalaResult.Interrupted
      case failure: Throwable      => ScalaResult.error(s"the compiler failed: ${told(failure)}")
    }
  }

  @tailrec private def runAll(pieces: List[String], guard: Guard): ScalaResult = pieces match {
    case Nil => ScalaResult.Ok
    case piece :: rest =>
      runPiece(piece, guard) match {
        case ScalaResult.Ok => runAll(rest, guard)
        case failed         => failed
      }
  }

  private def runPiece(piece: String, guard: Guard): ScalaResult = repl.compile(piece, synthetic = false) match {
    case Left(Results.Success)    => ScalaResult.Ok
    case Left(Results.Incomplete) => ScalaResult.error("incomplete statement")
    case Left(Results.Error)      => compilerSays()
    case Right(request) =>
      val line = request.lineRep
      guard.user(line.packageName)(repl.classLoader.asContext(line.callEither(line.printName))) match {
        case Right(result) =>
          repl.recordRequest(request)
          out.print(display(s"$result", request.termNames.map(_.decoded)))
          ScalaResult.Ok
        case Left(failure) =>
          val cause = unwrapped(failure)
          if (cause.isInstanceOf[InterruptedException]) ScalaResult.Interrupted
          else if (cause.isInstanceOf[Stopped]) ScalaResult.Stopped
          else ScalaResult.error(told(cause), traceback(cause, line.packageName))
      }
  }

  private def compilerSays() =
    ScalaResult.error(if (messages.getBuffer.isEmpty) "the compiler gave no reason" else messages.toString.stripTrailing)

  /** Cuts a cell after each statement that runs something, as a shell does that is given line by line: each result is shown when it is
    * there, what was done before a failure stays, and a closure carries only what it names to the executors, not the whole cell.
    *
    * Definitions stay together, with what follows, so that they may refer to each other. But classes are cut off: the encoder of a case
    * class would ask for an instance of the wrapper around both it and its use, which is still being made.
    *
    * Blanks in place of what went before keep the positions.
    */
  private def pieces(code: String, trees: List[repl.global.Tree]): List[String] = {
    import repl.global.{DefDef, ImplDef, Import, LabelDef, Tree, TypeDef}
    def isClass(tree: Tree) = tree.isInstanceOf[ImplDef]
    def runs(tree: Tree) = tree match {
      case _: ImplDef | _: DefDef | _: TypeDef | _: Import => false
      case _                                               => true
    }
    // The parser forgets brackets around a statement; no other statement can begin with a closing one.
    def end(tree: Tree) = tree.pos.end + Brackets.findPrefixOf(code.drop(tree.pos.end)).fold(0)(_.length)
    val cuts = trees.zip(trees.drop(1)).collect {
      // What `val (a, b) = …` and `val a, b = …` stand for overlaps.
      case (tree, next) if (runs(tree) || (isClass(tree) && !isClass(next))) && end(tree) <= next.pos.start => end(tree) -> tree
    } ++ trees.lastOption.map(code.length -> _)
    val pieces = (0 :: cuts.map(_._1)).zip(cuts).to(LazyList).map { case (from, (to, last)) =>
      val before = code.take(from)
      val piece  = "\n" * before.count(_ == '\n') + " " * (from - before.lastIndexOf('\n') - 1) + code.slice(from, to)
      // The last expression becomes a field, and a loop inside an assignment is never compiled while it runs (the JVM wants an empty
      // stack for that): a hundred times slower. So the loop must not be the last.
      if (last.isInstanceOf[LabelDef]) piece + "\n()" else piece
    }
    if (cuts.size <= MostPieces && pieces.forall(repl.parse(_).isRight)) pieces.toList else List(code)
  }

  /** Writes results as Livy's clients know them: `x: Int = 1`, without `val`. Only for names that the cell defined: a value's own text
    * may have any lines.
    */
  private def display(result: String, names: List[String]): String = {
    val name = names.map(Regex.quote).mkString("(?:", "|", ")")
    val plain =
      if (names.isEmpty) result
      else result.replaceAll(s"(?m)^va[lr] (?=$name: )", "").replaceAll(s"(?m)^lazy val ($name: .*?) // unevaluated", "$1 = <lazy>\n")
    val text = Naming.unmangle(plain)
    if (text.length <= LongestResult) text
    else s"${text.take(LongestResult)}...\n(${text.length - LongestResult} characters more; print the value to see them)\n"
  }

  /** The frames of user code and of what it called; below them are only the interpreter's. */
  private def traceback(failure: Throwable, line: String): Seq[String] = {
    val own = Set(s"$line.$$eval$$", s"$line.$$read$$", s"$line.$$read")
    def frames(cause: Throwable) = {
      val all = cause.getStackTrace.toSeq.takeWhile(frame => !own(frame.getClassName))
        .map(frame => s"  at ${Naming.unmangle(frame.toString)}")
      // User code stands at the end, the reason at the beginning.
      if (all.size <= LongestTraceback) all
      else (all.take(LongestTraceback / 2) :+ "  ...") ++ all.takeRight(LongestTraceback / 2)
    }
    val causes = Iterator.iterate(failure.getCause)(_.getCause).takeWhile(_ != null).take(10)
    frames(failure) ++ causes.flatMap(cause => s"Caused by: ${told(cause)}" +: frames(cause))
  }

  /** A user's own exception may fail to say what it is. */
  private def told(failure: Throwable): String = Try(failure.toString).getOrElse {
    val named = Iterator.iterate[Class[_]](failure.getClass)(_.getSuperclass).find(!_.isAnonymousClass)
    s"${Naming.unmangle(named.fold("An exception")(_.getName))} (it has no message: getMessage failed)"
  }

  @tailrec private def unwrapped(failure: Throwable): Throwable = failure match {
    case _: InvocationTargetException | _: ExceptionInInitializerError | _: UndeclaredThrowableException if failure.getCause != null =>
      unwrapped(failure.getCause)
    case _ => failure
  }
}
