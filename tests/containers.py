"""The tests' servers from containers instead of wheels: `make test INFRA=containers`.

The same classes, so that a test sees no difference: a container's port is bound to a fixed one, and `kill`,
`stop` and `start` act on the same container, which keeps its data. The images are of the wheels' versions.

Tests of the embedded servers themselves and of `make up` use wheels all the same.
"""

import contextlib
from collections.abc import Callable
from typing import Any

from matchday.ports import LOOPBACK
from matchday.servers import Kafka, Postgres, Server, Valkey
from matchday.servers.kafka import PROPERTIES
from matchday.servers.postgres import ROLE, SETTINGS

STOP_SECONDS = 30
IMAGES = {"postgres": "postgres:18", "valkey": "valkey/valkey:9", "kafka": "apache/kafka:4.3.1"}


class InContainer(Server):
    """A server whose process is a container; how to ask it whether it is ready stays the same."""

    container: Any = None
    inner_port: int

    def prepare(self) -> None:
        """Nothing: the image does that."""

    def configure(self, container: Any) -> Any:
        raise NotImplementedError

    def start(self) -> "InContainer":
        from testcontainers.core.container import DockerContainer

        if self.container is None:
            place: Any = (LOOPBACK, self.port)  # Docker's client takes pairs, the stubs do not know
            container = DockerContainer(IMAGES[self.name]).with_bind_ports(self.inner_port, place)
            self.container = self.configure(container).start()
        else:
            self.container.get_wrapped_container().start()
        self.wait_ready()
        return self

    def stop(self) -> None:
        if self.container is not None:
            self.container.get_wrapped_container().stop(timeout=STOP_SECONDS)

    def kill(self) -> None:
        self.container.get_wrapped_container().kill()

    def remove(self) -> None:
        """Remove the container with its data."""
        if self.container is not None:
            with contextlib.suppress(Exception):
                self.container.stop()


class PostgresContainer(InContainer, Postgres):
    inner_port = 5432

    def configure(self, container: Any) -> Any:
        kept = {name: value for name, value in SETTINGS.items() if name not in ("listen_addresses",)}
        arguments = " ".join(f"-c {name}='{value}'" for name, value in kept.items())
        role = {"POSTGRES_USER": ROLE, "POSTGRES_HOST_AUTH_METHOD": "trust"}
        return container.with_envs(**role).with_command(f"postgres {arguments}")


class ValkeyContainer(InContainer, Valkey):
    inner_port = 6379

    def configure(self, container: Any) -> Any:
        return container.with_command("valkey-server --appendonly yes --appendfsync everysec")


class KafkaContainer(InContainer, Kafka):
    inner_port = 9092

    def configure(self, container: Any) -> Any:
        properties = {
            **PROPERTIES,
            "listeners": f"BROKER://:{self.inner_port},CONTROLLER://:9093",
            "advertised.listeners": f"BROKER://{self.address}",
            "controller.quorum.voters": "1@localhost:9093",
        }
        return container.with_envs(**{"KAFKA_" + n.upper().replace(".", "_"): v for n, v in properties.items()})


CONTAINERS: dict[type[Server], Callable[..., InContainer]] = {
    Postgres: PostgresContainer,
    Valkey: ValkeyContainer,
    Kafka: KafkaContainer,
}
