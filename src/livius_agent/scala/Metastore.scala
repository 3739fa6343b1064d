package livius

import java.net.{InetAddress, InetSocketAddress}
import java.nio.channels.FileChannel
import java.nio.file.{Files, Path, Paths}
import java.nio.file.StandardCopyOption.ATOMIC_MOVE
import java.nio.file.StandardOpenOption.{CREATE, WRITE}
import java.sql.{DriverManager, SQLException}
import java.util.concurrent.TimeUnit

import org.apache.hadoop.hive.conf.HiveConf
import org.apache.hadoop.hive.metastore.HiveMetaStore.HMSHandler
import org.apache.hadoop.hive.metastore.{HiveMetaStore, IHMSHandler, TSetIpAddressProcessor}
import org.apache.logging.log4j.Level
import org.apache.logging.log4j.core.config.Configurator
import org.apache.thrift.protocol.TProtocol
import org.apache.thrift.server.{ServerContext, TServerEventHandler, TThreadPoolServer}
import org.apache.thrift.transport.{TServerSocket, TTransport}

/** A Hive Metastore over a Derby database of its own, reachable from this machine only.
  *
  * Hive's own main class listens on every interface and knows no setting against it; and it wants files of configuration.
  */
object Metastore {
  private val LookEvery = 5
  private val MaxClients = 200 // each connection of a driver holds a thread

  // Derby would notice a second metastore as well, but late and at length. A channel that nobody refers to is closed.
  private var lock: FileChannel = _

  def main(arguments: Array[String]): Unit = {
    val options = arguments.grouped(2).collect { case Array(key, value) => key -> value }.toMap
    val data    = Paths.get(options("--data")).toAbsolutePath
    Files.createDirectories(data)
    lock = FileChannel.open(data.resolve("lock"), CREATE, WRITE)
    if (lock.tryLock() == null) {
      System.err.println(s"livius: another metastore runs on $data")
      sys.exit(1)
    }
    // Derby reads it when its first class is loaded.
    System.setProperty("derby.stream.error.file", data.resolve("derby.log").toString)
    Login.settle()
    // DataNucleus warns at length about things that are as they should be.
    Configurator.initialize(new org.apache.logging.log4j.core.config.DefaultConfiguration)
    Configurator.setRootLevel(Level.ERROR)
    // What it complains of is told to the client too: a table that exists already, a name that is unknown.
    Configurator.setLevel("org.apache.hadoop.hive.metastore.RetryingHMSHandler", Level.OFF)

    MetastoreColumns.widen(data.resolve("db"), s"jdbc:derby:;databaseName=${data.resolve("db")}")
    val conf    = configuration(data)
    val address = new InetSocketAddress(InetAddress.getLoopbackAddress, options("--port").toInt)
    // Tables may lie at OneLake URLs: it makes their folders.
    for ((key, option) <- Seq(OneLake.RootKey -> "--onelake", OneLake.NamesKey -> "--names")) options.get(option).foreach(conf.set(key, _))
    for (scheme <- Seq("abfs", "abfss")) conf.set(s"fs.$scheme.impl", classOf[OneLakeFileSystem].getName)
    // Where sessions call as users of their own, each gets what is its own.
    for (file <- options.get("--callers")) {
      conf.set(Rights.FileKey, file)
      conf.set("fs.file.impl", classOf[MetastoreFiles].getName)
      // The folders' own group and the process's mask give what Hive would set anew.
      conf.set("hive.warehouse.subdir.inherit.perms", "false")
    }
    val handler = HiveMetaStore.newRetryingHMSHandler(new HMSHandler("livius", conf, false), conf)
    val folders = new DeltaFolders(handler, data.resolve("known-tables"), () => withSchemas(conf))
    val (socket, processor) = options.get("--callers") match {
      case None    => new TServerSocket(address) -> new TSetIpAddressProcessor[IHMSHandler](folders.served)
      case Some(_) => new OwnedSockets(address)  -> new CallersProcessor(MetastoreGuard(folders.served, Rights.of(conf)))
    }
    val server  = new TThreadPoolServer(
      new TThreadPoolServer.Args(socket)
        .processor(processor)
        .minWorkerThreads(2).maxWorkerThreads(MaxClients).stopTimeoutVal(1).stopTimeoutUnit(TimeUnit.SECONDS)
    )
    server.setServerEventHandler(Departures)
    val looking = new Thread(() => while (true) { TimeUnit.SECONDS.sleep(LookEvery); folders.look() }, "delta-folders")
    looking.setDaemon(true)

    Runtime.getRuntime.addShutdownHook(new Thread(() => {
      server.stop()
      shutDerbyDown()
    }))
    looking.start()
    // The socket listens since it was made: who connects from now on is served.
    announce(Paths.get(options("--ready")), socket.getServerSocket.getLocalPort)
    server.serve()
  }

  /** The lakehouses that have schemas. The gateway writes their file when it starts. */
  private def withSchemas(conf: HiveConf): Seq[(String, Path)] =
    Option(conf.get(OneLake.NamesKey)).filter(names => Files.exists(Paths.get(names))).toSeq.flatMap { _ =>
      val lake = OneLake.of(conf)
      lake.places.filter(_.hasSchemas).map(place => place.database -> lake.tables(place))
    }

  private def configuration(data: Path): HiveConf = {
    val conf = new HiveConf
    Map(
      "javax.jdo.option.ConnectionURL"       -> s"jdbc:derby:;databaseName=${data.resolve("db")};create=true",
      // Names package-derby.orm, which overrides columns of Hive's mapping.
      "javax.jdo.option.Mapping"             -> "derby",
      "hive.metastore.warehouse.dir"         -> data.resolve("warehouse").toUri.toString,
      "datanucleus.schema.autoCreateAll"     -> "true",
      "hive.metastore.schema.verification"   -> "false",
      // With the default pool, DROP DATABASE fails for want of a class that Spark does not ship, and takes the connection with it.
      "datanucleus.connectionPoolingType"    -> "HikariCP",
      "datanucleus.connectionPool.maxPoolSize" -> "8",
      // Two drivers may make one database at once: the second one sees it at the second attempt.
      "hive.hmshandler.retry.interval"       -> "200ms",
      // It would list the files of each new table, for figures that Delta has already.
      "hive.stats.autogather"                -> "false"
    ).foreach { case (key, value) => conf.set(key, value) }
    conf
  }

  private def announce(ready: Path, port: Int): Unit = {
    val partial = ready.resolveSibling(s"${ready.getFileName}.partial")
    Files.writeString(partial, s"""{"port": $port, "pid": ${ProcessHandle.current.pid}}\n""")
    Files.move(partial, ready, ATOMIC_MOVE)
  }

  /** Frees what the metastore holds for a thread when the thread's client has gone. */
  private object Departures extends TServerEventHandler {
    def preServe(): Unit                                                                                   = ()
    def createContext(input: TProtocol, output: TProtocol): ServerContext                                 = null
    def processContext(context: ServerContext, input: TTransport, output: TTransport): Unit              = ()
    def deleteContext(context: ServerContext, input: TProtocol, output: TProtocol): Unit =
      Option(HMSHandler.getRawStore).foreach { store =>
        store.shutdown()
        HMSHandler.removeRawStore()
      }
  }

  private def shutDerbyDown(): Unit =
    try DriverManager.getConnection("jdbc:derby:;shutdown=true").close()
    catch { case _: SQLException => } // Derby says goodbye with an exception, always
}
