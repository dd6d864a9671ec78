"""The pause before a dead process is started again."""

from matchday.supervisor import Backoff, how


def test_the_pause_doubles_up_to_ten_seconds_while_a_process_keeps_dying() -> None:
    backoff = Backoff()
    assert [backoff.after(0.1) for _ in range(8)] == [0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 10.0, 10.0]


def test_a_steady_life_begins_from_the_shortest_pause_again() -> None:
    backoff = Backoff()
    for _ in range(5):
        backoff.after(0.1)
    assert backoff.after(31.0) == 0.2
    assert backoff.after(0.1) == 0.4


def test_the_end_of_a_process_is_told_in_words() -> None:
    assert how(3) == "ended with exit code 3"
    assert how(-9) == "was ended by SIGKILL"
    assert how(-250) == "was ended by signal 250"
