package livius

import java.net.InetSocketAddress

import org.apache.hadoop.hive.metastore.{IHMSHandler, TSetIpAddressProcessor}
import org.apache.thrift.protocol.TProtocol
import org.apache.thrift.transport.{TServerSocket, TSocket}

/** A server's socket that may make its connections another kind. */
abstract class Sockets(address: InetSocketAddress) extends TServerSocket(address) {
  protected def accepted(socket: TSocket): TSocket

  override protected def acceptImpl(): TSocket = accepted(super.acceptImpl())
}

/** A processor of calls that may do something around each. */
abstract class Processing(handler: IHMSHandler) extends TSetIpAddressProcessor[IHMSHandler](handler) {
  protected def around[A](input: TProtocol)(work: => A): A

  override def process(input: TProtocol, output: TProtocol): Boolean = around(input)(super.process(input, output))
}
