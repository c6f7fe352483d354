"""What a trial costs beside its fit: a sweep on Ray Tune against Optuna alone in one process, with a cheap contender.

python -m benchmarks.sweep --trials 100 --runs 3
"""

import argparse
import statistics
import tempfile
import time
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from cluster.connect import connect
from framework.contender import Context
from framework.contenders import XGBoost
from framework.contenders.tuned import Tuned
from framework.data.frame import Fold
from framework.data.load import load
from framework.metric import metric
from framework.search_space import Real, Space, Whole, settled
from framework.sweep.trial import Trial

CHEAP = XGBoost(rounds=10, patience=0)
SPACE: Space = {"learning_rate": Real(0.03, 0.3, log=True), "depth": Whole(2, 6), "columns": Real(0.3, 1.0)}


@dataclass(frozen=True)
class Timed:
    """Seconds of one run. start: until the first trial had ended; each: between two ends of trials, the mean; fit: of
    one trial's work alone."""

    whole: float
    start: float
    each: float
    fit: float


def alone(fold: Fold, trials: int) -> Timed:
    """Optuna's loop, as its documentation has it."""
    import optuna

    from framework.sweep.searcher import distribution

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    scored, began, ends = metric(fold.problem.metric), time.perf_counter(), []
    fits = []
    study = optuna.create_study(
        direction="maximize", sampler=optuna.samplers.TPESampler(seed=0, multivariate=True, constant_liar=True)
    )
    spaces = {name: distribution(dimension) for name, dimension in SPACE.items()}
    for _ in range(trials):
        asked = study.ask(spaces)
        started = time.perf_counter()
        model = settled(CHEAP, asked.params).fit(fold, Context())
        score = scored.score(fold.valid.truth, model.predict(fold.valid.X))
        fits.append(time.perf_counter() - started)
        study.tell(asked, score)
        ends.append(time.perf_counter())
    return _timed(began, ends, fits)


def swept(fold: Fold, trials: int, parallel: int) -> Timed:
    """The same by `Tuned`."""
    told: list[Trial] = []
    ends: list[float] = []

    def hear(trial: Trial) -> None:
        told.append(trial)
        ends.append(time.perf_counter())

    tuned = Tuned(CHEAP, trials=trials, scheduler=None, space=SPACE, parallel=parallel)
    with tempfile.TemporaryDirectory() as folder:
        began = time.perf_counter()
        tuned.fit(fold, Context(deadline=time.time() + 3600, folder=Path(folder), counter=hear))
    return _timed(began, ends, [trial.seconds for trial in told])


def _timed(began: float, ends: list[float], fits: list[float]) -> Timed:
    gaps = [later - earlier for earlier, later in pairwise(ends)]
    return Timed(time.perf_counter() - began, ends[0] - began, statistics.fmean(gaps), statistics.median(fits))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=100)
    parser.add_argument("--runs", type=int, default=3)
    asked = parser.parse_args()
    session = connect(cpus=2)
    try:
        from sklearn.datasets import load_breast_cancer

        fold = load(load_breast_cancer(as_frame=True).frame, target="target", kind="binary").fold
        table: dict[str, list[Timed]] = {"Optuna alone": [], "a sweep, 1 at once": [], "a sweep, 2 at once": []}
        for _ in range(asked.runs):
            table["Optuna alone"].append(alone(fold, asked.trials))
            table["a sweep, 1 at once"].append(swept(fold, asked.trials, 1))
            table["a sweep, 2 at once"].append(swept(fold, asked.trials, 2))
    finally:
        session.close()
    print(f"{asked.trials} trials, medians of {asked.runs} runs\n")
    print("| | whole (s) | until the first (s) | from one to the next (ms) | its fit (ms) |")
    print("|---|---|---|---|---|")
    for name, runs in table.items():
        whole, start, each, fit = (
            statistics.median(getattr(run, part) for run in runs) for part in ("whole", "start", "each", "fit")
        )
        print(f"| {name} | {whole:.1f} | {start:.2f} | {1000 * each:.1f} | {1000 * fit:.1f} |")
    lean = statistics.median(run.each for run in table["Optuna alone"])
    for name, runs in list(table.items())[1:]:
        print(f"{name}: {1000 * (statistics.median(run.each for run in runs) - lean):.0f} ms more a trial")


if __name__ == "__main__":
    main()
