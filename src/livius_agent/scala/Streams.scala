package livius

import java.io.{EOFException, FileOutputStream, InputStream, OutputStream, PrintStream}
import java.nio.charset.StandardCharsets.UTF_8

/** Lets each thread have its own standard streams, and the threads it starts after it.
  *
  * `Console.withOut` alone would miss what Java code prints.
  */
object Streams {
  private val target   = new InheritableThreadLocal[OutputStream]
  private val original = System.out

  private final class Forward(default: OutputStream) extends OutputStream {
    private def to = Option(target.get).getOrElse(default)
    override def write(byte: Int): Unit                                       = to.write(byte)
    override def write(bytes: Array[Byte], offset: Int, length: Int): Unit = to.write(bytes, offset, length)
    override def flush(): Unit                                              = to.flush()
  }

  /** Nobody types into a driver; but SparkSubmit's own thread waits on the real input. */
  private final class Input(real: InputStream) extends InputStream {
    private def from                                                       = if (target.get == null) real else NoInput
    override def read(): Int                                               = from.read()
    override def read(bytes: Array[Byte], offset: Int, length: Int): Int = from.read(bytes, offset, length)
    override def available(): Int                                          = from.available()
  }

  private object NoInput extends InputStream {
    override def read(): Int      = throw new EOFException("There is no input in a session: nobody is there to type.")
    override def available(): Int = 0
  }

  private lazy val installed: Unit = {
    System.setOut(new PrintStream(new Forward(System.out), true, UTF_8))
    System.setErr(new PrintStream(new Forward(System.err), true, UTF_8))
    System.setIn(new Input(System.in))
  }

  def install(): Unit = installed

  /** Sends all output of the body, and of threads it starts, to one place. */
  def redirected[A](to: PrintStream)(body: => A): A = {
    val before = target.get
    target.set(to)
    try Console.withOut(to)(Console.withErr(to)(Console.withIn(NoInput)(body)))
    finally if (before == null) target.remove() else target.set(before)
  }

  /** A named pipe that is opened at the first byte, and unbuffered: what is printed is seen at once.
    *
    * Threads of a statement may outlive its repl; what they print then goes where the driver's own output goes.
    */
  final class Pipe(path: String) extends OutputStream {
    private var isClosed               = false
    private var file: FileOutputStream = _

    private def to: OutputStream = synchronized {
      if (isClosed) original
      else {
        if (file == null) file = new FileOutputStream(path)
        file
      }
    }

    override def write(byte: Int): Unit                                       = to.write(byte)
    override def write(bytes: Array[Byte], offset: Int, length: Int): Unit = to.write(bytes, offset, length)
    override def close(): Unit = synchronized {
      isClosed = true
      if (file != null) file.close()
    }
  }
}
