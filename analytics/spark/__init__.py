"""The lake read by Apache Spark: for lakes that one machine cannot read in the time that people wait.

Needs the extra `spark`. Nothing else in analytics imports it.
"""
