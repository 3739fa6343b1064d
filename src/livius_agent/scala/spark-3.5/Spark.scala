package org.apache.spark.sql

/** The names by which Spark 4 has what is not Spark Connect's. */
object classic {
  type SparkSession = org.apache.spark.sql.SparkSession
  type Dataset[A]   = org.apache.spark.sql.Dataset[A]
  type DataFrame    = org.apache.spark.sql.DataFrame
  val SparkSession = org.apache.spark.sql.SparkSession
  val Dataset      = org.apache.spark.sql.Dataset
}
