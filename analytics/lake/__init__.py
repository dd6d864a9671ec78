"""The data lake: Delta tables of Parquet files, written once by the log's offsets, read by SQL."""
