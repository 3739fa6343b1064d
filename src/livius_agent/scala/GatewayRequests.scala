package livius

import java.util.Base64
import java.util.concurrent.{CompletableFuture, ConcurrentHashMap, LinkedBlockingQueue, TimeUnit, TimeoutException}
import java.util.concurrent.atomic.AtomicLong

import com.fasterxml.jackson.databind.{JsonNode, ObjectMapper}
import com.fasterxml.jackson.databind.node.ObjectNode

import scala.jdk.CollectionConverters._
import scala.util.Try

/** What user code asks that only the gateway can answer: it waits here, and the agent carries question and answer. */
final class GatewayRequests private[livius] {
  import GatewayRequests._

  private val waiting = new LinkedBlockingQueue[ObjectNode](Most)
  private val open    = new ConcurrentHashMap[Long, CompletableFuture[String]]
  private val count   = new AtomicLong

  /** Asks, and waits for the answer as JSON: an object with `value`, or with `error` and `code`.
    *
    * @param arguments a JSON object of strings
    */
  def ask(repl: String, what: String, arguments: String): String = {
    val id     = count.incrementAndGet
    val answer = new CompletableFuture[String]
    val body   = json.createObjectNode.put("id", id).put("repl", repl).put("what", what)
    body.set[ObjectNode]("arguments", json.readTree(arguments))
    open.put(id, answer)
    try {
      if (!waiting.offer(body)) failed("TooManyQuestions", s"More than $Most questions to the gateway wait already. Ask one after the other.")
      else answer.get(WithinSeconds, TimeUnit.SECONDS)
    } catch {
      case _: TimeoutException =>
        failed("GatewayUnreachable", s"The gateway did not answer within $WithinSeconds seconds. It may be starting again: try again.")
    } finally open.remove(id)
  }

  /** The next question as JSON, or null where none comes within the time. */
  def next(millis: Long): String = Option(waiting.poll(millis, TimeUnit.MILLISECONDS)).map(_.toString).orNull

  def answer(id: Long, text: String): Unit = Option(open.get(id)).foreach(_.complete(text))
}

object GatewayRequests {
  private val Most          = 100
  private val WithinSeconds = 40
  private val json          = new ObjectMapper

  private def failed(code: String, sentence: String) = json.createObjectNode.put("error", sentence).put("code", code).toString

  /** The repl whose statement runs on this thread, or on the one that started it. */
  private[livius] val repl = new InheritableThreadLocal[String]

  /** Requests for Scala code, whose answer is what stands under `value`. */
  def of(what: String, arguments: (String, String)*): JsonNode = {
    val body = json.createObjectNode
    for ((name, value) <- arguments) body.put(name, value)
    val answer = json.readTree(Driver.running.ask(Option(repl.get).getOrElse(""), what, body.toString))
    if (answer.has("error")) throw new notebookutils.NotebookUtilsException(answer.get("error").asText)
    answer.get("value")
  }

  /** Whether a text is a token whose time has come and not passed; who signed it is for its receiver to see. */
  def isCurrent(token: String): Boolean = Try {
    val claims = json.readTree(Base64.getUrlDecoder.decode(token.split('.')(1)))
    val now    = System.currentTimeMillis / 1000
    token.count(_ == '.') == 2 && claims.get("exp").asLong > now && (!claims.has("nbf") || claims.get("nbf").asLong <= now)
  }.getOrElse(false)

  def plain(node: JsonNode): Map[String, Any] = node.fields.asScala.map { entry =>
    entry.getKey -> (entry.getValue match {
      case value if value.isNull    => null
      case value if value.isBoolean => value.asBoolean
      case value                    => value.asText
    })
  }.toMap
}

/** Ends a statement whose session is to end after it. */
final class Stopped extends scala.util.control.ControlThrowable
