"""Publishing the master list to a real broker."""

from collections.abc import Callable

import pytest
from click.testing import CliRunner

from matchday.errors import RunnerError
from matchday.masterlist import load_file, masterlist, publish
from matchday.servers import Kafka
from shared.kafka.reader import LogReader
from shared.masterlist import encode_match, parse_masterlist
from shared.settings import KafkaSettings
from shared.wire import RawRecord
from tests.conftest import Topics


@pytest.fixture
def settings(kafka: Kafka, topics: Topics) -> KafkaSettings:
    return KafkaSettings.model_validate(
        {"kafka_bootstrap_servers": kafka.bootstrap_servers, "topic_masterlist": topics.masterlist}
    )


@pytest.fixture
def records(settings: KafkaSettings) -> Callable[[], list[RawRecord]]:
    """Everything that stands on the master list topic."""

    def read_all() -> list[RawRecord]:
        with LogReader(settings, settings.masterlist_topic) as reader:
            start, end = reader.bounds()[0]
            return [record for batch, _ in reader.read(0, start, end) for record in batch]

    return read_all


def test_each_match_is_one_record_under_its_number(
    settings: KafkaSettings, records: Callable[[], list[RawRecord]]
) -> None:
    entries = load_file("small")
    report = publish(settings, entries, "organiser")
    assert report.offsets() == {0: (0, 63)}
    assert [record.key for record in records()] == [b"%d" % number for number in range(1, 65)]
    assert [record.value for record in records()] == [encode_match(entry) for entry in entries]
    assert {tuple(record.headers) for record in records()} == {(("clientId", b"organiser"),)}


def test_publishing_again_only_adds_the_same_records(
    settings: KafkaSettings, records: Callable[[], list[RawRecord]]
) -> None:
    entries = load_file("world-cup-2022")
    publish(settings, entries, "organiser")
    assert publish(settings, entries, "organiser").offsets() == {0: (64, 127)}
    read = [entry for record in records() for entry in parse_masterlist(record.value)]
    assert read == [*entries, *entries]


def test_the_command_says_where_the_list_stands(kafka: Kafka, topics: Topics) -> None:
    environment = {"KAFKA_BOOTSTRAP_SERVERS": kafka.bootstrap_servers, "TOPIC_MASTERLIST": topics.masterlist}
    result = CliRunner().invoke(masterlist, ["publish", "small"], obj=environment)
    assert result.exit_code == 0
    assert result.stdout == f"64 matches are on {topics.masterlist}: offsets 0 to 63 of partition 0\n"


def test_a_topic_that_does_not_exist_is_named(kafka: Kafka) -> None:
    settings = KafkaSettings.model_validate(
        {"kafka_bootstrap_servers": kafka.bootstrap_servers, "topic_masterlist": "nowhere"}
    )
    with pytest.raises(RunnerError, match="nothing was published: topic nowhere does not exist"):
        publish(settings, load_file("small"), "organiser")
