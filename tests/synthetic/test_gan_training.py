"""The GAN's training: the best look counts, it goes on from checkpoints as if it had never stopped, alone or as two."""

import os
import signal
import time
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
import psutil
import pytest
import torch

from cluster.connect import Session
from framework.contender import Context
from framework.training.crew import Alone
from framework.training.failure import TrainingError
from synthetic.fitted import Fitted
from synthetic.gan import GAN, GANCore
from synthetic.gan_training import Best

SMALL = GAN(epochs=30, batch=60, pack=5, width=24, noise=8, looks=5, patience=0, learning_rate=0.001)


@cache
def kinds() -> pd.DataFrame:
    """Three kinds, and a number that tells them."""
    random = np.random.default_rng(0)
    kind = random.choice(list("abc"), 400, p=[0.6, 0.3, 0.1])
    x = np.select([kind == "a", kind == "b"], [0.0, 10.0], 20.0) + random.normal(size=400)
    return pd.DataFrame({"kind": kind, "x": x})


def same(one: Fitted, other: Fitted) -> bool:
    ours, theirs = (each.core.generator.state_dict() for each in (one, other) if isinstance(each.core, GANCore))
    return all(torch.equal(part, theirs[name]) for name, part in ours.items())


def test_the_best_look_is_kept_and_those_without_gain_are_counted() -> None:
    best = Best()
    for score in (0.5, 0.7, 0.6, 0.65):
        best.hear(score, {"score": score})
    assert (best.alike, best.looks, best.idle, best.state) == (0.7, 4, 2, {"score": 0.7})


def test_it_stops_once_looks_bring_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    scores = iter([0.5, 0.8, 0.7, 0.7, 0.7, 0.7])
    monkeypatch.setattr("synthetic.gan_training.alike", lambda *told: next(scores))
    looks: list[float] = []
    context = Context(seed=1, sink=lambda step, metrics: looks.append(metrics["alike"]))
    replace(SMALL, patience=2).fit(kinds(), (), context)
    assert looks == [0.5, 0.8, 0.7, 0.7]


class StoppedError(Exception):
    """Ends a training from without, as a kill does."""


def test_a_training_that_was_stopped_ends_as_if_it_had_not_been(tmp_path: Path) -> None:
    def stop(look: int, metrics: dict[str, float]) -> None:
        if look == 2:
            raise StoppedError

    remarks: list[str] = []
    kept = Context(seed=1, checkpoints=str(tmp_path), teller=remarks.append)
    whole = SMALL.fit(kinds(), (), Context(seed=1))
    with pytest.raises(StoppedError):
        SMALL.fit(kinds(), (), replace(kept, sink=stop))
    gone_on: list[int] = []
    again = SMALL.fit(kinds(), (), replace(kept, sink=lambda look, metrics: gone_on.append(look)))
    assert gone_on == [3, 4, 5]
    assert any("goes on from" in remark for remark in remarks)
    assert same(again, whole)
    assert not same(SMALL.fit(kinds(), (), Context(seed=2)), whole)


def test_checkpoints_of_another_training_are_refused(tmp_path: Path) -> None:
    SMALL.fit(kinds(), (), Context(seed=1, checkpoints=str(tmp_path)))
    with pytest.raises(TrainingError, match="of another training run"):
        SMALL.fit(kinds().iloc[:-1], (), Context(seed=1, checkpoints=str(tmp_path)))
    with pytest.raises(TrainingError, match="of another training run"):
        replace(SMALL, width=32).fit(kinds(), (), Context(seed=1, checkpoints=str(tmp_path)))


def test_weights_that_are_not_finite_are_told_with_the_rate() -> None:
    with pytest.raises(TrainingError, match=r"not finite after \d+ steps. Lower learning_rate \(1e\+30\)"):
        replace(SMALL, learning_rate=1e30).fit(kinds(), (), Context(seed=1))


def test_bfloat16_learns_too_and_is_for_gpus_by_itself() -> None:
    assert not SMALL.plan.half(torch.device("cpu"))
    assert not SMALL.plan.compiled(torch.device("cpu"))
    plain = SMALL.fit(kinds(), (), Context(seed=1))
    half = replace(SMALL, precision="bfloat16").fit(kinds(), (), Context(seed=1))
    assert not same(half, plain)
    means = half.sample(2_000).groupby("kind")["x"].mean()
    assert means["c"] > means["a"]


class Pair(Alone):
    """Rank 0 of two whose other rank has the same gradients, and is late at step 3."""

    size = 2

    def __init__(self) -> None:
        super().__init__()
        self.met = 0

    def total(self, values: torch.Tensor) -> torch.Tensor:
        if values.dtype == torch.float64:
            return values  # the score, of rank 0 alone
        self.met += 1
        values = values * 2
        values[-1] += self.met == 6
        return values


def test_ranks_step_along_their_mean_gradient_and_stop_when_one_is_late() -> None:
    from synthetic.gan_conditions import Conditions
    from synthetic.gan_duel import Duel
    from synthetic.gan_modes import Modes
    from synthetic.synthesizer import seeded
    from tests.synthetic.test_gan import learned

    rows = learned(kinds())
    modes = Modes.learn(rows, 0)
    real = modes.encode(rows, seeded(0))
    weights, late = [], []
    for crew in (Alone(), Pair()):
        torch.manual_seed(0)
        duel = Duel(crew, SMALL, real, Conditions(rows, modes), modes)
        random = seeded(0)
        late.append([duel.step(30, 0.001, random, late=False) for _ in range(3)])
        weights.append(torch.cat([part.flatten() for part in duel.generator.parameters()]))
    assert torch.allclose(weights[0], weights[1], atol=1e-6)
    assert late == [[False, False, False], [False, False, True]]


@pytest.mark.timeout(900)
def test_two_workers_end_the_same_though_one_is_killed(ray_session: Session, tmp_path: Path) -> None:
    asked = replace(SMALL, workers=2, epochs=120, looks=8)
    looks: list[int] = []
    killed: list[int] = []

    def kill(look: int, metrics: dict[str, float]) -> None:
        looks.append(look)
        if look == 2 and not killed:
            killed.extend(each.pid for each in training())
            os.kill(killed[-1], signal.SIGKILL)

    whole = asked.fit(kinds(), (), Context(seed=1, folder=tmp_path))
    again = asked.fit(kinds(), (), Context(seed=1, folder=tmp_path, sink=kill))
    assert len(killed) == 2
    assert looks[-1] == 8
    assert same(again, whole)
    assert whole.sample(500, seed=1).equals(again.sample(500, seed=1))
    assert not training(wait=240.0)


def training(wait: float = 0.0) -> list[psutil.Process]:
    """The processes of Ray Train's workers that descend from this one, once there are none or the wait is over."""
    until = time.time() + wait
    while True:
        found = [each for each in psutil.Process().children(recursive=True) if each.name().startswith("ray::RayTrain")]
        if not found or time.time() >= until:
            return found
        time.sleep(0.2)
