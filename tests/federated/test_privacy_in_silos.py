"""Rows that stay hidden: what a silo answers, what it charges for it, and when it stops."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from federated import FederatedAverage, strategies
from federated.audit import verify
from federated.border import AUDIT, folder_name
from federated.channel import Direct
from federated.job import Job
from federated.message import Message
from federated.policy import Policy
from federated.privacy import Ledger, PrivacyError, RecordLevel, SiloLevel, Spend
from federated.privacy.guard import SECRET
from federated.privacy.noisy_steps import row_gradients
from federated.rounds import Coordinator, Terms
from federated.silo import Silo
from federated.silo_model import SiloModel
from federated.strategies.silo_private import SiloPrivate
from federated.update import Update
from framework import Context
from framework.data.load import load
from framework.predictor import Predictor
from framework.privacy.accountant import epsilon_of
from framework.privacy.dp_sgd import check_net
from framework.privacy.ledger import LEDGER, Charge
from framework.registry.card import card
from framework.registry.evidence import Evidence
from tests.federated.portfolios import QUICK, agreed, bench_of, filed, held_federation, job_of, rents

PUBLIC = RecordLevel(8.0, statistics=0.0)
ONCE = {"rounds": 2, "batch": 1000}  # every row in every step: budgets are quick to reckon


def private(privacy: RecordLevel = PUBLIC, strategy: object = None, **settings: object) -> Job:
    return replace(job_of(strategy or strategies.FedAvg(), **{**ONCE, **settings}), privacy=privacy)


def asked_of(silo: Silo, kind: str, **given: object) -> Message:
    return Message.from_bytes(silo.answer(Message(kind, **given).to_bytes()))  # type: ignore[arg-type]


def ready(job: Job, folder: Path | None = None, policy: Policy | None = None) -> tuple[Silo, Message]:
    """A silo that is asked for its first round."""
    silo = Silo(filed(policy=policy or Policy())[0], folder)
    assert asked_of(silo, "join", facts={"job": job.to_facts()}).kind == "joined"
    facts, groups = agreed().to_message()
    assert asked_of(silo, "prepare", facts=facts, groups=groups).kind == "ready"
    weights = bench_of(job_of(strategies.FedAvg()))[1]
    return silo, Message("train", round=1, groups={"weights": weights})


def test_the_same_question_is_answered_alike_and_paid_once_and_another_has_other_noise(tmp_path: Path) -> None:
    silo, asked = ready(private(), tmp_path)
    first = silo.answer(asked.to_bytes())
    assert silo.answer(asked.to_bytes()) == first
    successor, _ = ready(private(), tmp_path)  # as after a crash: of the same folder
    assert successor.answer(asked.to_bytes()) == first
    book = Ledger(tmp_path / LEDGER)
    assert [(each.purpose, each.spend.steps) for each in book.charges()] == [("training", 1)]
    moved = {name: array + np.float32(1e-6) for name, array in asked.groups["weights"].items()}
    other = Message.from_bytes(successor.answer(replace(asked, groups={"weights": moved}).to_bytes()))
    delta, before = other.groups["delta"], Message.from_bytes(first).groups["delta"]
    assert not np.allclose(delta["trunk.layers.0.weight"], before["trunk.layers.0.weight"], atol=1e-4)
    assert len(Ledger(tmp_path / LEDGER).charges()) == 2
    stranger, _ = ready(private(), tmp_path / "elsewhere")  # another secret
    assert stranger.answer(asked.to_bytes()) != first
    assert (tmp_path / SECRET).stat().st_mode & 0o777 == 0o600


def test_a_silo_stops_at_its_budget_whoever_asks_on(tmp_path: Path) -> None:
    silo, asked = ready(private(), tmp_path)
    kinds = [Message.from_bytes(silo.answer(replace(asked, round=number).to_bytes())).kind for number in (1, 2, 3)]
    assert kinds == ["update", "update", "refusal"]
    refused = asked_of(silo, "train", round=9, groups=asked.groups)
    assert "has spent what ε = 8 allows on training" in refused.facts["reason"]
    spent = Ledger(tmp_path / LEDGER).epsilon(PUBLIC.delta)
    assert 7.9 < spent <= 8.0
    assert verify(tmp_path / AUDIT)[0] == 6
    assert "has spent" in (tmp_path / AUDIT).read_text().splitlines()[-1]


def test_nothing_is_told_of_validation_rows_and_the_size_is_public(tmp_path: Path) -> None:
    silo, asked = ready(private())
    update = Message.from_bytes(silo.answer(asked.to_bytes()))
    assert set(update.facts) == {"rows", "steps"}
    assert update.facts["rows"] == 48
    assert asked_of(silo, "evaluate", round=1, groups=asked.groups).facts == {}


def test_a_policy_keeps_count_over_federations(tmp_path: Path) -> None:
    policy = Policy(epsilon=10.0, days=30)
    silo, asked = ready(private(seed=1), tmp_path, policy)
    assert [Message.from_bytes(silo.answer(replace(asked, round=n).to_bytes())).kind for n in (1, 2)] == ["update"] * 2
    again = Silo(filed(policy=policy)[0], tmp_path)
    refused = asked_of(again, "join", facts={"job": private(seed=2).to_facts()})
    assert refused.kind == "refusal"
    assert "gives ε = 10 in 30 days" in refused.facts["reason"]
    assert "gives ε = 10" in json.loads((tmp_path / AUDIT).read_text().splitlines()[-1])["reason"]
    small = private(RecordLevel(2.0, statistics=0.0), seed=3)
    assert asked_of(again, "join", facts={"job": small.to_facts()}).kind == "joined"
    open_job = job_of(strategies.FedAvg())
    refused = asked_of(Silo(filed(policy=policy)[0]), "join", facts={"job": open_job.to_facts()})
    assert "without record-level privacy" in refused.facts["reason"]
    path = tmp_path / LEDGER
    path.unlink()  # a month later
    book = Ledger(path)
    with book.writing() as held:
        held.charge(Charge(0.0, "old", "training", "q", Spend(0.7)))
    assert asked_of(again, "join", facts={"job": private(seed=2).to_facts()}).kind == "joined"


def test_each_row_has_a_gradient_of_its_own_and_none_counts_more_than_the_clip() -> None:
    job = private(RecordLevel(24.0, statistics=0.0, clip=0.01, noise=1e-3), rounds=1)
    bench, weights = bench_of(job_of(strategies.FedAvg(), optimizer="sgd", rate=1.0))
    bench.load(weights)
    bench.net.eval()
    each = row_gradients(bench, torch.arange(len(bench.train)))
    loss = (bench.loss(bench.net(bench.train.inputs), bench.train.answers) * bench.train.weights).sum()
    for name, parameter in bench.net.named_parameters():
        whole = torch.autograd.grad(loss, parameter, retain_graph=True)[0]
        assert torch.allclose(each[name].sum(dim=0), whole, atol=1e-4)
    norms = torch.sqrt(sum((part.flatten(1) ** 2).sum(dim=1) for part in each.values()))
    assert (norms > job.privacy.clip).all()  # type: ignore[union-attr]


@pytest.mark.parametrize(("noise", "low", "high"), [(1.0, 0.9, 1.1), (4.0, 3.6, 4.4)])
def test_the_noise_has_the_length_that_is_charged_for(noise: float, low: float, high: float) -> None:
    """With plain SGD, rate 1 and every row in its one step: Δ = -(Σ clipped + N(0, (noise clip)²)) / rows."""
    clip, rows = 1e-4, 48
    job = private(RecordLevel(24.9, statistics=0.0, clip=clip, noise=noise), rounds=1, optimizer="sgd", rate=1.0)
    job = replace(job, plan=replace(job.plan, weight_decay=0.0))
    deltas = []
    for _ in range(2):  # two silos with the same rows and two secrets: what differs is noise
        silo, asked = ready(job)
        deltas.append(Message.from_bytes(silo.answer(asked.to_bytes())).groups["delta"])
    noises = [(deltas[0][name] - deltas[1][name]).ravel() * rows / clip / np.sqrt(2) for name in deltas[0]]
    spread = float(np.concatenate(noises).std())
    assert low < spread < high


def test_noisy_statistics_are_near_the_pooled_ones_and_charged_for(tmp_path: Path) -> None:
    table = rents(400, 5)
    job = private(RecordLevel(20.0, statistics=0.5), rounds=1)
    sources = filed(table, valid=0.0)
    outcome = Coordinator(Direct(sources, tmp_path / "silos"), job, Terms(), tmp_path).run()
    made = outcome.preparation
    assert {c.name: c.categories for c in made.schema.columns}["kind"] == ("flat", "house", "loft")
    assert made.target.shift == pytest.approx(table.rent.mean(), abs=0.3 * table.rent.std())
    assert 0.6 < made.target.scale / table.rent.std() < 1.6
    places = {name: place for place, (name, _) in enumerate(job.columns)}
    for name in ("size", "age"):
        told = made.quantiles[:, places[name]]
        assert (np.diff(told) >= 0).all()
        assert told[128] == pytest.approx(table[name].median(), abs=0.5 * table[name].std())
    for source in sources:
        book = Ledger(tmp_path / "silos" / folder_name(source.name) / LEDGER)
        assert [each.purpose for each in book.charges()] == ["statistics"] * 4 + ["training"]
        assert 9.0 < epsilon_of([each.spend for each in book.charges()[:4]], 1e-5) <= 10.0
        assert 19.5 < book.epsilon(1e-5) <= 20.0


def test_a_coordinator_cannot_ask_for_more_statistics_than_were_planned(tmp_path: Path) -> None:
    silo = Silo(filed()[0], tmp_path)
    asked_of(silo, "join", facts={"job": private(RecordLevel(8.0, statistics=0.5)).to_facts()})
    schema = agreed().schema.to_json()
    columns = len(asked_of(silo, "moments", facts={"schema": schema}).groups["moments"]["counts"])
    kinds = []
    for place in range(5):
        edges = np.tile(np.linspace(0, 100 + place, 9), (columns, 1))
        kinds.append(asked_of(silo, "histograms", groups={"cells": {"edges": edges}}).kind)
    assert kinds == ["histograms"] * 3 + ["refusal"] * 2
    assert asked_of(silo, "histograms", groups={"cells": {"edges": -edges}}).kind == "refusal"


def test_statistics_that_drown_are_told_and_not_used(tmp_path: Path) -> None:
    from federated.exchange import FederationError

    job = private(RecordLevel(0.5, statistics=0.1), rounds=1)
    with pytest.raises(FederationError, match="nothing of 'rent' rises above the noise"):
        held_federation(job, tmp_path)


def test_a_federation_ends_when_its_budget_does_and_its_model_tells(tmp_path: Path) -> None:
    said: list[str] = []
    fold = load(rents(60, 3).drop(columns="dear"), target="rent", silo="owner").fold
    made = FederatedAverage(
        **{**QUICK, "rounds": 40, "batch": 1000, "strategy": strategies.FedAvg()},  # type: ignore[arg-type]
        privacy=RecordLevel(4.0, statistics=0.0, noise=3.0),
        audit=str(tmp_path / "silos"),
    )
    model = made.fit(fold, Context(folder=tmp_path, teller=said.append))
    assert 1 < model.rounds < 40
    assert any(f"it made {model.rounds} of 40 rounds" in each for each in said)
    assert model.privacy is not None
    assert 3.0 < model.privacy["epsilon"] <= 4.0
    assert model.privacy["ever"] == pytest.approx(model.privacy["epsilon"])
    assert "for each row of each silo" in model.promises[0]
    assert "declared public" in said[-1]
    (tmp_path / "model").mkdir()
    model.save(tmp_path / "model")
    assert SiloModel.load(tmp_path / "model").promises == model.promises
    known = Evidence(Predictor("rents", fold.problem, fold.schema, model))
    told = card(known, name="rents", semantic="1.0.0", changed="", run_id="")
    assert model.promises[0] in next(part for part in told.sections if part.title == "Limits").blocks[0].items  # type: ignore[union-attr]
    again = replace(made, rate=0.01).fit(fold, Context(folder=tmp_path, teller=said.append))  # as a sweep's next trial
    assert again.privacy is not None
    assert again.privacy["epsilon"] == model.privacy["epsilon"]
    assert again.privacy["ever"] > 1.2 * model.privacy["epsilon"]


def test_fine_tuning_is_charged_too_and_ends_at_its_last_epoch(tmp_path: Path) -> None:
    job = private(strategy=strategies.FineTuned(strategies.FedAvg(), epochs=3))
    outcome = Coordinator(Direct(filed(), tmp_path / "silos"), job, Terms(), tmp_path).run()
    assert len(outcome.parts) == 5
    book = Ledger(tmp_path / "silos" / folder_name("owner 0") / LEDGER)
    assert [each.spend.steps for each in book.charges()] == [1, 1, 3]
    assert book.epsilon(1e-5) <= 8.0


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        (
            {"strategy": strategies.Scaffold(), "optimizer": "sgd", "clip": 0.0, "weight_decay": 0.0},
            "Scaffold cannot be trained with record",
        ),
        ({"strategy": strategies.IFCA()}, "IFCA cannot be trained with record"),
        ({"strategy": strategies.FedAvg(), "keep": True}, "keep=True leaves"),
        ({"strategy": strategies.Median(), "privacy": SiloLevel(8.0)}, "Median cannot be trained with silo"),
        ({"privacy": SiloLevel(8.0)}, "FineTuned cannot be trained with silo"),
        ({"strategy": strategies.FedAvg(), "privacy": SiloLevel(8.0, noise=0.1)}, "a single round costs more"),
    ],
)
def test_what_the_noise_would_not_cover_is_refused(settings: dict[str, object], sentence: str, tmp_path: Path) -> None:
    fold = load(rents(20, 3).drop(columns="dear"), target="rent", silo="owner").fold
    made = FederatedAverage(**{**QUICK, "privacy": PUBLIC, **settings})  # type: ignore[arg-type]
    with pytest.raises(PrivacyError, match=sentence):
        made.fit(fold, Context(folder=tmp_path))


def test_a_net_in_which_rows_see_one_another_is_refused_by_its_layers_name() -> None:
    net = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.BatchNorm1d(4), torch.nn.Linear(4, 1))
    with pytest.raises(PrivacyError, match=r"net 'ours' cannot .* 1 \(BatchNorm1d\)"):
        check_net(net, "ours", "")
    check_net(torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.LayerNorm(4)), "ours", "")


@pytest.fixture
def updates() -> list[Update]:
    rng = np.random.default_rng(0)
    return [Update(f"silo {k}", 10.0 * (k + 1), 1, {"delta": {"w": 5 * rng.normal(size=400)}}) for k in range(200)]


def test_no_silo_counts_more_than_the_clip_and_the_noise_is_what_it_says(updates: list[Update]) -> None:
    like, clip = {"w": np.zeros(400)}, 2.0

    def mean(noise: float, share: float, told: list[Update], seed: int = 0) -> np.ndarray:
        hides = SiloPrivate(strategies.FedAvg(), clip, noise, share, len(updates))
        return hides.noisy_mean(like, told, np.random.default_rng(seed)).delta["w"]

    exact = np.mean([clip * each.delta["w"] / np.linalg.norm(each.delta["w"]) for each in updates], axis=0)
    assert mean(0.0, 1.0, updates) == pytest.approx(exact)
    without = mean(0.0, 1.0, updates[1:])
    assert np.linalg.norm(exact - without) == pytest.approx(clip / 200)
    noise = mean(3.0, 1.0, updates) - exact
    assert noise.std() == pytest.approx(3.0 * clip / 200, rel=0.15)
    half = np.mean([mean(0.0, 0.5, updates, seed) for seed in range(200)], axis=0)
    assert np.linalg.norm(half - exact) < 0.3 * np.linalg.norm(exact)  # a share of them, on average all


def test_few_silos_are_remarked_and_the_model_tells_its_unit(tmp_path: Path) -> None:
    said: list[str] = []
    fold = load(rents(20, 3).drop(columns="dear"), target="rent", silo="owner").fold
    made = FederatedAverage(**{**QUICK, "rounds": 2, "strategy": strategies.FedAvg()}, privacy=SiloLevel(8.0))  # type: ignore[arg-type]
    model = made.fit(fold, Context(folder=tmp_path, teller=said.append))
    assert any("3 silos are few to hide one among" in each and "ε would really be" in each for each in said)
    assert model.privacy is not None
    assert model.privacy["unit"] == "silo"
    assert model.privacy["epsilon"] <= 8.0
    assert model.rounds == 2
