"""The error tree: each error carries what HTTP and people need to know."""

import pytest

from shared import errors


def _all(kind: type[errors.MatchdayError]) -> list[type[errors.MatchdayError]]:
    return [kind, *(found for child in kind.__subclasses__() for found in _all(child))]


KERNEL = [kind for kind in _all(errors.MatchdayError) if kind.__module__ == "shared.errors"]


def test_every_error_has_a_title_that_is_one_sentence_without_a_full_stop() -> None:
    for kind in KERNEL:
        title = kind.title()
        assert title, kind
        assert title[0].isupper(), kind
        assert not title.endswith("."), kind


def test_every_error_can_be_made_without_arguments() -> None:
    for kind in KERNEL:
        assert str(kind()) == kind.title()


def test_codes_are_unique() -> None:
    codes = [kind.code for kind in KERNEL if kind is not errors.MatchdayError]
    assert len(codes) == len(set(codes))


def test_every_503_tells_when_to_come_again() -> None:
    for kind in KERNEL:
        if kind.status in (429, 503):
            assert dict(kind().headers())["Retry-After"].isdigit(), kind


def test_a_given_retry_after_wins() -> None:
    assert errors.BrokerUnavailable(retry_after=7).headers() == [("Retry-After", "7")]


def test_details_and_further_members_are_kept() -> None:
    error = errors.Conflict("the hold is over", remaining=0)
    assert (error.detail, error.extra, str(error)) == ("the hold is over", {"remaining": 0}, "the hold is over")


def test_method_not_allowed_names_the_methods() -> None:
    assert errors.MethodNotAllowed(allowed=["POST", "GET"]).headers() == [("Allow", "GET, POST")]


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (OSError("disk full\n  at write"), "disk full"),
        (TimeoutError(), "TimeoutError"),
        (ValueError(" \n"), "ValueError"),
        (KeyError("name"), "'name'"),
    ],
)
def test_an_error_is_told_in_a_line(error: Exception, line: str) -> None:
    assert errors.in_a_line(error) == line
