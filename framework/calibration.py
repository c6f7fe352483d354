"""Probabilities that mean what they say: a map from what a model told to how often it came true."""

import math
from dataclasses import asdict, dataclass, field
from typing import Any, Literal, Self, get_args

import numpy as np

from cluster.user_error import UserError
from framework.data.frame import Truth
from framework.metric import Metric, metric
from framework.probability_maps import each_class, isotonic, logit, platt, sigmoid, softened, temperature
from framework.rescoring import CURVES, per_row

Method = Literal["none", "temperature", "platt", "isotonic"]
METHODS: tuple[Method, ...] = get_args(Method)
LEAST_ROWS = 50  # from which a map is learned; each class needs LEAST_EACH of them
LEAST_EACH = 5
MOST_ROWS = 20_000  # more, drawn evenly, do not move a map
MOST_CELLS = 200_000  # rows × classes: a curve is learned of each class
PARTS = 5  # rows are dealt into so many parts to see whether a map helps on rows that it was not learned from
SURE = 1.0  # standard errors by which the held-out Brier score must improve


class CalibrationError(UserError):
    """A method that is none, or rows that cannot be calibrated on."""


@dataclass(frozen=True)
class Calibration:
    """A map of probabilities. curves: its numbers, of each class; plain data.

    "none": as they are. "temperature": softmax(log p / T), T = curves[0][0] (Guo et al. 2017).
    "platt": sigmoid(a logit p + b) of each class, rows then summing to 1; (a, b) = curves[class] (Platt 1999).
    "isotonic": a rising line through the points x, y = curves[2 class], curves[2 class + 1] (Zadrozny & Elkan 2002).
    Of two classes there is one curve, class 1's.
    """

    method: Method = "none"
    curves: tuple[tuple[float, ...], ...] = ()

    def apply(self, predicted: np.ndarray) -> np.ndarray:
        """Calibrated probabilities; both of shape (rows, classes)."""
        if self.method == "none":
            return predicted
        if self.method == "temperature":
            return softened(predicted, self.curves[0][0])
        if self.method == "platt":
            return each_class(
                predicted, lambda code, p: sigmoid(self.curves[code][0] * logit(p) + self.curves[code][1])
            )
        return each_class(predicted, lambda code, p: np.interp(p, self.curves[2 * code], self.curves[2 * code + 1]))

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Self:
        if data["method"] not in METHODS:
            raise ValueError(f"there is no calibration {data['method']!r}")
        return cls(data["method"], tuple(tuple(map(float, curve)) for curve in data["curves"]))


@dataclass(frozen=True)
class Checked:
    """A map and what it is worth. before, after: the Brier score of the rows without a map and with it, each row's map
    learned without that row's part.

    crossed: the rows' probabilities by these maps, shape (rows, classes): what a score of the map may be taken of.
    """

    calibration: Calibration
    before: float
    after: float
    crossed: np.ndarray = field(repr=False, compare=False)

    def to_json(self) -> dict[str, Any]:
        """What the leaderboard and the model's facts hold of it."""
        return {"method": self.calibration.method, "brier_before": self.before, "brier_after": self.after}

    def __str__(self) -> str:
        if self.calibration.method == "none":
            return "its probabilities are kept as they are: no calibration improves them on held-out rows"
        return f"calibrated ({self.calibration.method}): held-out Brier score {self.before:.4f} → {self.after:.4f}"


def calibrate(
    predicted: np.ndarray,
    truth: Truth,
    *,
    method: Method | Literal["auto"] = "auto",
    scored: Metric | None = None,
    seed: int = 0,
) -> Checked:
    """The map that makes these probabilities honest; none where it does not help on rows that it was not learned from.

    predicted: shape (rows, classes), told by a model that has not learned from these rows (out-of-fold, or validation).
    method: "auto": the one with the best held-out Brier score. It is kept where it improves that score by more than a
    standard error. scored: a metric that it must not make worse; maps that do, on held-out rows, are left out.
    Whole groups stay together, and rows that follow each other in time are dealt in blocks.
    Raises CalibrationError for another method, or rows without classes.
    """
    if method != "auto" and method not in METHODS:
        raise CalibrationError(f"calibration method {method!r} is unknown; it is one of auto, {', '.join(METHODS)}.")
    if truth.y is None or predicted.ndim != 2:
        raise CalibrationError("only classes have probabilities to calibrate, and these rows have none.")
    brier = metric("brier")
    before = brier.score(truth, predicted)
    unchanged = Checked(Calibration(), before, before, predicted)
    tried = [m for m in METHODS if m != "none"] if method == "auto" else [method]
    drawn = _drawn(len(truth), min(MOST_ROWS, MOST_CELLS // predicted.shape[1]), seed)
    known, rows = predicted[drawn], truth.take(drawn)
    held = np.bincount(truth.y[drawn], minlength=predicted.shape[1])
    if method == "none" or len(rows) < LEAST_ROWS or held[held > 0].min() < LEAST_EACH or (held > 0).sum() < 2:
        return unchanged
    crossed = {each: _crossed(each, known, rows, seed) for each in tried}
    fair = [each for each in tried if scored is None or not _worsens(each, scored, rows, known, crossed[each])]
    if not fair:
        return unchanged
    best = min(fair, key=lambda each: brier.score(rows, crossed[each]))
    gained = per_row(brier, rows, known) - per_row(brier, rows, crossed[best])
    if gained.mean() <= SURE * gained.std() / math.sqrt(len(gained)):
        return unchanged
    learned = learn(best, known, rows)
    told = np.asarray(learned.apply(predicted))
    told[drawn] = crossed[best]
    after = brier.score(truth, told)
    return Checked(learned, before, after, told) if after < before else unchanged


def _drawn(rows: int, most: int, seed: int) -> np.ndarray:
    """All rows, or so many of them, in their order."""
    if rows <= most:
        return np.arange(rows)
    return np.sort(np.random.default_rng(seed).choice(rows, most, replace=False))


def _worsens(method: Method, scored: Metric, truth: Truth, predicted: np.ndarray, crossed: np.ndarray) -> bool:
    """Whether held-out rows score worse with the map. A smoothly rising one leaves the ranking of two classes as it is;
    an isotonic one makes ties."""
    if predicted.shape[1] == 2 and scored.name in CURVES and method != "isotonic":
        return False
    return scored.better(scored.score(truth, predicted), scored.score(truth, crossed))


def learn(method: Method, predicted: np.ndarray, truth: Truth) -> Calibration:
    """The map of one method, from all these rows, whether it helps or not."""
    y = np.asarray(truth.y)
    weight = np.ones(len(y)) if truth.weight is None else truth.weight
    if method == "none":
        return Calibration()
    if method == "temperature":
        return Calibration(method, ((temperature(predicted, y, weight),),))
    codes = [1] if predicted.shape[1] == 2 else list(range(predicted.shape[1]))
    learned = platt if method == "platt" else isotonic
    curves = [curve for code in codes for curve in learned(predicted[:, code], y == code, weight)]
    return Calibration(method, tuple(curves))


def _crossed(method: Method, predicted: np.ndarray, truth: Truth, seed: int) -> np.ndarray:
    """Each row by a map that was learned without it."""
    units = np.arange(len(truth)) if truth.group is None else np.unique(truth.group, return_inverse=True)[1]
    count = int(units.max()) + 1
    dealt = np.arange(count) * PARTS // count if truth.ordered else np.random.default_rng(seed).permutation(count)
    part = dealt[units] % PARTS
    told = np.array(predicted, dtype=np.float64)
    for each in np.unique(part):
        rest, held = np.flatnonzero(part != each), np.flatnonzero(part == each)
        if len(rest):
            told[held] = learn(method, predicted[rest], truth.take(rest)).apply(predicted[held])
    return told
