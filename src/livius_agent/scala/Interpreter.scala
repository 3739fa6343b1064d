package livius

import java.io.{File, PrintStream, PrintWriter, StringWriter}
import java.net.URI
import java.util.concurrent.{Callable, ExecutionException, ExecutorService}

import com.google.common.util.concurrent.Uninterruptibles
import org.apache.spark.sql.SparkSession
import org.apache.spark.sql.livius.Version

import scala.annotation.tailrec
import scala.tools.nsc.Settings
import scala.tools.nsc.interpreter.Results
import scala.tools.nsc.interpreter.livius.Compiler
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
    "import _root_.livius.Display.{display, displayHTML}"
  ) ++ Version.Imports

  private val Practice = List(
    """spark.sql("select 1 as one").show()""",
    """spark.table("t").filter(col("a") > 1).groupBy("b").agg(sum("c").as("d")).orderBy("b").collect().foreach(println)""",
    """Seq((1, "a")).toDF("n", "s").as[(Int, String)].map(_._1).reduce(_ + _)"""
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

  /** Compiled code: the object whose method runs it, and the names that it defines once it has run. */
  private final case class Compiled(packageName: String, path: String, method: String, wrappers: Set[String], define: () => List[String])

  private def ourJar: String = new File(getClass.getProtectionDomain.getCodeSource.getLocation.toURI).getPath
}

/** A Scala interpreter on a session. Not for several threads at once.
  *
  * User code runs on the caller's thread, with `loader` alone; the compiler works on a thread of its own. So neither can harm the other:
  * the loader that IMain has looks names up in the compiler's symbol table, which only one thread may touch, and an interrupt would
  * close the compiler's files.
  *
  * @param compiler has one thread
  */
final class Interpreter(
    session: SparkSession,
    loader: ClassLoader,
    classDir: String,
    number: Int,
    out: PrintStream,
    compiler: ExecutorService
) {
  import Interpreter._

  private val messages = new StringWriter
  private var cell     = Array.empty[String]

  private val repl: Compiler = compiling {
    val repl = made()
    repl.begin()
    for (_ <- 1 to number * LinesPerInterpreter) repl.naming.freshLineId()
    repl.quietly {
      repl.bind("spark", "_root_.org.apache.spark.sql.SparkSession", session, List("@transient"))
      repl.bind("sc", "_root_.org.apache.spark.SparkContext", session.sparkContext, List("@transient"))
      repl.bind("sqlContext", "_root_.org.apache.spark.sql.SQLContext", session.sqlContext, List("@transient"))
      Hidden.foreach(repl.interpret(_))
    }
    repl
  }

  private def made() = {
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
    val said = new PrintWriter(messages, true)
    new Compiler(settings, said, (place, text) => {
      val shown = for ((number, caret) <- place; line <- cell.lift(number - 1)) yield s"<console>:$number: $text\n$line\n$caret"
      said.println(shown.getOrElse(text))
    })
  }

  /** Does a piece of the compiler's work on its thread. An interrupt of the caller waits for the end of it. */
  private def compiling[A](body: => A): A = {
    val work: Callable[A] = () => body
    try Uninterruptibles.getUninterruptibly(compiler.submit(work))
    catch { case failure: ExecutionException => throw failure.getCause }
  }

  /** Compiles what code often begins with, and forgets it: each compiler reads the classes that code names for itself. Nothing is run, no
    * name is defined, and no result's number is used up.
    */
  def practise(): Unit = compiling(Practice.foreach(repl.compiled(_, synthetic = true)))

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

  private def runShown(code: String, guard: Guard): ScalaResult =
    try compiling(parsed(code)).fold(identity, runAll(_, guard))
    catch {
      case _: InterruptedException => ScalaResult.Interrupted
      case failure: Throwable      => ScalaResult.error(s"the compiler failed: ${new Failure(failure).named}")
    }

  private def parsed(code: String): Either[ScalaResult, List[String]] = {
    messages.getBuffer.setLength(0)
    cell = code.split("\n", -1)
    // Else the parser takes the errors of the cell before for its own.
    repl.reporter.reset()
    repl.statements(code) match {
      case Left(Results.Incomplete) => Left(ScalaResult.error("incomplete statement"))
      case Left(_)                  => Left(compilerSays())
      case Right(trees)             => Right(pieces(code, trees))
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

  private def compiled(piece: String): Either[ScalaResult, Compiled] = repl.compiled(piece, synthetic = false) match {
    case Left(Results.Success)    => Left(ScalaResult.Ok)
    case Left(Results.Incomplete) => Left(ScalaResult.error("incomplete statement"))
    case Left(Results.Error)      => Left(compilerSays())
    case Right(request) =>
      val line = request.lineRep
      Right(Compiled(line.packageName, line.evalPath, line.printName, repl.wrappers(request), { () =>
        repl.recordRequest(request)
        request.termNames.map(_.decoded)
      }))
  }

  private def runPiece(piece: String, guard: Guard): ScalaResult = compiling(compiled(piece)).fold(
    identity,
    code =>
      guard.user(code.packageName)(result(code)) match {
        case Right(result) =>
          out.print(display(s"$result", compiling(code.define())))
          ScalaResult.Ok
        case Left(failure) if failure.thrown.isInstanceOf[Stopped] => ScalaResult.Stopped
        case Left(failure)                                         => ScalaResult.error(failure.named, traceback(failure, code.wrappers))
      }
  )

  private def result(code: Compiled): Either[Failure, AnyRef] =
    try Right(Class.forName(code.path, true, loader).getMethod(code.method).invoke(null))
    catch { case failure: Throwable => Left(new Failure(failure)) }

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
    lazy val pieces = (0 :: cuts.map(_._1)).zip(cuts).map { case (from, (to, last)) =>
      val before = code.take(from)
      val piece  = "\n" * before.count(_ == '\n') + " " * (from - before.lastIndexOf('\n') - 1) + code.slice(from, to)
      // The last expression becomes a field, and a loop inside an assignment is never compiled while it runs (the JVM wants an empty
      // stack for that): a hundred times slower. So the loop must not be the last.
      if (last.isInstanceOf[LabelDef]) piece + "\n()" else piece
    }
    if (cuts.size <= MostPieces && pieces.forall(repl.statements(_).isRight)) pieces else List(code)
  }

  /** Writes results as Livy's clients know them: `x: Int = 1`, without `val`. Only for names that the cell defined: a value's own text
    * may have any lines.
    */
  private def display(result: String, names: List[String]): String = {
    val name = names.map(Regex.quote).mkString("(?:", "|", ")")
    val plain =
      if (names.isEmpty) result
      else result.replaceAll(s"(?m)^va[lr] (?=$name: )", "").replaceAll(s"(?m)^lazy val ($name: .*?) // unevaluated", "$1 = <lazy>\n")
    val text = Compiler.unmangle(plain)
    if (text.length <= LongestResult) text
    else s"${text.take(LongestResult)}...\n(${text.length - LongestResult} characters more; print the value to see them)\n"
  }

  /** The frames of user code and of what it called; below them are only the interpreter's. */
  private def traceback(failure: Failure, wrappers: Set[String]): Seq[String] =
    failure.stack(LongestTraceback, frame => !wrappers(frame.getClassName))
}
