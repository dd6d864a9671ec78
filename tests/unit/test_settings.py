"""Wrong settings end a process with their names and what is expected, and with no secret."""

from pathlib import Path

import pytest

from reservations.settings import ReservationsSettings
from shared.settings import KafkaSettings, Settings, load

SECRET = "hunter2-hunter2-hunter2-hunter2"
KAFKA = {"KAFKA_BOOTSTRAP_SERVERS": "broker:9093", "KAFKA_SECURITY_PROTOCOL": "SASL_SSL"}
COMPLETE = {
    "PORT": "3020",
    "DATABASE_URL": f"postgresql://matchday:{SECRET}@db:5432/matchday",
    "REDIS_URL": f"redis://:{SECRET}@redis:6379/0",
    "KAFKA_BOOTSTRAP_SERVERS": "broker:9092",
    "SERVICE_TOKEN": SECRET,
    "TOKEN_SECRET": SECRET,
    "TICKET_KEYS": "A" * 43,
    "ANALYTICS_SECRET": SECRET,
}


def told(capsys: pytest.CaptureFixture[str], settings: type[Settings], given: dict[str, str]) -> list[str]:
    """What a process with these settings says before it ends."""
    with pytest.raises(SystemExit) as ended:
        load(settings, given)
    assert ended.value.code == 2
    output = capsys.readouterr()
    assert SECRET not in output.err + output.out
    return output.err.splitlines()


def test_the_complete_settings_are_taken() -> None:
    assert load(ReservationsSettings, COMPLETE).token_secret.get_secret_value() == SECRET


def test_a_wrong_one_is_told_by_its_name_its_value_and_what_is_expected(capsys: pytest.CaptureFixture[str]) -> None:
    (line,) = told(capsys, ReservationsSettings, {**COMPLETE, "HOLD_SECONDS": "ten"})
    assert line.startswith("settings: HOLD_SECONDS is wrong: ")
    assert "(given: 'ten')" in line


def test_all_that_is_wrong_or_missing_is_told_at_once(capsys: pytest.CaptureFixture[str]) -> None:
    given = {**COMPLETE, "HOLD_SECONDS": "-1", "TOKEN_SECRET": "", "CURRENCY": "dollars"}
    lines = told(capsys, ReservationsSettings, given)
    assert sorted(line.split()[1] for line in lines) == ["CURRENCY", "HOLD_SECONDS", "TOKEN_SECRET"]


def test_of_those_that_do_not_go_together_these_are_told_and_no_others(capsys: pytest.CaptureFixture[str]) -> None:
    (line,) = told(capsys, ReservationsSettings, {**COMPLETE, "HOLD_SECONDS": "4000"})
    assert "HOLD_SECONDS must be below LOG_HOLD_SECONDS" in line
    assert "HOLD_SECONDS='4000'" in line
    assert "DATABASE_URL" not in line


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("DATABASE_URL", f"mysql://matchday:{SECRET}@db/matchday"),
        ("DATABASE_URL", f"host=db user=matchday password={SECRET}"),
        ("REDIS_URL", f"http://:{SECRET}@redis"),
        ("REDIS_URL", SECRET),
        ("USERS_URL", f"http://matchday:{SECRET}@users:3030"),
        ("KAFKA_BOOTSTRAP_SERVERS", f"matchday:{SECRET}@broker"),
        ("TICKET_KEYS", SECRET),
    ],
)
def test_a_password_in_a_wrong_address_is_not_told(capsys: pytest.CaptureFixture[str], name: str, value: str) -> None:
    (line,) = told(capsys, ReservationsSettings, {**COMPLETE, name: value})
    assert line.startswith(f"settings: {name} is wrong: ")


def test_a_secret_is_read_from_its_file_and_not_told(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text(f"{SECRET}\n", "utf-8")
    given = {**COMPLETE, "SERVICE_TOKEN": "", "SERVICE_TOKEN_FILE": str(file)}
    assert load(ReservationsSettings, given).service_token.get_secret_value() == SECRET
    told(capsys, ReservationsSettings, {**given, "HOLD_SECONDS": "4000"})
    (line,) = told(capsys, ReservationsSettings, {**given, "SERVICE_TOKEN_FILE": str(tmp_path / "none")})
    assert str(tmp_path / "none") in line


@pytest.mark.parametrize("name", ["DATABASE_URL", "REDIS_URL"])
def test_an_address_with_a_password_may_be_in_a_file(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, name: str
) -> None:
    file = tmp_path / "address"
    file.write_text(f"{COMPLETE[name]}\n", "utf-8")
    given = {**COMPLETE, name: "", f"{name}_FILE": str(file)}
    assert load(ReservationsSettings, given) == load(ReservationsSettings, COMPLETE)
    file.write_text(f"mysql://matchday:{SECRET}@db/matchday", "utf-8")
    (line,) = told(capsys, ReservationsSettings, given)
    assert line.startswith(f"settings: {name} is wrong: ")
    other = {**given, name: COMPLETE[name]}
    assert load(ReservationsSettings, other) == load(ReservationsSettings, COMPLETE), "the variable itself wins"


@pytest.mark.parametrize("missing", ["KAFKA_USERNAME", "KAFKA_PASSWORD"])
def test_a_broker_that_asks_who_is_calling_needs_name_and_password(
    capsys: pytest.CaptureFixture[str], missing: str
) -> None:
    given = {**KAFKA, "KAFKA_USERNAME": "matchday", "KAFKA_PASSWORD": SECRET}
    assert load(KafkaSettings, given).kafka_username == "matchday"
    (line,) = told(capsys, KafkaSettings, {**given, missing: ""})
    assert "KAFKA_USERNAME" in line
    assert "KAFKA_PASSWORD" in line
    assert "KAFKA_SECURITY_PROTOCOL='SASL_SSL'" in line


def test_a_file_without_certificates_is_told_at_the_start(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    given = {**KAFKA, "KAFKA_USERNAME": "matchday", "KAFKA_PASSWORD": SECRET}
    empty = tmp_path / "empty.pem"
    empty.write_text("no certificate", "utf-8")
    for path in (tmp_path / "none.pem", empty):
        (line,) = told(capsys, KafkaSettings, {**given, "KAFKA_CA_FILE": str(path)})
        assert line.startswith("settings: KAFKA_CA_FILE is wrong: ")
        assert str(path) in line
