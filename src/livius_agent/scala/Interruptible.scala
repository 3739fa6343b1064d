package livius

import scala.tools.nsc.Global
import scala.tools.nsc.Phase
import scala.tools.nsc.plugins.{Plugin, PluginComponent}
import scala.tools.nsc.transform.TypingTransformers

/** A compiler plugin for code that people type in: its loops can be interrupted, and it cannot end Spark for others.
  *
  * Java has no other way to end a busy loop: `Thread.stop` is gone since Java 20.
  */
final class Interruptible(override val global: Global) extends Plugin {
  import global._

  val name        = "livius"
  val description = "makes loops interruptible, keeps the shared Spark context open, and has work of other threads carry its statement"
  val components  = List[PluginComponent](new Checks, new Keeps, new Carries)

  /** Puts a check at the head of all that can run more than once: loops, functions and methods.
    *
    * It works on the parsed tree: there a loop is a label still, and no generated method is in the way.
    */
  private final class Checks extends SyntaxPhase {
    val global: Interruptible.this.global.type = Interruptible.this.global
    val phaseName          = "livius-checks"
    val runsAfter          = List("parser")
    override val runsBefore = List("namer")

    protected def newTransformer(unit: CompilationUnit) = new SyntaxTransformer {
      override def transform(tree: Tree): Tree = super.transform(tree) match {
        case loop @ LabelDef(name, params, body) => treeCopy.LabelDef(loop, name, params, checked(body))
        // The typer knows the filters of a `for` with a pattern by their exact shape.
        case filter @ Function(List(ValDef(_, name, _, _)), _) if name.startsWith(nme.CHECK_IF_REFUTABLE_STRING) => filter
        case function @ Function(params, body)     => treeCopy.Function(function, params, checked(body))
        case cases @ Match(EmptyTree, branches)    => treeCopy.Match(cases, EmptyTree, branches.map(checkedBranch))
        case method: DefDef if isPlain(method)     => deriveDefDef(method)(checked)
        case other                                 => other
      }
    }

    private def checkedBranch(branch: CaseDef) = treeCopy.CaseDef(branch, branch.pat, branch.guard, checked(branch.body))

    private def checked(body: Tree): Tree = atPos(body.pos.focus) {
      val check = List("livius", "Interrupt", "check").foldLeft[Tree](Ident(nme.ROOTPKG))((path, step) => Select(path, TermName(step)))
      Block(List(Apply(check, Nil)), body)
    }

    // A constructor must begin with another one's call, and a macro's body is a reference.
    private def isPlain(method: DefDef) =
      method.rhs.nonEmpty && method.name != nme.CONSTRUCTOR && method.name != nme.MIXIN_CONSTRUCTOR && !method.mods.isMacro
  }

  /** Turns `stop()` and `close()` of a Spark session or context into a note. */
  private final class Keeps extends PluginComponent with TypingTransformers {
    val global: Interruptible.this.global.type = Interruptible.this.global
    val phaseName          = "livius-keeps"
    val runsAfter          = List("typer")
    override val runsBefore = List("patmat")

    def newPhase(previous: Phase): Phase = new StdPhase(previous) {
      private lazy val keep   = rootMirror.getRequiredModule("livius.Interrupt").info.member(TermName("keep"))
      private lazy val shared = List("sql.SparkSession", "SparkContext", "api.java.JavaSparkContext")
        .map(name => rootMirror.getClassIfDefined(s"org.apache.spark.$name")).filter(_.exists)
      private val ends = Set[Name](TermName("stop"), TermName("close"))

      def apply(unit: CompilationUnit): Unit = new TypingTransformer(unit) {
        override def transform(tree: Tree): Tree = super.transform(tree) match {
          case Apply(Select(owner, name), Nil) if ends(name) && owner.tpe != null && shared.exists(owner.tpe.baseClasses.contains) =>
            localTyper.typedPos(tree.pos)(gen.mkMethodCall(keep, List(owner)))
          case other => other
        }
      }.transformUnit(unit)
    }
  }

  /** Puts the calls of [[Carried]] around work that is handed to other threads: by futures, pools, threads and parallel collections. */
  private final class Carries extends PluginComponent with TypingTransformers {
    val global: Interruptible.this.global.type = Interruptible.this.global
    val phaseName          = "livius-carries"
    val runsAfter          = List("livius-keeps")
    override val runsBefore = List("patmat")

    def newPhase(previous: Phase): Phase = new StdPhase(previous) {
      private lazy val carried = rootMirror.getRequiredModule("livius.Carried").info

      def apply(unit: CompilationUnit): Unit = new TypingTransformer(unit) {
        override def transform(tree: Tree): Tree = super.transform(tree) match {
          case call @ Apply(function, arguments) if function.symbol != null && function.symbol.isMethod && function.tpe != null =>
            val formals = function.tpe.params.map(_.tpe)
            treeCopy.Apply(call, function, arguments.zipAll(formals.take(arguments.size), EmptyTree, NoType).map { case (argument, formal) =>
              wrapOf(function.symbol, formal.typeSymbol.fullName).fold(argument) { name =>
                val types = if (Carries.Generic(name)) List(formal) else Nil
                localTyper.typedPos(argument.pos)(gen.mkMethodCall(carried.member(TermName(name)), types, List(argument)))
              }
            })
          case other => other
        }
      }.transformUnit(unit)

      private lazy val pools   = List("Executor", "CompletionService").map(name => rootMirror.getRequiredClass(s"java.util.concurrent.$name"))
      private lazy val futures = rootMirror.getRequiredClass("java.util.concurrent.CompletionStage")

      /** The call that belongs around an argument of a method that hands work over. Data structures keep what they are given as it is. */
      private def wrapOf(method: Symbol, formal: String): Option[String] = {
        // What is static in Java belongs to an object beside the class.
        val owner               = if (method.owner.isModuleClass) method.owner.companionClass.orElse(method.owner) else method.owner
        def isIn(name: String) = owner.fullName.startsWith(s"$name.")
        val isFunctional        = formal.startsWith("java.util.function.")
        if (owner.fullName == "java.lang.Thread" || isIn("java.lang.Thread") || isIn("scala.concurrent")) Carries.Wraps.get(formal)
        else if (owner.isNonBottomSubClass(futures)) if (isFunctional) Some("functional") else Carries.Wraps.get(formal)
        else if (pools.exists(owner.isNonBottomSubClass)) {
          if (!Carries.HandOver(method.name.toString)) None
          else if (formal == "java.util.Collection") Some("callables")
          else Carries.Wraps.get(formal)
        } else if (isIn("java.util.stream") && isFunctional) Some("element")
        else if (isIn("scala.collection.parallel") && formal == "scala.Function1") Some("function")
        else None
      }
    }
  }

  private object Carries {
    val HandOver = Set("execute", "submit", "schedule", "scheduleAtFixedRate", "scheduleWithFixedDelay", "invokeAll", "invokeAny")
    val Generic  = Set("functional", "element")
    val Wraps    = Map(
      "java.lang.Runnable"                -> "runnable",
      "java.util.concurrent.Callable"     -> "callable",
      "java.util.concurrent.Executor"     -> "executor",
      "scala.concurrent.ExecutionContext" -> "context"
    )
  }
}
