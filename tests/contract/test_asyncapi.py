"""The AsyncAPI document: whole in itself, and in step with the code and the schemas."""

from collections.abc import Iterator
from decimal import Decimal
from typing import Any, get_args

import pytest
import yaml
from jsonschema import Draft202012Validator

from shared.settings import KafkaSettings
from shared.wire import SALE_ID, Action, pool_key
from shop.inventory import outgoing
from shop.inventory.domain import Counters, Pool
from shop.inventory.outgoing import Sender
from tests.contract.schemas import DOCS, SCHEMAS, load

DOCUMENT: dict[str, Any] = yaml.safe_load((DOCS / "asyncapi.yaml").read_text("utf-8"))
CHANNELS, MESSAGES = DOCUMENT["channels"], DOCUMENT["components"]["messages"]
# Of each kind of object in AsyncAPI 3.0: the keys it must have, and those of the others that are used here.
SHAPES: dict[str, tuple[set[str], set[str]]] = {
    "servers": ({"host", "protocol"}, {"description", "variables", "security"}),
    "channels": ({"address", "messages"}, {"title", "description", "parameters", "bindings"}),
    "operations": ({"action", "channel", "messages"}, {"title", "summary"}),
    "components/messages": (
        {"payload", "examples"},
        {"name", "title", "summary", "contentType", "headers", "correlationId", "bindings"},
    ),
}


def resolve(reference: str) -> Any:
    """What a reference points to, in this document or in a schema beside it."""
    if not reference.startswith("#/"):
        return load(DOCS / reference)
    found: Any = DOCUMENT
    for name in reference.removeprefix("#/").split("/"):
        found = found[name]
    return resolve(found["$ref"]) if isinstance(found, dict) and "$ref" in found else found


def references(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        if "$ref" in node:
            yield node["$ref"]
        node = list(node.values())
    if isinstance(node, list):
        for inner in node:
            yield from references(inner)


def expanded(node: Any) -> Any:
    """The node with the document's own references replaced by what they point to, and a schema file as it is."""
    if isinstance(node, dict):
        if "$ref" in node:
            found = resolve(node["$ref"])
            return expanded(found) if node["$ref"].startswith("#") else found
        return {name: expanded(inner) for name, inner in node.items()}
    return [expanded(inner) for inner in node] if isinstance(node, list) else node


def examples() -> list[Any]:
    return [
        pytest.param(message, example, id=f"{name}-{example['name']}")
        for name, message in MESSAGES.items()
        for example in message["examples"]
    ]


def validate(schema: Any, value: Any) -> None:
    Draft202012Validator.check_schema(schema)
    Draft202012Validator(schema, format_checker=Draft202012Validator.FORMAT_CHECKER).validate(value)


def test_the_document_is_asyncapi_3() -> None:
    assert DOCUMENT["asyncapi"].startswith("3.0.")
    assert {"title", "version"} <= set(DOCUMENT["info"])


@pytest.mark.parametrize("kind", SHAPES)
def test_its_objects_have_the_keys_of_asyncapi(kind: str) -> None:
    required, optional = SHAPES[kind]
    for name, node in resolve(f"#/{kind}").items():
        assert required <= set(node) <= required | optional, name


@pytest.mark.parametrize("reference", sorted(set(references(DOCUMENT))))
def test_every_reference_points_to_something(reference: str) -> None:
    assert resolve(reference)


def test_every_published_schema_is_used_and_valid() -> None:
    used = {DOCS / reference for reference in references(DOCUMENT) if not reference.startswith("#")}
    assert {path.resolve() for path in used} == {path.resolve() for path in SCHEMAS}
    for path in SCHEMAS:
        Draft202012Validator.check_schema(load(path))


def test_every_operation_uses_messages_of_its_own_channel() -> None:
    for operation in DOCUMENT["operations"].values():
        assert operation["action"] in ("send", "receive")
        channel = operation["channel"]["$ref"]
        assert channel.removeprefix("#/channels/") in CHANNELS
        assert all(message["$ref"].startswith(f"{channel}/messages/") for message in operation["messages"])


def test_every_channel_is_written_and_read() -> None:
    for name in CHANNELS:
        actions = {o["action"] for o in DOCUMENT["operations"].values() if o["channel"]["$ref"].endswith(name)}
        assert actions == {"send", "receive"}


@pytest.mark.parametrize(("message", "example"), examples())
def test_an_example_fits_its_schemas(message: Any, example: Any) -> None:
    validate(expanded(message["payload"]), example["payload"])
    if "headers" in example:
        validate(expanded(message["headers"]), example["headers"])


@pytest.mark.parametrize("environment", ["dev", "prod"])
def test_the_addresses_are_the_default_topics(environment: str) -> None:
    given = {"kafka_bootstrap_servers": "localhost:9092", "environment": environment, "client_id": "atlas"}
    settings = KafkaSettings.model_validate(given)
    addresses = {
        name: channel["address"].format(env=environment, clientId="atlas") for name, channel in CHANNELS.items()
    }
    assert addresses == {
        "masterlist": settings.masterlist_topic,
        "ticketSales": settings.sales_topic,
        "siteEvents": settings.site_events_topic,
    }
    assert environment in DOCUMENT["components"]["parameters"]["env"]["enum"]


def test_the_security_schemes_are_the_mechanisms_of_the_settings() -> None:
    schemes = DOCUMENT["components"]["securitySchemes"].values()
    types = {"PLAIN": "plain", "SCRAM-SHA-256": "scramSha256", "SCRAM-SHA-512": "scramSha512"}
    mechanisms = get_args(KafkaSettings.model_fields["kafka_sasl_mechanism"].annotation)
    assert {scheme["type"] for scheme in schemes} == {types[mechanism] for mechanism in mechanisms}


def test_the_headers_are_those_that_are_sent() -> None:
    counters = Counters(Pool(12, 2), Decimal(125), [(0, 20)])
    sent = outgoing.message(
        Sender("matchday", "headers", "ticket-sales"), Action.PENDING, "sale", counters, 2, traceparent="trace"
    )
    described = DOCUMENT["components"]["schemas"]["ticketHeaders"]["properties"]
    # The relay adds the message's own id when it sends.
    assert {*sent.headers, "messageId"} == set(described)


def test_the_keys_are_those_that_are_sent() -> None:
    validate(expanded(MESSAGES["ticketMessage"]["bindings"]["kafka"]["key"]), pool_key(12, 2).decode())


def test_a_sale_id_is_what_the_reader_takes_for_one() -> None:
    described = DOCUMENT["components"]["schemas"]["partnerHeaders"]["properties"]["saleId"]["pattern"]
    assert described == f"^{SALE_ID.pattern}$"


def test_the_three_actions_are_shown() -> None:
    shown = {example["payload"]["meta"]["action"] for example in MESSAGES["ticketMessage"]["examples"]}
    assert shown == {action.value for action in Action}
