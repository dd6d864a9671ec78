"""A real S3-compatible server on this machine: S3Proxy on the runner's Java, its buckets folders of a test."""

import socket
import subprocess
from pathlib import Path

from matchday.ports import LOOPBACK
from matchday.servers import Server
from matchday.servers.jars import class_path
from matchday.servers.kafka import java

LOCK = Path(__file__).with_name("s3proxy.lock")
BUCKET, ACCESS_KEY, SECRET_KEY = "lake", "a-key-of-the-tests", "a-secret-of-the-tests"
JVM_FLAGS = ["-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Djava.awt.headless=true"]
LOGGING = """<configuration>
  <appender name="out" class="ch.qos.logback.core.ConsoleAppender">
    <encoder><pattern>%d %p %c{1} %m%n</pattern></encoder>
  </appender>
  <root level="warn"><appender-ref ref="out"/></root>
</configuration>
"""


class S3(Server):
    """One server with one bucket. It makes an object only if there is none when it is asked to (If-None-Match)."""

    name = "s3"

    @property
    def endpoint(self) -> str:
        return f"http://{self.address}"

    def environment(self, path: str) -> dict[str, str]:
        """The settings of a process whose lake lies below `path` of the bucket."""
        return {
            "LAKE_URI": f"s3://{BUCKET}/{path}",
            "LAKE_S3_ENDPOINT": self.endpoint,
            "LAKE_S3_ACCESS_KEY": ACCESS_KEY,
            "LAKE_S3_SECRET_KEY": SECRET_KEY,
        }

    def prepare(self) -> None:
        self._class_path = class_path(self.say, self.stop_request, lock=LOCK)
        (self.directory / "buckets" / BUCKET).mkdir(parents=True, exist_ok=True)
        (self.directory / "logback.xml").write_text(LOGGING, "utf-8")
        properties = {
            "s3proxy.endpoint": self.endpoint,
            "s3proxy.authorization": "aws-v2-or-v4",
            "s3proxy.identity": ACCESS_KEY,
            "s3proxy.credential": SECRET_KEY,
            "jclouds.provider": "filesystem-nio2",
            "jclouds.filesystem.basedir": str(self.directory / "buckets"),
        }
        lines = "".join(f"{name}={value}\n" for name, value in properties.items())
        (self.directory / "s3proxy.conf").write_text(lines, "utf-8")

    def spawn(self) -> subprocess.Popen[bytes]:
        logging = f"-Dlogback.configurationFile={self.directory / 'logback.xml'}"
        arguments: list[str | Path] = ["-cp", self._class_path, "org.gaul.s3proxy.Main", "--properties"]
        arguments.append(self.directory / "s3proxy.conf")
        return self.run.spawn([java(), *JVM_FLAGS, logging, *arguments], self.log, directory=self.directory)

    def ready(self) -> bool:
        try:
            with socket.create_connection((LOOPBACK, self.port), timeout=1.0):
                return True
        except OSError:
            return False
