"""Membership inference: how well can it be told from a model which rows it learned from?

The likelihood-ratio attack of Carlini, Chien, Nasr, Song, Terzis, Tramèr 2022, "Membership Inference Attacks From First
Principles", https://arxiv.org/abs/2112.03570, and the loss threshold of Yeom, Giacomelli, Fredrikson, Jha 2018,
https://arxiv.org/abs/1709.01604.
"""

import logging
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal

import numpy as np

from cluster.user_error import UserError
from federated.dealt import names_in
from framework.contender import Contender, Context
from framework.data.frame import Fold

log = logging.getLogger(__name__)

FEW = 4  # models, below which nothing is known of a row's losses with and without it
DRAWS = 500  # bootstrap samples of an interval
SMALL = 1e-9
Attack = Literal["likelihood ratio", "loss"]


class MembershipError(UserError):
    """An attack that cannot be tried."""


@dataclass(frozen=True)
class Leak:
    """What an attack found. auc: 0.5 is chance. tpr: the share of members found where 1 % of the others are taken for
    members too; 0.01 is chance. Each with its 95 % interval: rows drawn anew. models: attacked, each with all others
    as shadows; rows: of which half were each model's members.
    """

    attack: Attack
    auc: float
    auc_interval: tuple[float, float]
    tpr: float
    tpr_interval: tuple[float, float]
    models: int
    rows: int

    def __str__(self) -> str:
        low, high = self.auc_interval
        least, most = self.tpr_interval
        return (
            f"{self.attack}: AUC {self.auc:.3f} ({low:.3f} … {high:.3f}), {self.tpr:.1%} of the members at 1 % false "
            f"positives ({least:.1%} … {most:.1%})"
        )

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def leaks(contender: Contender, fold: Fold, *, models: int = 16, seed: int = 0) -> list[Leak]:
    """How much of its training rows a contender gives away: both attacks, the stronger one in the paper first.

    Fits it `models` times, each time on a random half of every silo's rows to learn from. Each model is attacked in
    turn, the others being its shadows. The attacker knows the rows, the contender and its settings, and asks the model.
    Raises MembershipError for fewer than 4 models.
    """
    if models < FEW:
        raise MembershipError(
            f"{models} models are too few for an attack: it learns from all but one. Take {FEW} or more."
        )
    silos = names_in(fold, fold.problem.silo, valid=False) if fold.problem.silo else np.zeros(len(fold.train))
    draw = np.random.default_rng(seed)
    inside = np.zeros((models, len(fold.train)), dtype=bool)
    told = np.zeros(inside.shape)
    score = statistic(fold)
    for place in range(models):
        inside[place] = halves(silos, draw)
        half = replace(fold, train=fold.train.take(np.flatnonzero(inside[place])))
        with TemporaryDirectory(prefix="membership-") as folder:
            model = contender.fit(half, Context(seed=seed + place, folder=Path(folder), teller=log.info))
        told[place] = score(model.predict(fold.train.X))
        log.info("membership: %s: model %d of %d", contender.name, place + 1, models)
    losses = -(told**2) if not fold.problem.classified else told
    ratios = np.stack([likelihood_ratio(told, inside, place) for place in range(models)])
    return [measured("likelihood ratio", ratios, inside, seed=seed), measured("loss", losses, inside, seed=seed)]


def statistic(fold: Fold) -> Callable[[np.ndarray], np.ndarray]:
    """Answers → one number a row that is about normal over models: log p / (1 - p) of the true class's probability
    (Carlini et al., section IV-C), or the error of a value."""
    y = np.asarray(fold.train.y)
    if not fold.problem.classified:
        return lambda answers: np.asarray(answers - y)

    def logit(answers: np.ndarray) -> np.ndarray:
        likely = np.clip(answers[np.arange(len(y)), y], SMALL, 1 - SMALL)
        return np.asarray(np.log(likely) - np.log1p(-likely))

    return logit


def halves(silos: np.ndarray, draw: np.random.Generator) -> np.ndarray:
    """True for a random half of each silo's rows, rounded up."""
    chosen = np.zeros(len(silos), dtype=bool)
    for name in sorted(set(silos)):
        rows = np.flatnonzero(silos == name)
        chosen[draw.permutation(rows)[: -(-len(rows) // 2)]] = True
    return chosen


def likelihood_ratio(told: np.ndarray, inside: np.ndarray, place: int) -> np.ndarray:
    """log N(t; μ_in, σ_in²) - log N(t; μ_out, σ_out²) of each row, by the models other than the one at `place`.

    told, inside: shape (models, rows). μ: the row's own; σ: of all rows together, as the paper has it for few shadows
    (section VI-C).
    """
    shadows = np.arange(len(told)) != place
    means, spreads = [], []
    for member in (True, False):
        these = inside[shadows] == member
        count = these.sum(axis=0)
        mean = np.where(these, told[shadows], 0.0).sum(axis=0) / np.maximum(count, 1)
        mean = np.where(count > 0, mean, mean[count > 0].mean())
        apart = np.where(these, told[shadows] - mean, 0.0)
        freedom = max(1, int(np.maximum(count - 1, 0).sum()))
        means.append(mean)
        spreads.append(max(float(np.sqrt((apart**2).sum() / freedom)), SMALL))
    t = told[place]
    likely = [-0.5 * ((t - mean) / spread) ** 2 - np.log(spread) for mean, spread in zip(means, spreads, strict=True)]
    return np.asarray(likely[0] - likely[1])


def measured(attack: Attack, scores: np.ndarray, inside: np.ndarray, *, seed: int) -> Leak:
    """The figures of an attack's scores, shape (models, rows), larger for members; means over the models."""
    draw = np.random.default_rng(seed)
    samples = [draw.integers(0, scores.shape[1], scores.shape[1]) for _ in range(DRAWS)]
    drawn = np.array([_figures(scores[:, rows], inside[:, rows]) for rows in samples])
    low, high = np.quantile(drawn, [0.025, 0.975], axis=0)
    auc, tpr = _figures(scores, inside)
    return Leak(
        attack, auc, (float(low[0]), float(high[0])), tpr, (float(low[1]), float(high[1])), *map(int, scores.shape)
    )


def _figures(scores: np.ndarray, inside: np.ndarray) -> tuple[float, float]:
    """AUC, and the share of members above the 99th percentile of the others; means over the models."""
    from scipy.stats import rankdata

    areas, found = [], []
    for told, members in zip(scores, inside, strict=True):
        many, others = int(members.sum()), int((~members).sum())
        if not many or not others:
            continue
        areas.append((rankdata(told)[members].sum() - many * (many + 1) / 2) / (many * others))
        found.append(float((told[members] > np.quantile(told[~members], 0.99, method="higher")).mean()))
    return float(np.mean(areas)), float(np.mean(found))
