"""A challenger becomes champion on fresh rows that show it to be better, and for no other reason but a written one."""

import numpy as np
import pytest

from framework.comparison import ComparisonError
from framework.contender import Context
from framework.contenders import LightGBM
from framework.data.data_error import DataError
from framework.data.load import load
from framework.data.schema import SchemaError
from framework.predictor import Predictor
from framework.registry import RefusedError, RegistryError, history, promote, register, versions
from framework.statistics import delong
from tests.boards import board, tumours
from tests.framework.registry.conftest import KNOWN

FRESH = tumours().iloc[KNOWN:]


def aliases(name: str) -> dict[str, int]:
    return {each.alias: each.version for each in versions(name) if each.alias}


def test_a_better_challenger_becomes_champion_and_the_old_one_is_archived(named, good, poor):
    promotion = promote(named, FRESH)
    assert promotion
    assert aliases(named) == {"champion": 2, "archived": 1}
    assert promotion.verdict == f"version 2 of {named!r} is its champion now, it was version 1."
    areas = delong(
        FRESH["target"].to_numpy() == 1,
        [each.winner.predictor.predict(FRESH)[0]["proba_1"].to_numpy() for each in (good, poor)],
    )
    best, other = promotion.comparison.lines
    assert (best.name, best.score, other.score) == ("version 2", pytest.approx(areas.area[0]), pytest.approx(0.5))
    assert other.noise == pytest.approx(areas.p_value(0, 1))
    assert promotion.comparison.test == "DeLong's test"
    told = str(promotion)
    assert "version 2" in told.splitlines()[0]
    assert "ROC AUC (higher is better) on 229 rows of a pandas DataFrame" in told
    last = [change for change in history(named).changes if change.act == "promoted"]
    assert {(change.alias, change.before, change.after) for change in last} == {
        ("champion", 1, 2),
        ("challenger", 2, None),
        ("archived", None, 1),
    }
    assert "ROC AUC on 229 rows" in last[0].why


def test_one_that_is_not_better_is_refused_with_the_reason(named, poor):
    promote(named, FRESH)
    register(poor, named, alias="challenger")
    promotion = promote(named, FRESH)
    assert not promotion
    assert aliases(named)["champion"] == 2
    assert len(promotion.reasons) == 1
    assert promotion.reasons[0].startswith("it is not better: ROC AUC 0.5000 (0.5000 … 0.5000) against 0.9")
    with pytest.raises(RefusedError, match=r"version 3 of .* is not promoted, version 2 stays the champion: it is not"):
        promotion.or_refuse()
    assert not [change for change in history(named).changes if change.after == 3 and change.alias == "champion"]


def test_one_that_is_better_by_chance_is_refused(store, good):
    register(good, "alike")
    again = board(
        tumours().iloc[:KNOWN], LightGBM(rounds=30, learning_rate=0.11), target="target", name="tumours", kind="binary"
    )
    register(again, "alike", alias="challenger")
    promotion = promote("alike", FRESH)
    assert not promotion
    assert "it is not better" in promotion.reasons[0]


def test_too_few_rows_are_refused(named):
    promotion = promote(named, FRESH.iloc[:30])
    assert promotion.reasons[0] == "30 rows are too few to tell, 50 are asked for"
    assert promote(named, FRESH.iloc[:30], least=20)


def test_rows_that_a_model_has_learned_from_are_refused_even_among_fresh_ones(named, good):
    mixed = tumours().sample(frac=1.0, random_state=1)
    promotion = promote(named, mixed)
    told = [reason for reason in promotion.reasons if "not fresh" in reason]
    assert [reason.split(" has learned")[0] for reason in told] == ["version 2", "version 1"]
    held = good.split
    share = (len(held.fold.train) + len(held.fold.valid)) / len(mixed)
    assert f"from {share:.0%} of these rows" in told[0]


def test_the_rows_of_the_winners_own_test_are_fresh(named, good):
    split = good.split
    rows = split.test.X.assign(target=split.test.y)
    assert not [reason for reason in promote(named, rows).reasons if "not fresh" in reason]


def test_force_needs_a_reason_and_keeps_both_sides_in_the_history(named, poor):
    register(poor, named, alias="challenger")
    with pytest.raises(RegistryError, match="the history has to tell why"):
        promote(named, FRESH, force=True)
    promotion = promote(named, FRESH.iloc[:30], force=True, why="the old one leaks")
    assert promotion
    assert promotion.forced
    assert aliases(named)["champion"] == 3
    change = next(each for each in reversed(history(named).changes) if each.alias == "champion")
    assert (change.act, change.before, change.after) == ("forced", 1, 3)
    assert change.why.startswith("the old one leaks; ")
    assert "against: 30 rows are too few" in change.why


def test_another_question_is_refused_whatever_the_force(named):
    other = board(tumours().iloc[:KNOWN], target="mean radius", name="tumours", kind="regression")
    register(other, named, alias="challenger")
    with pytest.raises(ComparisonError, match="do not answer the same question: kind is 'regression'"):
        promote(named, FRESH, force=True, why="because")


def test_the_first_champion_needs_no_test(store, good):
    register(good, "first_one", alias="challenger")
    promotion = promote("first_one", FRESH)
    assert promotion
    assert promotion.comparison is None
    assert aliases("first_one") == {"champion": 1}
    assert "there was none" in promotion.verdict


def test_a_model_without_its_contest_is_compared_and_that_is_told(named, store):
    split = load(tumours().iloc[:KNOWN], target="target", name="tumours", kind="binary")
    model = LightGBM(rounds=30).fit(split.fold, Context())
    register(Predictor("tumours", split.problem, split.schema, model), named, alias="challenger")
    promotion = promote(named, FRESH)
    assert promotion
    assert promotion.remarks[0].startswith("Whether version 3 has seen these rows is not known")


@pytest.mark.parametrize(
    ("given", "error", "sentence"),
    [
        ({"rows": FRESH.drop(columns="target")}, DataError, "has no column 'target', the model's target"),
        ({"rows": FRESH.assign(target=7)}, DataError, "holds '7', which the model does not know. It knows: 0, 1"),
        ({"rows": FRESH.assign(target=np.nan)}, DataError, "has no row with a value of 'target'"),
        ({"rows": FRESH.drop(columns="mean area")}, SchemaError, "missing column: 'mean area'"),
        ({"rows": FRESH, "challenger": 9}, RegistryError, "has no version 9. Its versions: 1, 2"),
        ({"rows": FRESH, "challenger": 1}, RegistryError, "version 1 of .* is its champion already"),
        ({"rows": FRESH, "name": "nobody"}, RegistryError, "has no model 'nobody'"),
    ],
)
def test_what_cannot_be_compared_is_one_sentence(unlucky, given, error, sentence):
    with pytest.raises(error, match=sentence):
        promote(**{"name": unlucky, "challenger": 2, **given})
    assert aliases(unlucky) == {"champion": 1}


@pytest.fixture(scope="module")
def unlucky(store, good, poor) -> str:
    register(poor, "unlucky")
    register(good, "unlucky", alias="")
    return "unlucky"


def test_a_model_without_a_challenger_says_so(unlucky):
    with pytest.raises(RegistryError, match=r"has no challenger\. Register one with alias='challenger'"):
        promote(unlucky, FRESH)
