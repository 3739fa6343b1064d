// What the gateway uses of Hive's interface. Fields that are not named here are skipped.

struct FieldSchema { 1: string name, 2: string type, 3: string comment }

struct SerDeInfo { 2: string serializationLib, 3: map<string, string> parameters }

struct StorageDescriptor {
  1: list<FieldSchema> cols, 2: string location, 3: string inputFormat, 4: string outputFormat,
  6: i32 numBuckets, 7: SerDeInfo serdeInfo, 8: list<string> bucketCols, 9: list<string> sortCols,
  10: map<string, string> parameters
}

struct Table {
  1: string tableName, 2: string dbName, 3: string owner, 4: i32 createTime,
  7: StorageDescriptor sd, 8: list<FieldSchema> partitionKeys, 9: map<string, string> parameters,
  10: string viewOriginalText, 12: string tableType
}

exception MetaException { 1: string message }
exception NoSuchObjectException { 1: string message }
exception AlreadyExistsException { 1: string message }
exception InvalidObjectException { 1: string message }

service ThriftHiveMetastore {
  list<string> get_databases(1: string pattern) throws (1: MetaException e1),
  list<string> get_all_tables(1: string db_name) throws (1: MetaException e1),
  list<string> get_tables_by_type(1: string db_name, 2: string pattern, 3: string tableType)
    throws (1: MetaException e1),
  Table get_table(1: string dbname, 2: string tbl_name)
    throws (1: MetaException e1, 2: NoSuchObjectException e2),
  list<Table> get_table_objects_by_name(1: string dbname, 2: list<string> tbl_names),
  void create_table(1: Table tbl)
    throws (1: AlreadyExistsException e1, 2: InvalidObjectException e2, 3: MetaException e3,
            4: NoSuchObjectException e4),
  void drop_table(1: string dbname, 2: string name, 3: bool deleteData)
    throws (1: NoSuchObjectException e1, 3: MetaException e3)
}
