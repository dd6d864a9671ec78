"""A Spark job where Spark was never installed."""

import subprocess
import sys

# None in sys.modules is how Python is told that a package is not there, whether or not it is.
WITHOUT_SPARK = """
import runpy, sys
sys.modules["pyspark"] = None
sys.argv = ["analytics.spark", "bookings", "--out", "unused"]
runpy.run_module("analytics.spark", run_name="__main__")
"""


def test_a_job_without_spark_says_in_one_line_what_to_run() -> None:
    ended = subprocess.run(
        [sys.executable, "-c", WITHOUT_SPARK], capture_output=True, text=True, timeout=60, check=False
    )
    assert ended.returncode == 1
    assert ended.stderr == "Apache Spark is not installed here; run `sh deploy/spark.sh` first.\n"
