import scala.concurrent.ExecutionContext
import scala.reflect.NameTransformer
import scala.util.Try
import scala.util.matching.Regex

/** What Scala 2.13 has and 2.12 lacks, of what we use. */
package object livius {
  implicit class LaterOption(companion: Option.type) {
    def when[A](condition: Boolean)(value: => A): Option[A]   = if (condition) Some(value) else None
    def unless[A](condition: Boolean)(value: => A): Option[A] = when(!condition)(value)
  }

  implicit class LaterContexts(companion: ExecutionContext.type) {
    /** There is none that code could name. */
    def parasitic: ExecutionContext = null
  }

  implicit class LaterString(text: String) {
    def toIntOption: Option[Int] = Try(text.toInt).toOption
  }

  implicit class LaterRegex(pattern: Regex) {
    def matches(text: CharSequence): Boolean =
      pattern.unapplySeq(text).nonEmpty
  }

  implicit class LaterIterator[A](all: Iterator[A]) {
    def nextOption(): Option[A] = if (all.hasNext) Some(all.next()) else None
    def distinct: Iterator[A] = {
      val seen = scala.collection.mutable.Set.empty[A]
      all.filter(seen.add)
    }
  }

  implicit class LaterSeq[A](all: Seq[A]) {
    def groupMap[K, B](key: A => K)(value: A => B): Map[K, Seq[B]] = all.groupBy(key).map { case (name, some) => name -> some.map(value) }
    def minByOption[B: Ordering](by: A => B): Option[A]            = if (all.isEmpty) None else Some(all.minBy(by))
    def distinctBy[B](by: A => B): Seq[A] = {
      val seen = scala.collection.mutable.Set.empty[B]
      all.filter(one => seen.add(by(one)))
    }
  }

  implicit class LaterMap[K, V](map: scala.collection.mutable.Map[K, V]) {
    def filterInPlace(keep: (K, V) => Boolean): Unit = map.retain(keep): Unit
  }

  implicit class LaterProduct(product: Product) {

    /** The names of a case class's fields, which 2.12 does not keep: those of Java's fields, in their order. */
    def productElementNames: Iterator[String] = {
      val count    = product.productArity
      val fields   = product.getClass.getDeclaredFields.filterNot(_.isSynthetic).map(field => NameTransformer.decode(field.getName)).take(count)
      val unnamed  = (1 to count).map(at => s"_$at")
      if (product.productPrefix.startsWith("Tuple") || fields.length < count) unnamed.iterator else fields.iterator
    }
  }
}
