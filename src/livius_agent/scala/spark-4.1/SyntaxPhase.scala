package livius

import scala.tools.nsc.plugins.PluginComponent
import scala.tools.nsc.transform.Transform

/** A phase of the compiler that works on the parsed tree. */
abstract class SyntaxPhase extends PluginComponent with Transform {
  abstract class SyntaxTransformer extends global.AstTransformer
}
