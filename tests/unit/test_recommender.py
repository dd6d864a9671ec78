"""The recommender learns from the past only, is measured beside simple rules, and is promoted when it is better."""

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from analytics.generator import files
from analytics.generator.parameters import SIZES
from analytics.generator.records import LISTING_KINDS
from analytics.generator.simulation import simulate
from analytics.lake.erase import erase
from analytics.lake.lake import Lake
from analytics.recommender.catalogue import Catalogue, read_catalogue
from analytics.recommender.dataset import COLUMNS, Events, cut_at, read_events
from analytics.recommender.domain import ReasonCode, Visitor
from analytics.recommender.evaluation import Leak, Measured, interval, measure, trial
from analytics.recommender.learning import Parameters, learn
from analytics.recommender.loop import Trainer
from analytics.recommender.model import Scorer
from analytics.recommender.rankers import by_model
from analytics.recommender.registry import BadModel, Registry
from analytics.recommender.serving import NoModel, Recommender
from analytics.recommender.settings import ServingSettings
from analytics.recommender.trainer_settings import TrainerSettings
from analytics.recommender.training import judge
from matchday.masterlist_file import load_file
from shared.clock import FixedClock
from tests.lines_of_a_lake import LakeOfLines

MASTERLIST = load_file("world-cup-2022")
BUYERS, MORE_BUYERS = 400, 1_600
SERVING = ServingSettings.model_validate({})
NOW = datetime(2022, 11, 19, tzinfo=UTC)  # the day before the first kick-off
SIX = {"Argentina", "Brazil", "Costa Rica", "Ecuador", "Mexico", "Uruguay"}


def filled(folder: Path, buyers: int, seed: int = 1) -> Lake:
    lake = Lake(str(folder))
    told = simulate(MASTERLIST, replace(SIZES["small"], buyers=buyers), seed)
    files.append(lake, MASTERLIST, f"{buyers}-{seed}", told, "USD")
    return lake


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Lake:
    return filled(tmp_path_factory.mktemp("lake"), BUYERS)


@pytest.fixture(scope="module")
def catalogue(lake: Lake) -> Catalogue:
    return read_catalogue(lake)


@pytest.fixture(scope="module")
def events(lake: Lake, catalogue: Catalogue) -> Events:
    return read_events(lake, catalogue, 1_000_000)


def settings(lake: Lake, **given: object) -> TrainerSettings:
    return TrainerSettings.model_validate({"lake_uri": lake.uri, "trainer_visitors_min": 20, **given})


@pytest.fixture(scope="module")
def trained(lake: Lake, tmp_path_factory: pytest.TempPathFactory) -> Registry:
    registry = Registry(tmp_path_factory.mktemp("models"))
    assert Trainer(lake, registry, settings(lake), FixedClock(NOW)).once() is not None
    return registry


@pytest.fixture
def recommender(lake: Lake, trained: Registry) -> Iterator[Recommender]:
    served = Recommender(lake, trained, SERVING, FixedClock(NOW))
    served.renew()
    yield served
    served.stop()


# The cut in time


def test_what_is_learned_from_lies_before_what_is_tested(events: Events, catalogue: Catalogue) -> None:
    cut = cut_at(events, 0.8)
    before, after = events.before(cut), events.since(cut)
    assert len(before) + len(after) == len(events)
    assert before.at.max() < after.at.min()
    assert len(trial(before, after, catalogue, 1_000, 1)) > 20


def test_what_becomes_of_an_offer_says_nothing_of_what_its_seller_likes(tmp_path: Path) -> None:
    lines = LakeOfLines()
    lines.match(1, (4,), home_team="Qatar", away_team="Ecuador", kick_off=NOW + timedelta(days=1))
    lines.event("match_viewed", subject="ada", match_number=1)
    for kind in LISTING_KINDS:
        lines.event(kind, subject="bob", match_number=1, category=1, quantity=1)
    lake = lines.write(tmp_path / "lake")
    found = read_events(lake, read_catalogue(lake), 1_000)
    assert (len(found), found.subjects) == (1, ("ada",))


def test_a_trial_with_an_event_of_the_test_among_the_past_is_refused(events: Events, catalogue: Catalogue) -> None:
    cut = cut_at(events, 0.8)
    with pytest.raises(Leak):
        trial(events.before(cut + 1.0), events.since(cut), catalogue, 1_000, 1)


def test_what_happens_after_the_cut_changes_nothing_in_the_model(events: Events, catalogue: Catalogue) -> None:
    cut = cut_at(events, 0.8)
    later = events.since(cut)
    scrambled = replace(later, match=np.roll(later.match, 7), weight=later.weight * 9)
    first = learn(events.before(cut), catalogue, Parameters())
    joined = _joined(events.before(cut), scrambled)
    second = learn(joined.before(cut), catalogue, Parameters())
    assert np.array_equal(first.popular, second.popular)
    assert np.array_equal(first.regular, second.regular)
    assert np.array_equal(first.factors, second.factors)


def _joined(first: Events, second: Events) -> Events:
    columns: dict[str, Any] = {name: np.concatenate([getattr(first, name), getattr(second, name)]) for name in COLUMNS}
    return replace(first, **columns)


def test_what_somebody_has_bought_is_not_wanted_again(events: Events, catalogue: Catalogue) -> None:
    cut = cut_at(events, 0.8)
    before = events.before(cut)
    tried = trial(before, events.since(cut), catalogue, 1_000, 1)
    bought = before.bought(len(catalogue))[tried.subjects].toarray() > 0
    assert bought.any()
    assert not (bought & tried.wanted).any()
    shown = measure(tried, by_model(Scorer(learn(before, catalogue, Parameters()), catalogue))).shown
    assert not any(bought[row, match] for row in range(len(tried)) for match in shown[row] if match >= 0)


def test_the_measures_are_those_of_a_list_worked_out_by_hand(events: Events, catalogue: Catalogue) -> None:
    cut = cut_at(events, 0.8)
    tried = trial(events.before(cut), events.since(cut), catalogue, 1, 1)
    wanted = np.zeros_like(tried.wanted)
    wanted[0, [3, 9]] = True
    one = replace(tried, wanted=wanted, open=np.ones_like(tried.open))
    scores = np.zeros(len(catalogue))
    scores[[7, 3, 2]] = [3.0, 2.0, 1.0]  # what is wanted stands second; the other one is not shown
    found = measure(one, lambda *_: scores)
    assert found.recall[0] == pytest.approx(1 / 2)
    assert found.ndcg[0] == pytest.approx((1 / np.log2(3)) / (1 + 1 / np.log2(3)))


def test_an_interval_holds_the_mean_and_narrows_with_more_visitors() -> None:
    values = np.random.default_rng(3).random(4_000)
    few, many = interval(values[:100], 1), interval(values, 1)
    assert few.low < few.mean < few.high
    assert many.high - many.low < (few.high - few.low) / 3


# How good it is


@pytest.mark.parametrize("buyers", [BUYERS, MORE_BUYERS])
def test_the_model_beats_popularity_the_country_rule_and_chance(buyers: int, tmp_path: Path) -> None:
    lake = filled(tmp_path / "lake", buyers)
    trained = Trainer(lake, Registry(tmp_path / "models"), settings(lake), FixedClock(NOW)).once()
    assert trained is not None
    assert trained.promoted
    ndcg = {name: figures["ndcg@5"] for name, figures in trained.report["figures"].items()}
    assert ndcg["model"]["low"] > ndcg["popularity"]["high"]
    assert ndcg["model"]["low"] > ndcg["random"]["high"]
    assert ndcg["model"]["mean"] > ndcg["country_rule"]["mean"]
    assert trained.report["figures"]["model"]["coverage"]["mean"] > 0.5
    assert trained.report["synthetic"] is True


def test_a_report_says_what_it_is_about(lake: Lake, trained: Registry) -> None:
    version = trained.current()
    assert version is not None
    report = trained.report(version)
    assert report["version"] == version
    assert report["lake"] == {"table": "site_events", "version": 1}
    assert report["parameters"]["seed"] == 1
    assert set(report["figures"]) == {"model", "factors", "popularity", "country_rule", "random"}
    assert set(report["figures"]["model"]) == {"recall@5", "ndcg@5", "coverage"}
    assert report["events"]["train"] > report["events"]["test"] > 0
    assert report["visitors"]["tested"] > report["visitors"]["strangers"]


def test_the_same_lake_and_seed_make_the_same_model(events: Events, catalogue: Catalogue) -> None:
    first, second = (learn(events, catalogue, Parameters()) for _ in range(2))
    assert np.array_equal(first.factors, second.factors)
    assert np.array_equal(first.regular, second.regular)


# Promotion


def measured(ndcg: float, visitors: int = 400, seed: int = 1) -> Measured:
    values = np.clip(np.random.default_rng(seed).normal(ndcg, 0.1, visitors), 0, 1)
    return Measured(values, values, np.zeros((visitors, 5), dtype=np.int64))


@pytest.mark.parametrize(
    ("ours", "popularity", "current", "promoted", "reason"),
    [
        (0.4, 0.2, None, True, "better"),
        (0.2, 0.2, None, False, "not_better_than_popularity"),
        (0.1, 0.2, None, False, "not_better_than_popularity"),
        (0.4, 0.2, 0.4, True, "better"),
        (0.3, 0.2, 0.5, False, "worse_than_current"),
    ],
)
def test_a_model_is_promoted_when_it_is_better(
    lake: Lake, ours: float, popularity: float, current: float | None, promoted: bool, reason: str
) -> None:
    figures = {"model": measured(ours), "popularity": measured(popularity, seed=2)}
    figures |= {} if current is None else {"current": measured(current, seed=1)}
    verdict = judge(figures, settings(lake), 1)
    assert (verdict["promoted"], verdict["reason"]) == (promoted, reason)


def test_a_model_that_few_have_tried_is_not_promoted(lake: Lake) -> None:
    figures = {"model": measured(0.9, 10), "popularity": measured(0.1, 10)}
    assert judge(figures, settings(lake), 1)["reason"] == "too_few_visitors"


def test_too_little_in_the_lake_trains_nothing(lake: Lake, tmp_path: Path) -> None:
    registry = Registry(tmp_path)
    wants_more = settings(lake, trainer_events_min=1_000_000)
    assert Trainer(lake, registry, wants_more, FixedClock(NOW)).once() is None
    assert registry.current() is None


def test_nothing_new_in_the_lake_trains_nothing(lake: Lake, tmp_path: Path) -> None:
    trainer = Trainer(lake, Registry(tmp_path), settings(lake), FixedClock(NOW))
    assert trainer.once() is not None
    assert trainer.once() is None


def test_two_trainers_do_not_train_at_once(lake: Lake, tmp_path: Path) -> None:
    registry = Registry(tmp_path)
    with registry.alone() as first:
        assert first
        assert Trainer(lake, Registry(tmp_path), settings(lake), FixedClock(NOW)).once() is None


# The models' folder


def test_a_model_is_read_as_it_was_written(trained: Registry, catalogue: Catalogue) -> None:
    stored = trained.load_current()
    assert stored is not None
    assert stored.version == trained.current()
    assert stored.numbers.tolist() == catalogue.numbers.tolist()
    assert stored.synthetic


@pytest.mark.parametrize("file", ["model.json", "arrays.npz"])
def test_a_file_that_was_changed_is_not_loaded(lake: Lake, tmp_path: Path, file: str) -> None:
    registry = Registry(tmp_path)
    Trainer(lake, registry, settings(lake), FixedClock(NOW)).once()
    path = tmp_path / "versions" / str(registry.current()) / file
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(BadModel):
        registry.load_current()


def test_a_model_of_another_schema_version_is_not_loaded(lake: Lake, tmp_path: Path) -> None:
    registry = Registry(tmp_path)
    Trainer(lake, registry, settings(lake), FixedClock(NOW)).once()
    version = str(registry.current())
    path = tmp_path / "versions" / version / "model.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"schemaVersion": 2}))
    registry.promote(version)
    with pytest.raises(BadModel, match="schema version"):
        registry.load_current()


@pytest.mark.parametrize("text", ["", "{}", '{"version": "../../etc", "sha256": "0"}', "[]"])
def test_a_folder_that_says_nonsense_is_not_believed(tmp_path: Path, text: str) -> None:
    (tmp_path / "current").write_text(text)
    with pytest.raises(BadModel):
        Registry(tmp_path).load_current()


def test_old_versions_go_and_the_current_one_stays(lake: Lake, tmp_path: Path) -> None:
    registry = Registry(tmp_path)
    first = Trainer(lake, registry, settings(lake), FixedClock(NOW)).once()
    assert first is not None
    for hour in range(1, 5):
        other = settings(lake, trainer_visitors_min=100_000, model_versions_max=3)
        Trainer(lake, registry, other, FixedClock(NOW + timedelta(hours=hour))).once()
    assert registry.current() == first.version
    assert len(registry.versions()) == 3
    assert registry.load_current() is not None


def test_a_trainer_goes_on_where_the_folder_says_nonsense(lake: Lake, tmp_path: Path) -> None:
    registry = Registry(tmp_path)
    (tmp_path / "current").write_text("nonsense")
    not_promoted = settings(lake, trainer_visitors_min=100_000, model_versions_max=2)
    for hour in range(3):
        assert Trainer(lake, registry, not_promoted, FixedClock(NOW + timedelta(hours=hour))).once() is not None
    assert len(registry.versions()) <= 2
    promoted = Trainer(lake, registry, settings(lake), FixedClock(NOW + timedelta(days=1))).once()
    assert promoted is not None
    assert registry.current() == promoted.version


def test_no_model_names_anybody(trained: Registry, lake: Lake) -> None:
    subject = lake.query("SELECT subject FROM site_events WHERE subject IS NOT NULL LIMIT 1")[0]["subject"]
    assert not [path for path in trained.folder.rglob("*") if path.is_file() and subject.encode() in path.read_bytes()]


# What is served


def teams_of(catalogue: Catalogue, number: int) -> set[str]:
    row = catalogue.rows[catalogue.index[number]]
    return {row.home_team, row.away_team}


@pytest.mark.parametrize("country", ["AR", "CO", "MX", "VE", "CL"])
def test_a_stranger_from_latin_america_sees_its_teams_first(
    recommender: Recommender, catalogue: Catalogue, country: str
) -> None:
    found = recommender.recommend(Visitor(country=country), 10)
    assert len(found.items) == 10
    assert all(teams_of(catalogue, item.match_number) & SIX for item in found.items)
    codes = {item.reason.code for item in found.items}
    assert codes <= {ReasonCode.REGION, ReasonCode.HOME_TEAM}
    assert found.synthetic


def test_the_rule_is_one_for_all_regions(recommender: Recommender, catalogue: Catalogue) -> None:
    found = recommender.recommend(Visitor(country="NG"), 5)
    africa = {"Cameroon", "Ghana", "Morocco", "Senegal", "Tunisia"}
    assert all(teams_of(catalogue, item.match_number) & africa for item in found.items)


def test_who_looks_at_a_team_is_told_that_it_is_followed(
    recommender: Recommender, lake: Lake, catalogue: Catalogue
) -> None:
    rows = lake.query("SELECT DISTINCT subject FROM site_events WHERE subject IS NOT NULL ORDER BY subject")
    reasons = [
        (teams_of(catalogue, item.match_number), item.reason)
        for row in rows[:100]
        for item in recommender.recommend(Visitor(row["subject"], "SE"), 5).items
    ]
    followed = [(teams, reason.team) for teams, reason in reasons if reason.code is ReasonCode.FOLLOWS_TEAM]
    assert len(followed) > 20
    assert all(team in teams for teams, team in followed)


def test_histories_differ_and_so_does_what_is_recommended(recommender: Recommender, lake: Lake) -> None:
    rows = lake.query("SELECT DISTINCT subject FROM site_events WHERE subject IS NOT NULL ORDER BY subject LIMIT 30")
    given = {
        tuple(item.match_number for item in recommender.recommend(Visitor(row["subject"], "SE"), 5).items)
        for row in rows
    }
    assert len(given) > 20


def test_what_has_begun_is_not_recommended(lake: Lake, trained: Registry, catalogue: Catalogue) -> None:
    later = datetime(2022, 12, 1, tzinfo=UTC)
    served = Recommender(lake, trained, SERVING, FixedClock(later))
    served.renew()
    found = served.recommend(Visitor(country="BR"), 200)
    assert found.items
    assert all(catalogue.rows[catalogue.index[item.match_number]].kick_off > later for item in found.items)


def test_without_a_model_there_is_none(lake: Lake, tmp_path: Path) -> None:
    served = Recommender(lake, Registry(tmp_path), SERVING, FixedClock(NOW))
    served.renew()
    with pytest.raises(NoModel):
        served.recommend(Visitor(), 5)


def test_a_model_is_served_to_strangers_when_all_histories_are_too_old(lake: Lake, trained: Registry) -> None:
    all_year = ServingSettings.model_validate({"recommendations_end_at_kick_off": "off"})
    served = Recommender(lake, trained, all_year, FixedClock(datetime(2030, 1, 1, tzinfo=UTC)))
    served.renew()
    assert len(served.recommend(Visitor(country="MX"), 5).items) == 5


def test_a_promoted_model_is_served_and_a_broken_one_is_not(lake: Lake, tmp_path: Path) -> None:
    registry = Registry(tmp_path)
    served = Recommender(lake, registry, SERVING, FixedClock(NOW))
    first = Trainer(lake, registry, settings(lake), FixedClock(NOW)).once()
    served.renew()
    assert first is not None
    assert served.recommend(Visitor(), 1).model_version == first.version
    second = Trainer(lake, registry, settings(lake), FixedClock(NOW + timedelta(hours=1))).once()
    assert second is not None
    assert second.promoted
    (tmp_path / "versions" / second.version / "arrays.npz").write_bytes(b"nonsense")
    with pytest.raises(BadModel):
        served.renew()
    assert served.recommend(Visitor(), 1).model_version == first.version


def test_who_is_erased_from_the_lake_is_a_stranger_again(tmp_path: Path, trained: Registry) -> None:
    lake = filled(tmp_path, 200)
    served = Recommender(lake, trained, SERVING, FixedClock(NOW))
    served.renew()
    rows = lake.query(
        "SELECT subject FROM site_events WHERE match_number IS NOT NULL GROUP BY 1 ORDER BY count(*) DESC"
    )
    subject = next(row["subject"] for row in rows if row["subject"])
    stranger = served.recommend(Visitor(None, "NG"), 10)
    assert served.recommend(Visitor(subject, "NG"), 10) != stranger
    erase(lake, [subject], 1)
    served.renew()
    assert served.recommend(Visitor(subject, "NG"), 10) == stranger
