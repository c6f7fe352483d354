"""Each strategy's equation, evaluated on numbers: the server's half on arrays, the silo's half on a small net."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from cluster.wire import Arrays
from federated import strategies
from federated.average import zeros
from federated.bench import _by_group
from federated.federated_average import FederatedAverage
from federated.job import Job, LocalPlan
from federated.privacy.levels import RecordLevel
from federated.strategies import Server, Strategy, StrategyError, from_facts, named, names_of, to_facts
from federated.update import Update
from tests.federated.portfolios import bench_of, fold_of, job_of

WEIGHTS = {"w": np.array([1.0, 2.0], dtype=np.float32)}
SETTINGS = {
    "Averaged": {"inner": strategies.FedAvg()},
    "FineTuned": {"inner": strategies.FedAvg()},
    "SiloPrivate": {"inner": strategies.FedAvg(), "clip": 1.0, "noise": 1.0, "share": 1.0, "silos": 3},
}
# One step over all rows, nothing drawn: the change of the weights is minus the rate times the gradient.
STEP = {"optimizer": "sgd", "weight_decay": 0.0, "clip": 0.0, "rate": 0.1, "batch": 10_000, "epochs": 1}
STEP["shape"] = (("size", 4), ("width", 16), ("layers", 1), ("dropout", 0.0))


def updates(*deltas: list[float], rows: tuple[float, ...] = (1.0, 3.0), **groups: list[float]) -> list[Update]:
    more = {name: {"w": np.array(values)} for name, values in groups.items()}
    return [
        Update(f"silo {k}", rows[k], 1, {"delta": {"w": np.array(delta)}, **more}, cluster=k)
        for k, delta in enumerate(deltas)
    ]


def first(seed: int) -> Arrays:
    return {"w": WEIGHTS["w"] + seed}


def test_every_strategy_is_a_file_with_its_paper() -> None:
    folder = Path(strategies.__file__).parent
    shared = {"__init__", "plain", "adaptive"}
    assert {path.stem for path in folder.glob("*.py")} - shared == set(strategies.FILES.values())
    for name, file in strategies.FILES.items():
        text = (folder / f"{file}.py").read_text(encoding="utf-8")
        assert "https://arxiv.org/abs/" in text.split('"""')[1], name


@pytest.mark.parametrize("name", strategies.__all__)
def test_a_strategy_travels_as_plain_data(name: str) -> None:
    strategy = named(name, **SETTINGS.get(name, {}))
    assert from_facts(to_facts(strategy)) == strategy
    assert names_of(strategy)[0] == name


def test_a_name_that_is_none_of_ours_is_refused() -> None:
    with pytest.raises(StrategyError, match=r"no strategy 'FedAdm'\. Did you mean 'FedAdam'"):
        from_facts({"name": "FedAdm", "settings": {}})
    with pytest.raises(StrategyError, match="no strategy 'os'"):
        named("os")


def test_fedavg_and_fedprox_add_the_mean_step() -> None:
    given = updates([4.0, 0.0], [0.0, 8.0])
    assert strategies.FedAvg().combine(Server(WEIGHTS, {}), given).weights["w"].tolist() == [2.0, 8.0]
    assert strategies.FedAvg(rate=0.5).combine(Server(WEIGHTS, {}), given).weights["w"].tolist() == [1.5, 5.0]
    assert strategies.FedProx().combine(Server(WEIGHTS, {}), given).weights["w"].tolist() == [2.0, 8.0]


def test_fedavgm_remembers_its_velocity() -> None:
    strategy = strategies.FedAvgM(momentum=0.5, rate=1.0)
    server = strategy.start(first)
    for velocity, weights in (([1.0, 6.0], [2.0, 8.0]), ([1.5, 9.0], [3.5, 17.0])):
        server = strategy.combine(server, updates([4.0, 0.0], [0.0, 8.0]))
        assert server.kept["velocity"]["w"].tolist() == velocity
        assert server.weights["w"].tolist() == weights


@pytest.mark.parametrize("name", ["FedAdam", "FedYogi", "FedAdagrad"])
def test_the_adaptive_servers_follow_reddis_algorithm(name: str) -> None:
    strategy = named(name)
    server = strategy.start(first)
    weights, mean = WEIGHTS["w"].astype(np.float64), np.zeros(2)
    tau, rate, beta = strategy.tau, strategy.rate, strategy.first  # type: ignore[attr-defined]
    variance = np.full(2, tau**2)
    rng = np.random.default_rng(0)
    for _ in range(5):
        deltas = rng.normal(size=(2, 2))
        delta = 0.25 * deltas[0] + 0.75 * deltas[1]
        mean = beta * mean + (1 - beta) * delta
        if name == "FedAdam":
            variance = 0.99 * variance + 0.01 * delta**2
        elif name == "FedYogi":
            variance = variance - 0.01 * delta**2 * np.sign(variance - delta**2)
        else:
            variance = variance + delta**2
        weights = weights + rate * mean / (np.sqrt(variance) + tau)
        server = strategy.combine(server, updates(*deltas.tolist()))
    assert server.weights["w"] == pytest.approx(weights, abs=1e-6)
    assert server.weights["w"].dtype == np.float32


def test_scaffolds_server_moves_its_control_by_the_share_that_answered() -> None:
    strategy = strategies.Scaffold(silos=4)
    server = strategy.combine(strategy.start(first), updates([4.0, 0.0], [0.0, 8.0], control=[2.0, 4.0]))
    assert server.weights["w"].tolist() == [2.0, 8.0]
    assert server.kept["control"]["w"].tolist() == [0.5 * 2.0, 0.5 * 4.0]


def test_ifca_averages_each_cluster_alone() -> None:
    strategy = strategies.IFCA(clusters=2)
    server = strategy.start(first)
    assert server.kept["cluster 1"]["w"].tolist() == [2.0, 3.0]
    server = strategy.combine(server, updates([4.0, 0.0], [0.0, 8.0]))
    assert server.kept["cluster 0"]["w"].tolist() == [5.0, 2.0]
    assert server.kept["cluster 1"]["w"].tolist() == [2.0, 11.0]
    assert server.weights["w"].tolist() == [2.0, 11.0]  # three rows of four chose it


def test_robust_strategies_hold_what_liars_send() -> None:
    rng = np.random.default_rng(0)
    honest = rng.normal([1.0, -1.0], 0.1, size=(16, 2)).tolist()
    liars = [[-10.0, 10.0]] * 3
    given = [Update(f"silo {k}", 1.0, 1, {"delta": {"w": np.array(d)}}) for k, d in enumerate([*honest, *liars])]
    right = WEIGHTS["w"] + np.array([1.0, -1.0])

    def missed(strategy: Strategy) -> float:
        return float(np.abs(strategy.combine(Server(WEIGHTS, {}), given).weights["w"] - right).max())

    assert missed(strategies.FedAvg()) > 1.0
    for strategy in (strategies.TrimmedMean(), strategies.Median(), strategies.Krum(3), strategies.Krum(3, keep=1)):
        assert missed(strategy) < 0.3, strategy
    # Clipping to the median norm leaves each liar no longer a step than an honest silo: 3 of 19.
    assert missed(strategies.NormClipped()) < 2 * 3 / 19 + 0.1


def test_who_was_refused_is_one_of_the_faulty() -> None:
    values = [*np.linspace(0.0, 1.0, 15).tolist(), 9.0]
    given = [Update(f"silo {k:02d}", 1.0, 1, {"delta": {"w": np.full(2, value)}}) for k, value in enumerate(values)]

    def step(refused: int, strategy: Strategy) -> float:
        started = strategy.start(lambda seed: {"w": np.zeros(2)})
        return float(strategy.combine(replace(started, refused=refused), given).weights["w"][0])

    krum = strategies.Krum(faulty=3)
    assert step(3, krum) == pytest.approx(np.mean(values))  # all three have been found out: nobody else is left out
    assert step(2, krum) == pytest.approx(np.mean(values[:15]))
    assert step(0, krum) == pytest.approx(np.mean(values[1:14]), abs=0.04)
    assert step(5, krum) == step(3, krum)
    assert step(2, strategies.FineTuned(krum)) == step(2, krum)
    assert step(2, strategies.Averaged(krum)) == pytest.approx(step(2, krum) * (1 - 2 / 11))
    assert krum.combine(Server({"w": np.zeros(2)}, {}, 3), given).refused == 0


def test_one_step_goes_down_the_gradient() -> None:
    bench, start = bench_of(job_of(strategies.FedAvg(), **STEP))
    before = bench.train_loss(start)
    work = strategies.FedAvg().work(bench, {"weights": start})
    assert work.steps == 1
    assert bench.train_loss({name: start[name] + work.groups["delta"][name] for name in start}) < before


def test_fedprox_pulls_towards_what_was_sent() -> None:
    two = {**STEP, "epochs": 2}
    bench, start = bench_of(job_of(strategies.FedProx(), **STEP))
    once = strategies.FedAvg().work(bench, {"weights": start}).groups["delta"]
    middle = {name: start[name] + once[name] for name in start}
    again = strategies.FedAvg().work(bench, {"weights": middle}).groups["delta"]
    bench.job = job_of(strategies.FedProx(), **two)
    pulled = strategies.FedProx(mu=0.5).work(bench, {"weights": start}).groups["delta"]
    for name in start:  # w2 = w1 - η (g(w1) + μ (w1 - w0)); the pull at w0 is nothing
        expected = once[name] + again[name] - 0.1 * 0.5 * once[name]
        assert pulled[name] == pytest.approx(expected, abs=2e-6)
    assert max(np.abs(once[name]).max() for name in start) > 1e-3  # so that the pull is more than rounding


def test_scaffold_corrects_the_gradient_and_keeps_its_control_in_the_silo() -> None:
    bench, start = bench_of(job_of(strategies.FedAvg(), **STEP))
    gradient = {n: -d / 0.1 for n, d in strategies.FedAvg().work(bench, {"weights": start}).groups["delta"].items()}
    strategy = strategies.Scaffold()
    work = strategy.work(bench, {"weights": start, "control": zeros(start)})
    for name in start:  # c_k⁺ = c_k - c + (w - w_k) / (K η) = the gradient
        assert bench.kept["control"][name] == pytest.approx(gradient[name], abs=1e-5)
        assert work.groups["control"][name] == pytest.approx(gradient[name], abs=1e-5)
    theirs = {name: np.ones(array.shape, dtype=np.float32) for name, array in start.items()}
    second = strategy.work(bench, {"weights": start, "control": theirs})
    for name in start:  # along g - c_k + c = g - g + 1
        assert second.groups["delta"][name] == pytest.approx(np.full(start[name].shape, -0.1), abs=1e-5)


def test_scaffold_and_fednova_refuse_an_optimizer_that_their_equations_are_not_of() -> None:
    for strategy in (strategies.Scaffold(), strategies.FedNova()):
        with pytest.raises(StrategyError, match="optimizer='sgd'"):
            job_of(strategy)
        assert isinstance(job_of(strategy, optimizer="sgd", weight_decay=0.0, clip=0.0), Job)


def test_dittos_common_update_is_fedavgs_and_its_own_model_another() -> None:
    bench, start = bench_of(job_of(strategies.FedAvg()))
    plain = strategies.FedAvg().work(bench, {"weights": start}).groups["delta"]
    common = strategies.Ditto().work(bench, {"weights": start}).groups["delta"]
    for name in start:
        np.testing.assert_array_equal(plain[name], common[name])
    part, own = strategies.Ditto().personal(bench, {"weights": start})
    assert part == bench.silo
    assert any(not np.array_equal(own[name], start[name] + common[name]) for name in start)


def test_a_strong_ditto_stays_at_the_common_model() -> None:
    bench, start = bench_of(job_of(strategies.FedAvg(), **{**STEP, "epochs": 10, "rate": 0.03}))
    far = {}
    for strength in (0.0, 20.0):
        bench.kept.clear()
        strategies.Ditto(strength=strength).work(bench, {"weights": start})
        far[strength] = sum(float(((bench.kept["own"][n] - start[n]) ** 2).sum()) for n in start)
    assert far[20.0] < far[0.0] / 4


def test_fedbn_keeps_the_norms_of_a_silo() -> None:
    shape = (("width", 8), ("blocks", 1), ("heads", 2))
    bench, start = bench_of(job_of(strategies.FedBN(), net="ft_transformer", shape=shape))
    strategies.FedBN().work(bench, {"weights": start})
    part, own = strategies.FedBN().personal(bench, {"weights": start})
    assert part == bench.silo
    assert set(own) == set(bench.norms())
    assert 0 < len(own) < len(start)
    answered = strategies.FedBN().common(bench, {"weights": start})
    for name in start:
        np.testing.assert_array_equal(answered[name], own.get(name, start[name]))


def test_ifca_trains_the_nearest_model() -> None:
    bench, start = bench_of(job_of(strategies.FedAvg(), epochs=10))
    learned = strategies.FedAvg().work(bench, {"weights": start}).groups["delta"]
    better = {name: start[name] + learned[name] for name in start}
    sent = {"cluster 0": start, "cluster 1": better}
    assert strategies.IFCA().work(bench, sent).facts == {"cluster": 1}
    assert strategies.IFCA().personal(bench, sent)[0] == "cluster 1"


def test_fine_tuning_ends_where_the_silos_own_rows_are_answered_best() -> None:
    bench, start = bench_of(job_of(strategies.FedAvg()))
    strategy = strategies.FineTuned(strategies.FedAvg(), epochs=5, rate=0.002)
    part, own = strategy.personal(bench, {"weights": start})
    assert part == bench.silo
    assert bench.valid_loss(own) < bench.valid_loss(start)
    wild = strategies.FineTuned(strategies.FedAvg(), epochs=5, rate=100.0)  # only worse from here
    assert wild.personal(bench, {"weights": own}) == ("", {})


def test_epochs_that_were_found_are_made_again_and_no_validation_row_is_looked_at() -> None:
    bench, start = bench_of(job_of(strategies.FedAvg()))
    found = strategies.FineTuned(strategies.FedAvg(), epochs=5, rate=0.002, surety=0.0)
    _, own = found.personal(bench, {"weights": start})
    assert 1 <= bench.tuned <= 5
    made = replace(found, settled=((bench.silo, bench.tuned),))
    assert from_facts(json.loads(json.dumps(to_facts(made)))) == made
    bench.valid = bench.valid.take(slice(0, 0))
    bench._valid = bench._valid.take(slice(0, 0))
    part, again = made.personal(bench, {"weights": start})
    assert part == bench.silo
    assert {name: weights.tobytes() for name, weights in again.items()} == {n: w.tobytes() for n, w in own.items()}
    assert replace(found, settled=()).personal(bench, {"weights": start}) == ("", {})
    assert bench.tuned == 0


def test_rows_of_one_group_are_one_to_chance() -> None:
    assert _by_group(np.array([1.0, 2.0, 3.0]), np.array([7, 5, 7])).tolist() == [2.0, 4.0]
    assert _by_group(np.array([1.0, 2.0]), None).tolist() == [1.0, 2.0]


def test_fine_tuning_that_may_be_chance_leaves_the_common_model() -> None:
    bench, start = bench_of(job_of(strategies.FedAvg()))
    sure, surer = (strategies.FineTuned(strategies.FedAvg(), rate=0.002, surety=s) for s in (0.0, 1e6))
    assert sure.personal(bench, {"weights": start})[0] == bench.silo
    assert surer.personal(bench, {"weights": start}) == ("", {})
    bench._group = np.arange(len(bench.valid)) % 2
    assert sure.personal(bench, {"weights": start}) == ("", {}), "two spells say nothing of chance, however many rows"
    bench._group = np.arange(len(bench.valid))  # each row a spell of its own
    assert sure.personal(bench, {"weights": start})[0] == bench.silo
    bench._group = None
    bench.valid = bench.valid.take(slice(0, 1))  # one row says nothing of chance
    assert sure.personal(bench, {"weights": start}) == ("", {})
    bench.valid = bench.valid.take(slice(0, 0))
    assert sure.personal(bench, {"weights": start}) == ("", {})


def test_averaged_answers_by_the_moving_mean_of_what_its_strategy_makes() -> None:
    strategy = strategies.Averaged(strategies.FedAdam(), memory=0.3)
    alone, server = strategies.FedAdam().start(first), strategy.start(first)
    mean = WEIGHTS["w"].astype(np.float64)
    for t in range(1, 6):
        given = updates([4.0, -1.0 * t], [0.5 * t, 8.0])
        alone, server = strategies.FedAdam().combine(alone, given), strategy.combine(server, given)
        m = min(0.3, (1 + t) / (10 + t))
        mean = m * mean + (1 - m) * alone.weights["w"]
        assert server.weights["w"] == pytest.approx(mean, abs=1e-6)
        sent = strategy.send(server)
        np.testing.assert_array_equal(sent["inner weights"]["w"], alone.weights["w"])
        np.testing.assert_array_equal(sent["weights"]["w"], server.weights["w"])


def test_silos_train_what_is_averaged_and_are_judged_by_the_mean() -> None:
    strategy = strategies.Averaged(strategies.FedAvg())
    bench, start = bench_of(job_of(strategies.FedAvg(), **STEP))
    other = {name: array + 0.01 for name, array in start.items()}
    work = strategy.work(bench, {"weights": other, "inner weights": start})
    plain = strategies.FedAvg().work(bench, {"weights": start})
    for name in start:
        np.testing.assert_array_equal(work.groups["delta"][name], plain.groups["delta"][name])
        np.testing.assert_array_equal(
            strategy.common(bench, {"weights": other, "inner weights": start})[name], other[name]
        )


def test_averaged_refuses_what_it_cannot_be_the_mean_of() -> None:
    with pytest.raises(StrategyError, match="IFCA has models of single silos"):
        job_of(strategies.Averaged(strategies.IFCA()))
    with pytest.raises(StrategyError, match="remembers 1 never moves"):
        job_of(strategies.Averaged(strategies.FedAvg(), memory=1.0))
    with pytest.raises(StrategyError, match="optimizer='sgd'"):
        job_of(strategies.Averaged(strategies.FedNova()))


def test_silos_train_as_the_innermost_strategy_has_it_unless_told_otherwise() -> None:
    inner = strategies.FineTuned(strategies.Averaged(strategies.FedYogi()))
    usual = FederatedAverage(strategy=inner).job(fold_of()[0], 0).plan
    assert (usual.optimizer, usual.epochs, usual.rate, usual.weight_decay) == ("sgd", 1, 0.1, 0.0)
    assert usual.batch == LocalPlan().batch
    classed = FederatedAverage(strategy=inner).job(fold_of("dear")[0], 0).plan
    assert classed == replace(usual, batch=256, rate=0.03)
    assert FederatedAverage(strategy=inner, batch=8).job(fold_of("dear")[0], 0).plan == replace(classed, batch=8)
    told = FederatedAverage(strategy=inner, rate=0.5, epochs=3).job(fold_of()[0], 0).plan
    assert (told.optimizer, told.epochs, told.rate) == ("sgd", 3, 0.5)
    assert FederatedAverage(strategy=strategies.FedAvg()).job(fold_of()[0], 0).plan == LocalPlan()
    private = FederatedAverage(strategy=strategies.FedAdam(), privacy=RecordLevel(8.0), rounds=2)
    assert private.job(fold_of()[0], 0).plan == LocalPlan()


def test_the_optimizers_moments_stay_in_the_silo() -> None:
    bench, start = bench_of(job_of(strategies.FedAvg(), keep=True))
    bench.kept.clear()
    one = bench.change(start).groups["delta"]
    assert {"common: exp_avg", "common: exp_avg_sq", "common: step"} <= set(bench.kept)
    again = bench.change(start).groups["delta"]  # the same rows in the same order, from other moments
    assert any(not np.allclose(one[name], again[name]) for name in one)
