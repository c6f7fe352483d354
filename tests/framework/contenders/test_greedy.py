"""Greedy selection that is quick chooses as the plain one does."""

import numpy as np
import pytest

from framework.contenders.ensemble import mean
from framework.contenders.greedy import select
from framework.data.frame import Truth
from framework.metric import metric

RNG = np.random.default_rng(0)
LATENT = RNG.normal(size=20_000)
CLASS = (LATENT + RNG.normal(size=20_000) > 1).astype(np.int64)


def probabilities(rows: int, members: int) -> dict[str, np.ndarray]:
    """Of some noisy views of what the class comes from; the last one rounded, so that many are equal."""
    found = {}
    for member in range(members):
        noise = RNG.normal(0, 1 + member / 10, rows)
        second = 1 / (1 + np.exp(-(2 * LATENT[:rows] - 2 + noise)))
        found[f"m{member}"] = np.column_stack([1 - second, second])
    found[f"m{members - 1}"] = found[f"m{members - 1}"].round(1)
    return found


def plainly(predictions: dict[str, np.ndarray], truth: Truth, name: str, rounds: int) -> dict[str, float]:
    """The algorithm as the paper has it, scored by the metric itself (scikit-learn's)."""
    scored = metric(name)
    sign = 1 if scored.direction == "max" else -1
    scores = {member: sign * scored.score(truth, told) for member, told in predictions.items()}
    ranked = sorted(scores, key=lambda member: -scores[member])
    best, kept, chosen = scores[ranked[0]], ranked[:1], ranked[:3]
    while True:
        reached = sign * scored.score(truth, np.mean([predictions[member] for member in chosen], axis=0))
        if reached > best + 1e-12:
            best, kept = reached, list(chosen)
        if len(chosen) == rounds:
            return {member: kept.count(member) / len(kept) for member in kept}
        tried = {
            member: sign * scored.score(truth, np.mean([predictions[other] for other in [*chosen, member]], axis=0))
            for member in predictions
        }
        chosen.append(max(tried, key=lambda member: tried[member]))


@pytest.mark.parametrize("name", ["roc_auc", "log_loss", "brier", "pr_auc", "f1", "accuracy"])
def test_classes_are_chosen_by_the_metric_itself(name: str) -> None:
    truth = Truth(y=CLASS[:700], classes=2)
    predictions = probabilities(700, 5)
    found = select(predictions, truth, metric(name), rounds=10)
    assert found == plainly(predictions, truth, name, 10)
    assert len(found) > 1


@pytest.mark.parametrize("name", ["rmse", "mae", "r2", "mape"])
def test_values_are_chosen_by_the_metric_itself_rows_weighing_what_they_weigh(name: str) -> None:
    truth = Truth(y=LATENT[:500] + 10, weight=RNG.uniform(0.1, 3, 500))
    predictions = {f"m{m}": LATENT[:500] + 10 + RNG.normal(0, 0.5 + m / 10, 500) for m in range(5)}
    assert select(predictions, truth, metric(name), rounds=10) == plainly(predictions, truth, name, 10)


def test_of_twenty_five_contenders_some_are_better_together_than_the_best() -> None:
    truth = Truth(y=CLASS, classes=2)
    predictions = probabilities(20_000, 25)
    for name in ("roc_auc", "log_loss"):
        weights = select(predictions, truth, metric(name), rounds=50)
        best = min(metric(name).score(truth, told) for told in predictions.values())
        assert len(weights) > 3
        if name == "log_loss":
            assert metric(name).score(truth, mean({n: predictions[n] for n in weights}, weights)) < best


def test_one_that_answers_without_sense_is_never_chosen() -> None:
    truth = Truth(y=CLASS[:300], classes=2)
    predictions = {**probabilities(300, 3), "lost": np.full((300, 2), np.nan)}
    assert "lost" not in select(predictions, truth, metric("roc_auc"))


def test_of_many_contenders_the_worse_half_is_not_chosen() -> None:
    """What tells little in little spread moves hardly a rank: chosen by the ROC area, it would take half the weight."""
    rows = 200
    truth, rng = Truth(y=CLASS[:rows], classes=2), np.random.default_rng(1)
    faint = {f"faint{n}": 0.5 + 0.01 * (0.3 * (CLASS[:rows] - 0.5) + rng.normal(size=rows)) for n in range(10)}
    predictions = {**probabilities(rows, 10), **{n: np.column_stack([1 - told, told]) for n, told in faint.items()}}
    assert not set(select(predictions, truth, metric("roc_auc"))) & set(faint)
    two = {name: predictions[name] for name in ("m0", "m1", "faint0", "faint1")}
    assert set(select(two, truth, metric("roc_auc"))) & set(faint)
