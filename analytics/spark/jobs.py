"""What Spark works out of the lake. The SQL is one text that DuckDB takes as well, with the same rows as its answer."""

from pyspark.sql import DataFrame, SparkSession

from analytics.figures.judged import CANCELLED, PENDING, RESERVED, judged
from analytics.lake.lake import Lake
from analytics.recommender.dataset import WEIGHTS
from analytics.spark.views import show

# Tickets by pool, site and hour: what the figures of a large lake are added up from.
BOOKINGS = f"""
SELECT match_number, category, site, date_trunc('hour', logged_at) AS hour, count(*) AS messages,
    CAST(sum(CASE WHEN action = '{PENDING}' THEN counted ELSE 0 END) AS BIGINT) AS holds,
    CAST(sum(CASE WHEN action = '{RESERVED}' THEN counted ELSE 0 END) AS BIGINT) AS sold,
    CAST(sum(CASE WHEN action = '{CANCELLED}' THEN counted ELSE 0 END) AS BIGINT) AS cancelled
FROM judged GROUP BY 1, 2, 3, 4"""

_WEIGHT = " ".join(f"WHEN '{kind}' THEN {weight}" for kind, weight in WEIGHTS.items())
# What each visitor did with each match, in weights: the matrix that the recommendations are learned from.
INTERACTIONS = f"""
SELECT subject, match_number, sum(CASE kind {_WEIGHT} END) AS weight, max(happened_at) AS last_at
FROM site_events
WHERE subject IS NOT NULL AND match_number IN (SELECT match_number FROM matches)
    AND kind IN ({", ".join(f"'{kind}'" for kind in WEIGHTS)})
GROUP BY 1, 2"""

JOBS = {"bookings": BOOKINGS, "interactions": INTERACTIONS}


def work_out(spark: SparkSession, lake: Lake, job: str, own: str, hold_seconds: int) -> DataFrame:
    """The rows of a job by its name, of what is committed now; `own` is this site's client id."""
    show(spark, lake)
    spark.sql(judged(own, hold_seconds)).createOrReplaceTempView("judged")
    return spark.sql(JOBS[job])
