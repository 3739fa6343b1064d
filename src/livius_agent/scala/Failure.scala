package livius

import java.lang.reflect.{InvocationTargetException, UndeclaredThrowableException}
import java.util.concurrent.ExecutionException

import org.apache.spark.SparkException
import org.apache.spark.sql.livius.Version

import scala.annotation.tailrec
import scala.tools.nsc.interpreter.livius.Compiler
import scala.util.Try

/** What is said of an exception: the same, whichever language the statement is in. */
final class Failure(given: Throwable) {
  import Failure._

  /** What the code threw, without what reflection puts around it. */
  val thrown: Throwable = thrownBy(given)

  private val what = meant(thrown)

  /** Begins with the bracketed class, if the error has one. */
  val message: String = textOf(what) + reasonOf(what)

  /** The same, but an error without a bracketed class begins with its Java class. */
  val named: String = withClass(what) + reasonOf(what)

  /** The Java stack, with those of the causes. Each has at most `most` lines, and it is said where it is cut. */
  def stack(most: Int): String = stack(most, _ => true).mkString("\n")

  /** The same, as far as the frames are the code's. */
  private[livius] def stack(most: Int, isOf: StackTraceElement => Boolean): Seq[String] = {
    def frames(cause: Throwable) = {
      val all = inner(cause.getStackTrace.toSeq.takeWhile(isOf)).filterNot(_.getClassName.startsWith(Ours)).map(frame => s"  at ${Compiler.unmangle(frame.toString)}")
      // The reason is at the beginning, the user's own code often at the end.
      if (all.size <= most) all
      else (all.take(most / 2) :+ s"  ... (${all.size - most} more lines)") ++ all.takeRight(most - most / 2)
    }
    val more = if (chain(thrown).drop(MostCauses).hasNext) Seq("... (further causes are left out)") else Nil
    frames(thrown) ++ causes(thrown).drop(1).flatMap(cause => s"Caused by: ${cut(withClass(cause))}" +: frames(cause)) ++ more
  }
}

object Failure {
  private val MostCauses   = 10
  private val LongestCause = 2000
  private val Bracketed    = """(?s)\[[A-Z][A-Z0-9_.]*\].*""".r
  /** Errors that say which file was read or written when it happened, and not what happened. */
  private val OnlyWhere    = Seq("[TASK_WRITE_FAILED]", "[FAILED_READ_FILE.NO_HINT]")
  private val Aborted      = "Job aborted"
  private val Awaited      = "Exception thrown in awaitResult"
  private val FromTask     = "most recent failure: "
  private val OnExecutor   = "(executor "
  private val Ours       = "livius."
  private val Reflection = Seq("jdk.internal.reflect.", "java.lang.reflect.")

  /** An exception and its causes, each once: a chain may lead back into itself. */
  private def chain(failure: Throwable): Iterator[Throwable] =
    Iterator.iterate(failure)(_.getCause).takeWhile(_ != null).take(2 * MostCauses).distinct

  private def causes(failure: Throwable): Seq[Throwable] = chain(failure).take(MostCauses).toSeq

  @tailrec private def thrownBy(failure: Throwable): Throwable = failure match {
    case _: InvocationTargetException | _: ExceptionInInitializerError | _: UndeclaredThrowableException if failure.getCause != null =>
      thrownBy(failure.getCause)
    case _ => failure
  }

  /** The exception that says what happened, behind those that say only where. */
  @tailrec private def meant(failure: Throwable): Throwable = failure match {
    case _ if failure.getCause == null                                               => failure
    case _: ExecutionException                                                       => meant(failure.getCause)
    case spark: SparkException if Version.condition(spark) == null && saysOnlyWhere(spark) => meant(failure.getCause)
    case _                                                                           => failure
  }

  /** The frames up to Python's call. */
  private def inner(frames: Seq[StackTraceElement]) = {
    val called = frames.takeWhile(!_.getClassName.startsWith("py4j."))
    if (called.size == frames.size) frames
    else called.take(called.lastIndexWhere(frame => !Reflection.exists(frame.getClassName.startsWith)) + 1)
  }

  private def saysOnlyWhere(failure: SparkException) = {
    val text = messageOf(failure).getOrElse("")
    text.isEmpty || text.startsWith(Aborted) || text.startsWith(Awaited) || causes(failure.getCause).exists(isBracketed)
  }

  /** The innermost cause that has a bracketed class, where the error itself does not say what happened. */
  private def reasonOf(failure: Throwable): String =
    if (!messageOf(failure).exists(text => OnlyWhere.exists(text.startsWith(_)))) ""
    else causes(failure).drop(1).filter(isBracketed).lastOption.fold("")(cause => s"\nCaused by: ${cut(textOf(cause))}")

  /** Spark keeps the class to itself. */
  private def isOfPython(failure: Throwable) = failure.getClass.getName == "org.apache.spark.api.python.PythonException"

  private def isBracketed(failure: Throwable) = messageOf(failure).exists(Bracketed.matches)

  /** A user's own exception may fail to say what it is. */
  private def messageOf(failure: Throwable): Option[String] = Try(Option(failure.getMessage)).toOption.flatten

  private def textOf(failure: Throwable): String = {
    val text = messageOf(failure).getOrElse("")
    failure match {
      case _ if isOfPython(failure) => s"An exception was thrown from the Python worker. Please see the stack trace below.\n${text.trim}"
      case _: SparkException        => withoutFrames(ofTask(text).getOrElse(text))
      case _                        => withoutFrames(text)
    }
  }

  /** What a task's failure says, if the exception itself could not be sent from there: `Job aborted … (executor 1): Class: text`. */
  private def ofTask(text: String): Option[String] = {
    def after(mark: String, from: Int) = Some(text.indexOf(mark, from)).filter(_ >= 0).map(_ + mark.length)
    for {
      failed   <- after(FromTask, 0) if text.startsWith(Aborted)
      executor <- after(OnExecutor, failed)
      said     <- after("): ", executor)
    } yield {
      val named = text.substring(said)
      Some(named.split(": ", 2)).collect { case Array(_, message @ Bracketed()) => message }.getOrElse(named)
    }
  }

  /** Nobody reads the Java stacks inside a text to their end. */
  private def withoutFrames(text: String): String = {
    val kept = Seq.newBuilder[String]
    var left = 0
    def note(): Unit = {
      if (left > 0) kept += s"  ... ($left lines of a Java stack)"
      left = 0
    }
    for (line <- text.split("\n\nDriver stacktrace:", 2).head.linesIterator)
      if (isFrame(line)) left += 1
      else {
        note()
        kept += line
      }
    note()
    kept.result().mkString("\n").trim
  }

  private def isFrame(line: String) = line.headOption.exists(_.isWhitespace) && {
    val text = line.trim
    (text.startsWith("at ") && text.endsWith(")")) || (text.startsWith("... ") && text.endsWith(" more"))
  }

  private def withClass(failure: Throwable): String = (textOf(failure), failure) match {
    case (text @ Bracketed(), _)                                                  => text
    case (text, _) if isOfPython(failure)                                         => text
    case (text, _: SparkException) if messageOf(failure).flatMap(ofTask).nonEmpty => text
    case _ => Try(withoutFrames(Compiler.unmangle(failure.toString))).getOrElse(s"${nameOf(failure)} (it has no message: getMessage failed)")
  }

  private def cut(text: String) =
    if (text.length <= LongestCause) text else s"${text.take(LongestCause)}... (${text.length - LongestCause} more characters)"

  private def nameOf(failure: Throwable) = {
    val named = Iterator.iterate[Class[_]](failure.getClass)(_.getSuperclass).find(!_.isAnonymousClass)
    Compiler.unmangle(named.fold("An exception")(_.getName))
  }
}
