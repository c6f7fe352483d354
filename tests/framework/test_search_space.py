"""The vocabulary of search spaces, and what every contender says in it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

import framework.contenders as contenders
from framework.contenders import Lagged, Linear, Neighbours, TorchDDP, XGBoost
from framework.search_space import (
    Choice,
    Real,
    SearchSpaceError,
    Tunable,
    Whole,
    changes,
    check_space,
    portfolio_of,
    setting_of,
    settled,
    space_of,
)

ALONE = {"Horovod", "XGBoostRay", "Tuned"}  # need what is not everywhere, or are a sweep themselves


def tunable() -> list[str]:
    return [name for name in contenders.__all__ if isinstance(getattr(contenders, name), Tunable)]


def test_most_contenders_say_what_may_be_searched() -> None:
    assert {"XGBoost", "LightGBM", "Linear", "RandomForest", "ExtraTrees", "SVM", "Neighbours", "Neural"} <= set(
        tunable()
    )
    assert {"TorchDDP", "Sequence"} <= set(tunable())


@pytest.mark.parametrize("name", [name for name in tunable() if name not in ALONE])
def test_a_space_names_fields_and_holds_its_portfolio(name: str) -> None:
    contender = getattr(contenders, name)()
    space, portfolio = space_of(contender), portfolio_of(contender)
    check_space(contender, space, who=name)
    assert 3 <= len(portfolio) <= 5
    assert len({str(sorted(settings.items())) for settings in portfolio}) == len(portfolio)
    for settings in portfolio:
        made = settled(contender, settings)
        for field, value in settings.items():
            assert space[field].holds(value)
            assert setting_of(made, field) == value
    for field, dimension in space.items():
        default = setting_of(contender, field)
        assert default is None or dimension.holds(default)


def test_a_wrapper_has_the_space_of_what_it_wraps() -> None:
    wrapped = Lagged(XGBoost())
    assert list(space_of(wrapped)) == [f"contender.{name}" for name in XGBoost.space]
    made = settled(wrapped, {"contender.depth": 3})
    assert made.contender.depth == 3
    assert made.name == wrapped.name
    assert changes(wrapped, made) == {"contender.depth": 3}


def test_a_dotted_name_reaches_into_the_engines_parameters_and_a_nets_shape() -> None:
    made = settled(XGBoost(engine={"gamma": 1.0}), {"engine.reg_alpha": 2.0})
    assert dict(made.engine) == {"gamma": 1.0, "reg_alpha": 2.0}
    assert setting_of(made, "engine.gamma") == 1.0
    assert setting_of(XGBoost(), "engine.gamma") is None
    assert settled(TorchDDP(shape=(("width", 8),)), {"shape.width": 64}).shape == (("width", 64),)


@given(st.floats(1e-6, 1e3), st.floats(1.001, 1e3), st.booleans(), st.integers(1, 9))
def test_a_spread_lies_within_its_ends(low: float, factor: float, log: bool, points: int) -> None:
    spread = Real(low, low * factor, log=log).spread(points)
    assert len(spread) == points
    assert all(low * (1 - 1e-5) <= value <= low * factor * (1 + 1e-5) for value in spread)
    assert list(spread) == sorted(spread)


def test_a_spread_of_whole_numbers_repeats_none() -> None:
    assert Whole(1, 3).spread(9) == (1, 2, 3)
    assert Whole(1, 100, log=True).spread(3) == (1, 10, 100)


MISTAKES = {
    "an empty space": (lambda: check_space(XGBoost(), {}, who="tuned/xgboost"), "empty search space"),
    "no such field": (lambda: check_space(XGBoost(), {"deep": Whole(1, 2)}, who="x"), "no field 'deep'"),
    "no dimension": (lambda: check_space(Linear(), {"bends": (True, False)}, who="x"), "Choice((…))"),
    "turned round": (lambda: Real(2.0, 1.0), "`low` must be below `high`"),
    "factors from nothing": (lambda: Whole(0, 9, log=True), "above 0"),
    "nothing to choose from": (lambda: Choice(()), "at least one option"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_told(mistake: str) -> None:
    make, sentence = MISTAKES[mistake]
    with pytest.raises(SearchSpaceError) as told:
        make()
    assert sentence in str(told.value)


def test_settings_do_not_change_what_they_are_given_to() -> None:
    plain = Neighbours()
    assert settled(plain, {"neighbours": 9}).neighbours == 9
    assert plain.neighbours is None
