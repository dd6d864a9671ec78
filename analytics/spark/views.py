"""The lake's tables as Spark views, with the names and columns that DuckDB's views have."""

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as f
from pyspark.sql.pandas.types import from_arrow_schema
from pyspark.sql.window import Window

from analytics.lake.lake import Lake
from analytics.lake.tables import TABLES, LakeTable


def show(spark: SparkSession, lake: Lake) -> None:
    """Makes a view of each table, of what is committed now."""
    for table in TABLES:
        read(spark, lake, table).createOrReplaceTempView(table.name)


def read(spark: SparkSession, lake: Lake, table: LakeTable) -> DataFrame:
    """One table: the files of its last commit. An event that came twice is seen once."""
    files = lake.files(table)
    if not files:
        return spark.createDataFrame([], from_arrow_schema(table.columns))
    stored = spark.read.option("basePath", lake.place(table)).parquet(*files).select(*table.columns.names)
    if "event_id" not in table.columns.names:
        return stored
    first = Window.partitionBy("event_id").orderBy("partition", "offset")
    return stored.withColumn("_copy", f.row_number().over(first)).where("_copy = 1").drop("_copy")
