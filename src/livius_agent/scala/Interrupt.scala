package livius

/** What the compiler plugin makes user code call. Executors run these too, so they need nothing but Scala. */
object Interrupt {

  /** Gives a loop that never blocks a point where `Thread.interrupt` ends it. */
  def check(): Unit = if (Thread.interrupted()) throw new InterruptedException("the thread was interrupted")

  /** Stands in for `stop()` and `close()` of what all repls of a driver share. */
  def keep(shared: Any): Unit = println(
    s"${shared.getClass.getSimpleName} belongs to the driver and stays open: stop() has no effect here. End the session instead."
  )
}
