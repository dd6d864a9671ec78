"""What an answer means for a delivery, and how long a courier waits before it asks again."""

import httpx
import pytest

from shared.delivery import RETRY_SECONDS_MAX, RETRY_SECONDS_MIN, Verdict, pause_seconds, read_answer


@pytest.mark.parametrize("status", [200, 201, 202, 204])
def test_a_success_is_a_delivery(status: int) -> None:
    assert read_answer(httpx.Response(status)).verdict is Verdict.DELIVERED


@pytest.mark.parametrize("status", [400, 402, 404, 405, 409, 410, 413, 415, 422])
def test_what_would_be_answered_the_same_for_ever_is_refused(status: int) -> None:
    reply = read_answer(httpx.Response(status, json={"code": "wrong"}))
    assert (reply.verdict, reply.status) == (Verdict.REFUSED, status)
    assert reply.error is not None
    assert "wrong" in reply.error


@pytest.mark.parametrize("status", [301, 401, 403, 408, 425, 429, 500, 502, 503, 504])
def test_what_may_be_answered_otherwise_later_is_tried_again(status: int) -> None:
    assert read_answer(httpx.Response(status)).verdict is Verdict.AGAIN


def test_a_conflict_that_names_a_time_is_tried_again_after_it() -> None:
    reply = read_answer(httpx.Response(409, headers={"Retry-After": "7"}))
    assert (reply.verdict, reply.retry_after) == (Verdict.AGAIN, 7)


def test_the_receivers_answer_is_handed_on() -> None:
    assert read_answer(httpx.Response(200, json={"outcome": "reserved"})).answer == {"outcome": "reserved"}
    assert read_answer(httpx.Response(200, content=b"no json")).answer is None


def test_what_is_kept_of_a_long_error_is_short() -> None:
    error = read_answer(httpx.Response(422, text="x" * 100_000)).error
    assert error is not None
    assert len(error) < 1000


def test_pauses_double_up_to_a_minute_and_differ() -> None:
    for attempts in range(1, 200):
        longest = min(RETRY_SECONDS_MIN * 2.0 ** (attempts - 1), RETRY_SECONDS_MAX)
        assert longest / 2 <= pause_seconds(attempts) <= longest
    assert len({pause_seconds(50) for _ in range(20)}) > 1
