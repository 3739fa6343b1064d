package livius

import scala.tools.nsc.Global
import scala.tools.nsc.Phase
import scala.tools.nsc.plugins.{Plugin, PluginComponent}
import scala.tools.nsc.transform.{Transform, TypingTransformers}

/** A compiler plugin for code that people type in: its loops can be interrupted, and it cannot end Spark for others.
  *
  * Java has no other way to end a busy loop: `Thread.stop` is gone since Java 20.
  */
final class Interruptible(override val global: Global) extends Plugin {
  import global._

  val name        = "livius"
  val description = "makes loops interruptible and keeps the shared Spark context open"
  val components  = List[PluginComponent](new Checks, new Keeps)

  /** Puts a check at the head of all that can run more than once: loops, functions and methods.
    *
    * It works on the parsed tree: there a loop is a label still, and no generated method is in the way.
    */
  private final class Checks extends PluginComponent with Transform {
    val global: Interruptible.this.global.type = Interruptible.this.global
    val phaseName          = "livius-checks"
    val runsAfter          = List("parser")
    override val runsBefore = List("namer")

    protected def newTransformer(unit: CompilationUnit) = new AstTransformer {
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
}
