"""Synthetic buyers: the same seed tells the same, nobody breaks the federation's rules, and tastes can be seen."""

import json
from collections import Counter, defaultdict
from dataclasses import replace
from datetime import timedelta

import pytest

from analytics.generator.admission import Admission, Outcome, Pool
from analytics.generator.parameters import SIZES, Parameters
from analytics.generator.records import TicketRecord, Told, told_at
from analytics.generator.simulation import Simulation, simulate
from matchday.masterlist_file import load_file
from shared.site_events import EventKind, SiteEvent, decode_event, encode_event
from shared.wire import Action, decode
from tests.contract.schemas import DOCS, validator

MASTERLIST = load_file("world-cup-2022")
FEW = replace(SIZES["small"], buyers=300)
RUSH = replace(SIZES["small"], log_seconds=600.0, rush_share=1.0, opening_share=1.0, offered_per_buyer=1.0)
PAST = (EventKind.RESERVATION_LOST, EventKind.RESERVATION_CANCELLED, EventKind.RESERVATION_EXPIRED)


@pytest.fixture(scope="module")
def small() -> list[Told]:
    return list(simulate(MASTERLIST, "small", 1))


@pytest.fixture(scope="module")
def rush() -> list[Told]:
    """Everybody comes at once, and the log is slow."""
    return list(simulate(MASTERLIST, RUSH, 1))


def records(told: list[Told]) -> list[TicketRecord]:
    return [one for one in told if isinstance(one, TicketRecord)]


def events(told: list[Told], *kinds: EventKind) -> list[SiteEvent]:
    return [one for one in told if isinstance(one, SiteEvent) and (not kinds or one.kind in kinds)]


def test_the_same_seed_tells_the_same_and_another_does_not() -> None:
    first, again, other = (list(simulate(MASTERLIST, FEW, seed)) for seed in (7, 7, 8))
    assert first == again
    assert first != other


def test_the_order_of_the_list_does_not_matter() -> None:
    assert list(simulate(MASTERLIST[::-1], FEW, 7)) == list(simulate(MASTERLIST, FEW, 7))


def test_what_is_told_is_in_the_order_of_time_and_before_the_first_match(small: list[Told]) -> None:
    moments = [told_at(one) for one in small]
    assert moments == sorted(moments)
    assert moments[-1] < min(match.date_utc for match in MASTERLIST)


def test_messages_are_as_strict_partners_want_them_and_labelled(small: list[Told]) -> None:
    schema = validator("ticket-sale")
    for record in records(small):
        schema.validate(json.loads(record.value))
        assert decode(record.value, record.headers) == record.message
        assert record.client_id.startswith("synthetic-")


def test_events_are_labelled_and_only_of_the_first_site(small: list[Told]) -> None:
    own = SIZES["small"].sites[0][0]
    found = events(small)
    assert found == [decode_event(encode_event(event)) for event in found]
    assert all(event.synthetic for event in found)
    assert len({event.event_id for event in found}) == len(found)
    held = [record for record in records(small) if record.client_id == own and record.action is Action.PENDING]
    assert len(held) == len(events(small, EventKind.RESERVATION_HELD, EventKind.RESERVATION_LOST))


@pytest.mark.parametrize("told", ["small", "rush"])
def test_never_more_is_sold_or_held_than_there_is(told: str, request: pytest.FixtureRequest) -> None:
    capacities = {
        Pool(match.match_number, pool.category): pool.capacity for match in MASTERLIST for pool in match.pools
    }
    offer = Simulation(MASTERLIST, RUSH if told == "rush" else SIZES["small"], 1).tournament.offer
    assert all(offer[pool] <= capacity for pool, capacity in capacities.items())
    sold: Counter[Pool] = Counter()
    for record in records(request.getfixturevalue(told)):
        if record.action is Action.RESERVED:
            sold[Pool(record.match_number, record.category)] += record.quantity
    assert sold
    assert all(quantity <= offer[pool] for pool, quantity in sold.items())


@pytest.mark.parametrize("told", ["small", "rush"])
def test_every_sale_lives_by_the_rules(told: str, request: pytest.FixtureRequest) -> None:
    lives: defaultdict[str, list[TicketRecord]] = defaultdict(list)
    for record in records(request.getfixturevalue(told)):
        lives[record.sale_id].append(record)
    for life in lives.values():
        assert [record.action for record in life] in (
            [Action.PENDING, Action.RESERVED],
            [Action.PENDING, Action.CANCELLED],
        )
        assert len({(one.client_id, one.match_number, one.category, one.quantity, one.price) for one in life}) == 1


def test_a_race_is_lost_at_times_and_nothing_is_paid_then(rush: list[Told]) -> None:
    lost = {event.reservation_id for event in events(rush, EventKind.RESERVATION_LOST)}
    assert lost
    assert not lost & {event.reservation_id for event in events(rush, EventKind.PAYMENT_SUCCEEDED)}


def test_events_of_a_reservation_end_once_and_money_fits_the_price(small: list[Told]) -> None:
    ends = Counter(event.reservation_id for event in events(small, EventKind.RESERVATION_RESERVED, *PAST))
    submitted = events(small, EventKind.RESERVATION_SUBMITTED)
    assert set(ends.values()) == {1}
    assert set(ends) == {event.reservation_id for event in submitted}
    prices = {(match.match_number, pool.category): pool.price for match in MASTERLIST for pool in match.pools}
    amounts = {}
    for event in submitted:
        price = prices[event.match_number or 0, event.category or 0]
        amounts[event.reservation_id] = price * (event.quantity or 0) * 100
        assert event.amount == amounts[event.reservation_id]
    for event in events(small, EventKind.PAYMENT_SUCCEEDED, EventKind.PAYMENT_FAILED, EventKind.REFUND_MADE):
        assert event.amount == amounts[event.reservation_id]


def test_owners_sell_single_tickets_again_and_the_site_what_was_refunded(small: list[Told]) -> None:
    opened = events(small, EventKind.LISTING_OPENED)
    assert {event.quantity for event in opened} == {1}
    assert 0 < sum(event.subject is None for event in opened) <= len(events(small, EventKind.REFUND_MADE))
    assert any(event.subject is not None for event in opened)


def test_what_is_held_is_sold_or_offered_again_and_only_the_sites_own_is_ended(small: list[Told]) -> None:
    held, released, sold, ended, withdrawn = (
        events(small, kind)
        for kind in (
            EventKind.LISTING_HELD,
            EventKind.LISTING_RELEASED,
            EventKind.LISTING_SOLD,
            EventKind.LISTING_ENDED,
            EventKind.LISTING_WITHDRAWN,
        )
    )
    holds = {event.reservation_id: event.happened_at for event in held}
    over = {event.reservation_id: event.happened_at for event in released + sold}
    assert released
    assert holds.keys() == over.keys()
    longest = timedelta(seconds=SIZES["small"].hold_seconds)
    assert all(timedelta(0) < over[id_] - holds[id_] <= longest for id_ in holds)
    assert {event.subject for event in ended} == {None}
    assert None not in {event.subject for event in withdrawn}
    assert len(sold + ended + withdrawn) == len(events(small, EventKind.LISTING_OPENED))


def test_everything_that_may_happen_happens(small: list[Told], rush: list[Told]) -> None:
    assert {event.kind for event in events(small) + events(rush)} == set(EventKind)


def test_countries_prefer_their_own_team(small: list[Told]) -> None:
    def share(country: str, team: str) -> float:
        seen = [event.match_number for event in events(small, EventKind.MATCH_VIEWED) if event.country == country]
        theirs = {match.match_number for match in MASTERLIST if team in (match.home_team, match.away_team)}
        return sum(number in theirs for number in seen) / len(seen)

    for country, others, team in (("AR", "GB", "Argentina"), ("GB", "AR", "England"), ("JP", "US", "Japan")):
        assert share(country, team) > 2 * share(others, team)


def test_popularity_is_uneven_and_everything_is_seen(small: list[Told]) -> None:
    seen = Counter(event.match_number for event in events(small, EventKind.MATCH_VIEWED))
    counts = sorted(seen.values(), reverse=True)
    assert sum(counts[:16]) > 1.5 * sum(counts) * 16 / len(MASTERLIST)
    assert len(seen) > 0.9 * len(MASTERLIST)


def test_friends_of_a_circle_like_the_same_beyond_country_and_popularity() -> None:
    simulation = Simulation(MASTERLIST, SIZES["small"], 1)
    buyers = simulation.buyers
    liking = buyers.liking - buyers.liking.mean(axis=0)
    for country in set(buyers.country):
        liking[buyers.country == country] -= liking[buyers.country == country].mean(axis=0)
    alike, other = [], []
    for buyer in range(0, len(buyers), 7):
        likeness = liking @ liking[buyer]
        same = buyers.circle == buyers.circle[buyer]
        same_not_self = same.copy()
        same_not_self[buyer] = False
        alike.append(likeness[same_not_self].mean())
        other.append(likeness[~same].mean())
    assert sum(alike) / len(alike) > sum(other) / len(other) + 5.0


def test_a_size_that_is_not_known_and_a_site_that_is_not_synthetic_are_refused() -> None:
    with pytest.raises(ValueError, match="small, large"):
        simulate(MASTERLIST, "huge", 1)
    with pytest.raises(ValueError, match="synthetic-"):
        Parameters(sites=(("fifa", 1.0),))
    with pytest.raises(ValueError, match="nothing to sell"):
        simulate([], "small", 1)


def test_any_master_list_will_do() -> None:
    """Teams, stadiums and places that the model does not know, and a knock-out match without those before it."""
    first, second = MASTERLIST[0], MASTERLIST[-1]
    known = replace(first, home_team="Atlantis", away_team="TBA", location="Somewhere", group=None)
    assert records(list(simulate([known, second], FEW, 1)))


def test_verdicts_are_those_of_the_log_that_partners_try_their_readers_on() -> None:
    head, *lines = map(json.loads, (DOCS / "examples" / "log-with-verdicts.jsonl").read_text("utf-8").splitlines())
    pool = Pool(head["matchNumber"], head["category"])
    admission = Admission({pool: head["capacity"]}, head["logHoldSeconds"] * 1000)
    for line in lines:
        headers = [(name, value.encode()) for name, value in line["headers"].items()]
        if line["outcome"].startswith("refused"):
            admission.tick(line["timestampMs"])
            continue
        outcome = admission.apply(line["timestampMs"], decode(line["value"].encode(), headers, head["quantityMax"]))
        stock = admission.stocks[pool]
        assert (stock.free, stock.capacity - stock.sold) == (line["pending"], line["reserved"]), line["why"]
        if line["outcome"] in ("admitted", "rejected"):
            assert outcome == Outcome(line["outcome"]), line["why"]
