"""What a site is called, where it keeps things and what it tells its processes."""

import json
import stat
from pathlib import Path

import pytest

from matchday.broker_setup import is_organiser
from matchday.errors import RunnerError
from matchday.site import Document, Site, address_of, held, holder, read_document, without_password


def test_a_site_is_named_and_moved_by_two_variables() -> None:
    assert (Site.from_environment({}).name, Site.from_environment({}).port_offset) == ("matchday", 0)
    site = Site.from_environment({"SITE": "atlas", "PORT_OFFSET": "100"})
    assert (site.name, site.port_offset) == ("atlas", 100)


@pytest.mark.parametrize("name", ["../etc", "a/b", ".hidden", "x" * 33, "tests", "-x", "a b"])
def test_a_name_that_is_no_folder_of_its_own_is_refused(name: str) -> None:
    with pytest.raises(RunnerError, match=r"SITE is wrong: .*expected"):
        Site.from_environment({"SITE": name})


@pytest.mark.parametrize("offset", ["-1", "many", "1.5", "70000", "²"])
def test_a_wrong_port_offset_is_refused(offset: str) -> None:
    with pytest.raises(RunnerError, match=r"PORT_OFFSET is wrong: .*expected is 0 to"):
        Site.from_environment({"PORT_OFFSET": offset})


def test_the_address_of_a_server_may_be_in_a_file(tmp_path: Path) -> None:
    file = tmp_path / "address"
    file.write_text("postgresql://matchday@db.example/matchday\n", "utf-8")
    site = Site.from_environment({"DATABASE_URL_FILE": str(file)})
    assert site.given["DATABASE_URL"] == "postgresql://matchday@db.example/matchday"
    with pytest.raises(RunnerError, match="No such file"):
        Site.from_environment({"REDIS_URL_FILE": str(tmp_path / "none")})


def test_secrets_are_made_once_and_readable_by_their_owner_only(tmp_path: Path) -> None:
    site = Site("atlas", var=tmp_path)
    files = site.secret_files()
    assert {"SERVICE_TOKEN_FILE", "TOKEN_SECRET_FILE", "TICKET_KEYS_FILE", "USERS_SECRET_FILE"} <= set(files)
    contents = [Path(path).read_text() for path in files.values()]
    assert all(len(content) >= 43 for content in contents)
    assert len(set(contents)) == len(files)
    assert [stat.S_IMODE(Path(path).stat().st_mode) for path in files.values()] == [0o600] * len(files)
    assert stat.S_IMODE((tmp_path / "atlas" / "secrets").stat().st_mode) == 0o700
    assert [Path(path).read_text() for path in site.secret_files().values()] == contents


def test_a_given_secret_wins(tmp_path: Path) -> None:
    own = tmp_path / "own"
    own.write_text("from a file")
    site = Site("atlas", var=tmp_path, given={"SERVICE_TOKEN": "from the environment", "TOKEN_SECRET_FILE": str(own)})
    assert site.service_token_file.read_text() == "from the environment"
    assert site.secret_files()["TOKEN_SECRET_FILE"] == str(own)


def test_processes_get_what_the_operator_set_and_the_site_s_own(tmp_path: Path) -> None:
    given = {"HOLD_SECONDS": "5", "MAKEFLAGS": "w", "PORT": "1", "REDIS_URL": "redis://old"}
    environment = Site("atlas", var=tmp_path, given=given).environment({"REDIS_URL": "redis://new"})
    assert environment["HOLD_SECONDS"] == "5"
    assert environment["CLIENT_ID"] == environment["SITE"] == "atlas"
    assert environment["REDIS_URL"] == "redis://new"
    assert not {"MAKEFLAGS", "PORT"} & set(environment)


def test_a_client_id_of_one_s_own_wins(tmp_path: Path) -> None:
    assert Site("atlas", var=tmp_path, given={"CLIENT_ID": "other"}).environment({})["CLIENT_ID"] == "other"


def test_addresses_are_shown_without_passwords() -> None:
    assert without_password("postgresql://me:secret@db.example:5432/x") == "postgresql://me:***@db.example:5432/x"
    assert without_password("redis://:secret@cache.example:6379/0") == "redis://:***@cache.example:6379/0"
    assert without_password("a.example:9092,b.example:9092") == "a.example:9092,b.example:9092"
    assert address_of("postgresql://me:secret@db.example:5432/x") == "db.example:5432"
    assert address_of("a.example:9092") == "a.example:9092"


def test_the_document_is_replaced_whole(tmp_path: Path) -> None:
    site = Site("atlas", var=tmp_path)
    site.make_directories()
    assert read_document(site) is None
    document = Document(site.document)
    document.write({"site": "atlas", "processes": []})
    assert json.loads(site.document.read_text()) == {"site": "atlas", "processes": []}
    assert [path.name for path in site.directory.glob("site.json*")] == ["site.json"]
    document.remove()
    assert read_document(site) is None


def test_one_runner_holds_a_site(tmp_path: Path) -> None:
    site = Site("atlas", var=tmp_path)
    assert holder(site) is None
    with held(site) as mine, held(site) as second:
        assert (mine, second) == (True, False)
        runner = holder(site)
        assert runner is not None
        assert runner.lives()
    assert holder(site) is None


def test_only_on_this_machine_a_site_is_the_organiser_unless_told() -> None:
    assert is_organiser("127.0.0.1:9092", None)
    assert is_organiser("localhost:9092,127.0.0.1:9093", "")
    assert not is_organiser("kafka.example:9092", None)
    assert not is_organiser("127.0.0.1:9092,kafka.example:9092", None)
    assert is_organiser("kafka.example:9092", "yes")
    assert not is_organiser("127.0.0.1:9092", "no")
    with pytest.raises(RunnerError, match="ORGANISER is wrong: 'maybe'; expected is yes or no"):
        is_organiser("127.0.0.1:9092", "maybe")
