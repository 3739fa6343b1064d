package livius

import java.nio.charset.StandardCharsets.UTF_8
import java.security.MessageDigest

import javax.servlet.{Filter, FilterChain, FilterConfig, ServletRequest, ServletResponse}
import javax.servlet.http.{HttpServletRequest, HttpServletResponse}

/** A filter of Spark's pages that serves callers with a token, and nobody else. */
final class OnlyWithToken extends Filter {
  private var wanted = Array.empty[Byte]

  override def init(config: FilterConfig): Unit = wanted = s"Bearer ${config.getInitParameter("token")}".getBytes(UTF_8)

  override def doFilter(request: ServletRequest, response: ServletResponse, chain: FilterChain): Unit = {
    val sent = Option(request.asInstanceOf[HttpServletRequest].getHeader("Authorization")).getOrElse("")
    if (MessageDigest.isEqual(sent.getBytes(UTF_8), wanted)) chain.doFilter(request, response)
    else response.asInstanceOf[HttpServletResponse].sendError(HttpServletResponse.SC_FORBIDDEN)
  }

  override def destroy(): Unit = {}
}
