"""What a person looks at after a sweep: which settings did well, and which of them mattered."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from framework.figures import BLUE, INK, ORANGE, PALE, canvas
from framework.metric import Metric
from framework.search_space import Setting
from framework.sweep.trial import Trial

if TYPE_CHECKING:
    from matplotlib.figure import Figure

FEW = 8  # finished trials; below, nothing is said of what mattered
SHOWN = 150  # lines, the best ones
TREES = 200
REPEATS = 10


def charts(trials: Sequence[Trial], scored: Metric) -> dict[str, "Figure"]:
    """File name → figure; none where fewer than two trials finished."""
    finished = [trial for trial in trials if trial.finished]
    if len(finished) < 2 or not names_of(finished):
        return {}
    drawn = {"parallel_coordinates": parallel_coordinates(finished, scored)}
    if weights := importance(finished):
        drawn["importance"] = importances(weights)
    return drawn


def names_of(trials: Sequence[Trial]) -> list[str]:
    """The settings that were searched, in the order in which they were first given."""
    return list(dict.fromkeys(name for trial in trials for name in trial.settings))


def importance(trials: Sequence[Trial]) -> dict[str, float]:
    """How much of what a forest knows of the score it owes to each setting, largest first; they sum to 1.

    By permutation, over the finished trials, a setting's other settings kept (Breiman 2001). Empty for fewer than
    FEW trials, or where the forest knows nothing.
    """
    from sklearn.ensemble import ExtraTreesRegressor
    from sklearn.inspection import permutation_importance

    finished = [trial for trial in trials if trial.finished]
    names = names_of(finished)
    if len(finished) < FEW or not names:
        return {}
    X = np.column_stack([places([value_of(trial, name) for trial in finished]) for name in names])
    # By rank: one settings that fails altogether would be all that the forest learns.
    y = np.argsort(np.argsort([trial.score for trial in finished])).astype(float)
    forest = ExtraTreesRegressor(TREES, min_samples_leaf=2, random_state=0).fit(X, y)
    told = permutation_importance(forest, X, y, n_repeats=REPEATS, random_state=0)
    lost = np.maximum(told.importances_mean, 0.0)
    if not lost.sum():
        return {}
    shares = dict(zip(names, (lost / lost.sum()).tolist(), strict=True))
    return dict(sorted(shares.items(), key=lambda item: -item[1]))


def value_of(trial: Trial, name: str) -> Any:
    """What a trial had for a setting: asked for, or settled upon by itself; None where neither is known."""
    return trial.settings.get(name, trial.found.get(name))


def places(values: Sequence[Setting | None]) -> np.ndarray:
    """Values between 0 and 1, shape (values,): positive numbers over a wide range by factors, words by their order;
    0.5 where there is none."""
    known = [value for value in values if value is not None]
    if not known:
        return np.full(len(values), 0.5)
    if not all(isinstance(value, int | float) and not isinstance(value, bool) for value in known):
        order = {value: place for place, value in enumerate(sorted(set(map(str, known))))}
        last = max(1, len(order) - 1)
        return np.array([0.5 if value is None else order[str(value)] / last for value in values])
    numbers = np.array([np.nan if value is None else float(value) for value in values])
    if np.nanmin(numbers) > 0 and np.nanmax(numbers) > 10 * np.nanmin(numbers):
        numbers = np.log(numbers)
    low, high = np.nanmin(numbers), np.nanmax(numbers)
    return np.nan_to_num((numbers - low) / (high - low) if high > low else numbers * 0 + 0.5, nan=0.5)


def parallel_coordinates(trials: Sequence[Trial], scored: Metric) -> "Figure":
    """Each trial a line through its settings to its score, the best in colour; each axis from its least to its most."""
    best_first = sorted(trials, key=lambda trial: -scored.sign * trial.score)[:SHOWN]
    names = names_of(trials)
    columns = {name: [value_of(trial, name) for trial in best_first] for name in names}
    title = f"{len(trials)} trials, the best tenth in colour"
    figure, axes = canvas(title, "", "", (2.2 + 1.5 * (len(names) + 1), 4.6))
    scores: list[Setting | None] = [trial.score for trial in best_first]
    lines = np.column_stack([*(places(values) for values in columns.values()), places(scores)])
    good = max(1, len(best_first) // 10)
    for place in reversed(range(len(best_first))):
        colour, width = (ORANGE, 2.2) if place == 0 else (BLUE, 1.4) if place < good else (PALE, 0.8)
        axes.plot(lines[place], color=colour, lw=width, alpha=1.0 if place < good else 0.6)
    labels = [*names, scored.title]
    axes.set_xticks(range(len(labels)), [label.replace("contender.", "") for label in labels], rotation=20)
    axes.set_yticks([])
    axes.set_ylim(-0.12, 1.12)
    for x, values in enumerate([*columns.values(), scores]):
        low, high = ends(values)
        axes.axvline(x, color=INK, lw=0.8)
        axes.text(x, 1.04, high, ha="center", fontsize=8, color=INK)
        axes.text(x, -0.08, low, ha="center", fontsize=8, color=INK)
    return figure


def ends(values: Sequence[Setting | None]) -> tuple[str, str]:
    """The first and the last value of an axis, as it is labelled."""
    known = [value for value in values if value is not None]
    if not known:
        return "", ""
    if all(isinstance(value, int | float) and not isinstance(value, bool) for value in known):
        numbers = [float(value) for value in known]
        return f"{min(numbers):.3g}", f"{max(numbers):.3g}"
    words = sorted(map(str, known))
    return words[0], words[-1]


def importances(weights: Mapping[str, float]) -> "Figure":
    """Each setting's share of what a forest knows of the score."""
    figure, axes = canvas("What mattered", "share", "", (6.4, 1.4 + 0.4 * len(weights)))
    axes.barh(range(len(weights)), list(weights.values()), color=BLUE, height=0.6)
    axes.set_yticks(range(len(weights)), list(weights))
    axes.invert_yaxis()
    axes.grid(visible=False, axis="y")
    return figure
