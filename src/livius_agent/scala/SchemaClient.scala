// The package is Spark's, because Hive's client is visible only from within it.
package org.apache.spark.sql.hive.livius

import java.lang.reflect.{InvocationHandler, InvocationTargetException, Method, Proxy}
import java.net.URI

import livius.Schemas
import org.apache.hadoop.fs.Path
import org.apache.spark.sql.{SparkSession, classic}
import org.apache.spark.sql.catalyst.catalog.{CatalogDatabase, CatalogFunction, CatalogTable}
import org.apache.spark.sql.catalyst.util.StringUtils
import org.apache.spark.sql.hive.HiveExternalCatalog
import org.apache.spark.sql.hive.client.HiveClient

/** Spark's client of the metastore, in which a lakehouse's schemas have the names that its sessions use.
  *
  * It is below all of Spark's catalogs, so SQL, `spark.catalog`, Delta and cached plans see one set of names, and none of them has to be
  * rewritten. Spark takes no other class for this client, so it is put into the catalog that has it.
  */
final class SchemaClient private (client: HiveClient, schemas: Schemas) extends InvocationHandler {
  import SchemaClient._

  def invoke(proxy: Object, method: Method, given: Array[AnyRef]): AnyRef = {
    val arguments = Option(given).toSeq.flatten
    method.getName match {
      case "listDatabases" => listed(arguments.head.asInstanceOf[String])
      case "dropDatabase" if arguments.head.asInstanceOf[String].split('.').last == Schemas.Default =>
        throw new UnsupportedOperationException(s"The schema ${Schemas.Default} can't be dropped: each lakehouse with schemas has it.")
      case "createDatabase" => call(method, laid(arguments.head.asInstanceOf[CatalogDatabase]) +: arguments.tail)
      case _                => call(method, arguments)
    }
  }

  private def call(method: Method, arguments: Seq[AnyRef]): AnyRef = {
    val database = DatabaseAt.getOrElse(method.getName, 0)
    val asked    = arguments.lift(database).collect { case name: String => name }
    val stored   = arguments.zipWithIndex.map {
      case (name: String, `database`)     => inMetastore(method, name)
      case (one: CatalogDatabase, _)      => one.copy(name = schemas.stored(one.name))
      case (one: CatalogTable, _)         => one.copy(identifier = one.identifier.copy(database = one.identifier.database.map(schemas.stored)))
      case (one: CatalogFunction, _)      => one.copy(identifier = one.identifier.copy(database = one.identifier.database.map(schemas.stored)))
      case (other, _)                     => other
    }
    val answer = try method.invoke(client, stored: _*) catch { case failure: InvocationTargetException => throw failure.getCause }
    asked.fold(answer)(named(answer, _))
  }

  private def inMetastore(method: Method, name: String) = method.getName match {
    case "loadTable" => // one text: the database, a dot and the table
      val dot = name.lastIndexOf('.')
      schemas.stored(name.take(dot)) + name.drop(dot)
    case _ => schemas.stored(name)
  }

  /** An answer about a database, with the name by which it was asked for. */
  private def named(answer: AnyRef, database: String): AnyRef = answer match {
    case one: CatalogDatabase => one.copy(name = database)
    case one: CatalogTable    => view(one.copy(identifier = one.identifier.copy(database = Some(database))), database)
    case one: CatalogFunction => one.copy(identifier = one.identifier.copy(database = Some(database)))
    case Some(one: AnyRef)    => Some(named(one, database))
    case several: Seq[_]      => several.map(one => named(one.asInstanceOf[AnyRef], database))
    case other                => other
  }

  /** In a view of another lakehouse, names without a schema mean that lakehouse's schema. */
  private def view(table: CatalogTable, database: String) = schemas.apart(database).map(_._1) match {
    case Some(place) if schemas.before(place).nonEmpty => table.copy(properties = table.properties.map {
        case (ViewSchema, schema) if place.hasSchemas && !schema.contains('.') => ViewSchema -> (schemas.before(place) + schema)
        case (ViewSchema, place.database)                                      => ViewSchema -> database
        case other                                                             => other
      })
    case _ => table
  }

  /** The schemas of the lakehouse that a pattern begins with; else those of the session's. */
  private def listed(pattern: String): Seq[String] = {
    val (names, wanted) = pattern.splitAt(pattern.lastIndexOf('.') + 1)
    schemas.place(names.split('.').toSeq.filter(_.nonEmpty)).toSeq.flatMap { place =>
      val found =
        if (!place.hasSchemas) Seq(Schemas.Default)
        else client.listDatabases("*").map(Schemas.parts).collect { case (place.database, Some(schema)) => schema }
      StringUtils.filterPattern(found, wanted).map(schemas.before(place) + _)
    }
  }

  /** A new schema lies at its folder below Tables; Spark would put it into its warehouse. */
  private def laid(schema: CatalogDatabase): CatalogDatabase = schemas.folder(schema.name).fold(schema) { folder =>
    val given = new Path(schema.locationUri)
    if (given.getName != s"${schema.name}.db" && given.toUri.getPath != folder.toString)
      throw new UnsupportedOperationException(s"A schema of a lakehouse has its tables at $folder, not at $given. Leave LOCATION out.")
    schema.copy(locationUri = new URI("file", null, folder.toString, null))
  }
}

object SchemaClient {
  private val ViewSchema = CatalogTable.VIEW_CATALOG_AND_NAMESPACE_PART_PREFIX + "1"

  /** Which argument is a database's name, where it is not the first; -1 for calls that have none. */
  private val DatabaseAt = Map("getConf" -> -1, "runSqlHive" -> -1, "addJar" -> -1, "loadPartition" -> 1, "loadTable" -> 1, "loadDynamicPartitions" -> 1)

  def install(session: SparkSession, schemas: Schemas): Unit =
    session.asInstanceOf[classic.SparkSession].sharedState.externalCatalog.unwrapped match {
      case catalog: HiveExternalCatalog =>
        val own = Proxy.newProxyInstance(classOf[HiveClient].getClassLoader, Array(classOf[HiveClient]), new SchemaClient(catalog.client, schemas))
        field.set(catalog, own)
      case _ => // without a metastore, all tables end with the driver
    }

  private lazy val field = {
    val field = classOf[HiveExternalCatalog].getDeclaredField("client")
    field.setAccessible(true)
    field
  }
}
