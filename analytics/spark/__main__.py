"""`python -m analytics.spark bookings --out FOLDER`: a job over the lake, here or where `spark-submit` has sent it."""

from contextlib import AbstractContextManager, nullcontext

import click

try:
    from pyspark.sql import SparkSession
except ModuleNotFoundError as missing:
    if (missing.name or "").split(".")[0] != "pyspark":
        raise
    raise SystemExit("Apache Spark is not installed here; run `sh deploy/spark.sh` first.") from None

from analytics.lake.lake import Lake
from analytics.settings import LakeCommandSettings
from analytics.spark.jobs import JOBS, work_out
from analytics.spark.session import cluster_session, local_session
from shared.settings import load


@click.command()
@click.argument("job", type=click.Choice(sorted(JOBS)))
@click.option("--out", required=True, metavar="FOLDER", help="Where the Parquet goes; what is there is replaced.")
@click.option("--cluster", is_flag=True, help="Under spark-submit: the cluster's session, not one of this machine.")
def main(job: str, out: str, cluster: bool) -> None:
    """Works out JOB from the lake that LAKE_URI names."""
    settings = load(LakeCommandSettings)
    session: AbstractContextManager[SparkSession] = nullcontext(cluster_session()) if cluster else local_session()
    with session as spark:
        lake = Lake(settings.lake_uri, settings.storage())
        rows = work_out(spark, lake, job, settings.client_id, settings.log_hold_seconds)
        rows.write.mode("overwrite").parquet(out)
        click.echo(f"{spark.read.parquet(out).count()} rows are in {out}")


if __name__ == "__main__":
    main()
