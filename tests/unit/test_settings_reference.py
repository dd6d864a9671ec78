"""docs/settings.md says what the code reads, and nothing is read that it does not say."""

import re
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest

from matchday.paths import CHECKOUT
from matchday.processes import PROCESSES, ProcessSpec
from matchday.settings_by_hand import RUNNER, TESTS
from matchday.settings_reference import SECTIONS, SETTINGS_OF, page, variables
from shared.settings import Settings

PAGE = (CHECKOUT / "docs" / "settings.md").read_text("utf-8")
ASKED = re.compile(r"""environ(?:\.get\(|\[)\s*["']([A-Z_]+)["']""")
# What a request bears is not a setting, and what settings classes read stands on the page by itself.
NOT_OURS = {"XDG_CACHE_HOME", "PATH_INFO", "QUERY_STRING", "REQUEST_METHOD", "REMOTE_ADDR", "PORT", "HOST"}
OF_REQUESTS = ("HTTP_", "CONTENT_")


def sources(*folders: str) -> Iterator[str]:
    for folder in folders:
        for path in (CHECKOUT / folder).rglob("*.py"):
            yield path.read_text("utf-8")


def subclasses(base: type[Settings]) -> Iterator[type[Settings]]:
    for found in base.__subclasses__():
        yield found
        yield from subclasses(found)


def test_the_page_is_what_the_code_says() -> None:
    assert page() == PAGE, "python -m matchday.settings_reference > docs/settings.md"


def test_every_process_is_known() -> None:
    assert list(SETTINGS_OF) == [spec.name for spec in PROCESSES]


@pytest.mark.parametrize("spec", PROCESSES, ids=lambda spec: str(spec.name))
def test_a_process_reads_the_class_that_is_told(spec: ProcessSpec) -> None:
    found = find_spec(spec.module if "." in spec.module else f"{spec.module}.__main__")
    assert found is not None
    assert found.origin is not None
    source = Path(found.origin).read_text("utf-8")
    assert re.search(rf"(load\(|, ){SETTINGS_OF[spec.name].__name__}\b", source)


def test_every_settings_class_has_its_section() -> None:
    ours = {found for found in subclasses(Settings) if not found.__module__.startswith("tests")}
    assert {settings for settings, *_ in SECTIONS} == ours


def test_a_variable_of_two_classes_means_the_same_in_both() -> None:
    schemas: dict[str, object] = {}
    for settings in SETTINGS_OF.values():
        for name, schema in settings.model_json_schema()["properties"].items():
            assert schemas.setdefault(name, schema) == schema, name


def test_every_variable_has_a_form_and_a_meaning() -> None:
    for _, _, listed in variables():
        for variable in listed:
            assert variable.form
            assert variable.meaning.endswith("."), variable.name
            assert variable.processes, f"{variable.name} is read by no process"


@pytest.mark.parametrize(("folders", "listed"), [(("matchday", "migrations"), RUNNER), (("tests",), TESTS)])
def test_what_is_asked_for_by_name_is_listed(folders: tuple[str, ...], listed: tuple[tuple[str, ...], ...]) -> None:
    found = {name for source in sources(*folders) for name in ASKED.findall(source)}
    asked = {name for name in found if not name.startswith(OF_REQUESTS)}
    assert asked - NOT_OURS <= {name for name, *_ in listed}


def test_the_installer_s_variables_are_listed() -> None:
    script = (CHECKOUT / "deploy" / "install.sh").read_text("utf-8")
    assert set(re.findall(r"\$\{([A-Z_]+):-", script)) <= {variable.name for variable in RUNNER}
