"""What runs in containers is what `make up` runs: the same processes, ports, versions and settings."""

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from matchday.paths import CHECKOUT
from matchday.processes import PROCESSES
from matchday.servers.kafka import PROPERTIES
from tests.contract.door import document_app


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    loaded = yaml.safe_load((CHECKOUT / "docker-compose.yml").read_text("utf-8"))
    assert isinstance(loaded, dict)
    return loaded


def versions(lock: str) -> dict[str, str]:
    """name -> version of a lock file's packages."""
    return dict(re.findall(r"^([a-z0-9-]+)==(\S+)", (CHECKOUT / lock).read_text("utf-8"), re.MULTILINE))


def test_every_process_of_a_site_has_its_container(compose: dict[str, Any]) -> None:
    for spec in PROCESSES:
        service = compose["services"][spec.name]
        assert service["command"] == ["python", "-m", spec.module]
        if spec.port:
            assert service["environment"]["PORT"] == str(spec.port)
            assert service["ports"] == [f"127.0.0.1:{spec.port}:{spec.port}"]
            assert "/health/ready" in service["healthcheck"]["test"][-1]


def test_nothing_is_reachable_from_outside_this_machine(compose: dict[str, Any]) -> None:
    ports = [port for service in compose["services"].values() for port in service.get("ports", [])]
    assert ports
    assert all(port.startswith("127.0.0.1:") for port in ports)


def test_the_broker_is_set_up_as_ours(compose: dict[str, Any]) -> None:
    environment = compose["services"]["kafka"]["environment"]
    for name in ("log.message.timestamp.type", "log.retention.ms", "auto.create.topics.enable", "min.insync.replicas"):
        assert environment["KAFKA_" + name.upper().replace(".", "_")] == PROPERTIES[name]


def test_the_image_has_every_dependency_in_the_version_that_is_tested() -> None:
    image, tested = versions("deploy/requirements.lock"), versions("requirements.lock")
    project = tomllib.loads((CHECKOUT / "pyproject.toml").read_text("utf-8"))["project"]
    wanted = {re.split(r"[>=\[<]", dependency)[0] for dependency in project["dependencies"]}
    assert wanted <= set(image)
    assert {name: tested.get(name) for name in image} == image


@pytest.mark.parametrize("service", ["shop", "users", "reservations", "payments", "analytics"])
def test_the_ingress_leads_every_route_for_buyers_and_partners_to_its_service(service: str) -> None:
    ingress = yaml.safe_load((CHECKOUT / "deploy" / "kubernetes" / "ingress.yaml").read_text("utf-8"))
    rules = ingress["spec"]["rules"][0]["http"]["paths"]
    for endpoint in document_app(service).endpoints:
        if endpoint.route.path.startswith("/api/"):
            fitting = [rule for rule in rules if _fits(rule, endpoint.route.path)]
            nearest = max(fitting, key=lambda rule: len(rule["path"]))
            assert nearest["backend"]["service"]["name"] == service, endpoint.route.path


def _fits(rule: dict[str, Any], path: str) -> bool:
    wanted = str(rule["path"])
    return path == wanted or (rule["pathType"] == "Prefix" and path.startswith(wanted + "/"))


def _has_code(package: Path) -> bool:
    """Places of services to come hold a docstring and nothing else."""
    return len(list(package.glob("*.py"))) > 1


def test_the_image_holds_every_package_that_its_processes_need() -> None:
    copied = re.findall(r"^COPY (\w+) \1$", (CHECKOUT / "deploy" / "Dockerfile").read_text("utf-8"), re.MULTILINE)
    packages = {path.parent.name for path in CHECKOUT.glob("*/__init__.py") if _has_code(path.parent)}
    packages -= {"tests", "benchmarks"}
    assert set(copied) == packages
    kept = (CHECKOUT / ".dockerignore").read_text("utf-8").split()
    assert {f"!{name}" for name in packages} <= set(kept)


def test_every_process_of_a_site_has_its_deployment() -> None:
    for spec in PROCESSES:
        manifest = CHECKOUT / "deploy" / "kubernetes" / f"{spec.name}.yaml"
        documents = {document["kind"]: document for document in yaml.safe_load_all(manifest.read_text("utf-8"))}
        container = documents["Deployment"]["spec"]["template"]["spec"]["containers"][0]
        assert container["command"] == ["python", "-m", spec.module]
        assert ("Service" in documents) == (spec.port is not None)
        if spec.port:
            assert container["env"] == [{"name": "PORT", "value": str(spec.port)}]
            assert container["readinessProbe"]["httpGet"]["path"] == "/health/ready"


def test_every_manifest_is_applied_except_the_example() -> None:
    folder = CHECKOUT / "deploy" / "kubernetes"
    applied = yaml.safe_load((folder / "kustomization.yaml").read_text("utf-8"))["resources"]
    others = {"kustomization.yaml", "secret.example.yaml"}
    assert set(applied) == {path.name for path in folder.glob("*.yaml")} - others
