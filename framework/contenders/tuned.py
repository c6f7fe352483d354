"""A contender with the settings that suit these rows, found by a sweep on Ray Tune."""

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import pandas as pd

from cluster.resources import Resources
from cluster.user_error import UserError
from framework.contender import Contender, Context, Model, OutOfTimeError
from framework.contenders.store import open_model, store_model
from framework.contenders.xgboost import XGBoost
from framework.data.frame import Fold
from framework.problem import Kind
from framework.search_space import Dimension, check_space, portfolio_of, settled, space_of

if TYPE_CHECKING:
    from framework.sweep.trial import Trial

SEARCHES = ("tpe", "random", "grid", "gp", "bohb", "pbt", "pb2")
POPULATIONS = ("pbt", "pb2")
MEMBERS = 8  # of a population, at most
BEST = "best"
TRIALS = "trials.json"
LEAST_SECONDS = 12.0  # a sweep's processes take some seconds to start; below, the contender is fit as it is


class TunedError(UserError):
    """A sweep that cannot begin, or that ended without a model."""


class TunedTimeError(TunedError, OutOfTimeError):
    """A sweep none of whose trials ended in time."""


@dataclass(frozen=True)
class Tuned:
    """`contender` with the settings whose model did best on the validation rows.

    The contender as it is and its portfolio are tried first, then what the search suggests, until `trials` trials have
    ended or the deadline is near. Its score is that of the best of many on the same rows, hence flattered: the test
    rows say what it is worth.
    search: "tpe" (Optuna's, multivariate), "random", "grid" (nothing else is tried), "gp" (a Gaussian process, for fits
    of a minute and more), "bohb" (TPE over HyperBand's brackets: Falkner et al. 2018); "pbt" and "pb2": nets that
    change settings as they train, the worst taking over the best ones' weights (fit once more, it has the last settings
    from the beginning). scheduler: who is stopped early, by the validation loss after so many rounds or epochs: "asha",
    "hyperband" or None.
    space: field → Real, Whole or Choice; the contender's own by default.
    cpus: of all trials together; parallel: trials at once, by default as many as these hold.
    """

    contender: Contender = field(default_factory=XGBoost)
    trials: int = 100
    search: str = "tpe"
    scheduler: str | None = "asha"
    space: tuple[tuple[str, Dimension], ...] | Any = None
    parallel: int | None = None
    name: str = ""
    cpus: float = 1.0
    kinds: ClassVar[frozenset[Kind]] = XGBoost.kinds  # of one in hand: its contender's
    pooled: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if not self.name:
            object.__setattr__(self, "name", f"tuned/{self.contender.name}")
        object.__setattr__(self, "kinds", self.contender.kinds)
        if self.space is not None:
            object.__setattr__(self, "space", tuple(dict(self.space).items()))

    @property
    def resources(self) -> Resources:
        one = self.contender.resources
        cpus = (
            max(self.cpus, one.cpus * one.workers) if self.parallel is None else self.parallel * one.cpus * one.workers
        )
        return Resources(cpus, one.gpus * one.workers, one.memory_gigabytes, apart=True)

    def fit(self, fold: Fold, context: Context) -> "TunedModel":
        """Its trials are kept as `trials.json`.

        Raises SearchSpaceError or TunedError for a sweep that cannot be, TunedError when no trial finished,
        TunedTimeError when that was for want of time."""
        import json

        from framework.sweep.searcher import UNDONE
        from framework.sweep.tuning import sweep

        ask = self.ask(context.seed)
        if not len(fold.valid) or context.remaining() < LEAST_SECONDS:
            why = "there are no validation rows" if not len(fold.valid) else "there is no time for a sweep"
            context.remark(f"{self.contender.name} as it is: {why}")
            model = self.contender.fit(fold, context)
            return TunedModel(model, self.contender.settled(model))
        swept = sweep(ask, fold, context)
        context.keep(TRIALS, json.dumps([trial.to_json() for trial in swept.trials]))
        if swept.model is None:
            reasons = [trial.reason for trial in swept.trials if trial.reason]
            raise (TunedTimeError if set(reasons) <= {UNDONE} else TunedError)(
                f"none of the {len(swept.trials)} trials of {self.contender.name} finished"
                f"{f' (the first: {reasons[0]})' if reasons else ''}. Give it more minutes, or another search space."
            )
        return TunedModel(swept.model, settled(self.contender, swept.found), swept.trials)

    def check(self) -> None:
        """Raises SearchSpaceError or TunedError, as `fit` does, for a sweep that cannot be."""
        self.ask(seed=0)

    def ask(self, seed: int) -> Any:
        """What is to be swept. Raises SearchSpaceError or TunedError where that is contradictory."""
        from framework.sweep.rungs import SCHEDULERS
        from framework.sweep.tuning import Ask

        space = dict(self.space) if self.space is not None else space_of(self.contender)
        check_space(self.contender, space, who=self.name)
        if self.search not in SEARCHES:
            raise TunedError(f"there is no search {self.search!r}; take one of {', '.join(SEARCHES)}.")
        if self.scheduler is not None and self.scheduler not in SCHEDULERS:
            raise TunedError(f"there is no scheduler {self.scheduler!r}; take {', '.join(SCHEDULERS)}, or None.")
        if self.trials < 1:
            raise TunedError(f"trials is {self.trials}; a sweep needs 1 at least.")
        most = self.trials
        if self.search in POPULATIONS:
            space, most = self._changing(space), min(self.trials, MEMBERS)
        known = [settings for settings in portfolio_of(self.contender) if set(settings) <= set(space)]
        queue: tuple[Any, ...] = ({}, *known)
        if self.search in POPULATIONS:
            whole = [settings for settings in portfolio_of(self.contender) if set(space) <= set(settings)]
            queue = tuple({name: settings[name] for name in space} for settings in whole)
        if self.search == "grid":
            from framework.sweep.searcher import grid

            queue = tuple(grid(space, self.trials, seed=seed))
        one = self.contender.resources
        each = one.cpus * one.workers
        parallel = self.parallel if self.parallel is not None else max(1, int(self.resources.cpus / each + 1e-9))
        return Ask(
            self.contender,
            space,
            "tpe" if self.search == "bohb" else self.search,
            "hyperband" if self.search == "bohb" else self.scheduler,
            most,
            queue,
            parallel,
            self.name,
        )

    def _changing(self, space: dict[str, Dimension]) -> dict[str, Dimension]:
        """The part of the space that a population can change while it trains. Raises TunedError where there is none."""
        changing = getattr(self.contender, "changing", ())
        kept = {name: dimension for name, dimension in space.items() if name in changing}
        if not kept or self.contender.resources.apart:
            raise TunedError(
                f"{self.contender.name} cannot be tuned by {self.search}: none of its settings can change as it trains "
                f"in one process. Take search='tpe', or a net such as TorchDDP(workers=1)."
            )
        return kept

    def settled(self, model: Model) -> Contender:
        """The contender with the best settings, under this name: what is fit once more is no sweep."""
        return replace(model.contender, name=self.name) if isinstance(model, TunedModel) else self  # type: ignore[type-var]


@dataclass(frozen=True)
class TunedModel:
    """The best trial's model, which is what it is opened as. contender: with the best settings; trials: all of them."""

    model: Model
    contender: Contender
    trials: "tuple[Trial, ...]" = ()

    def predict(self, X: pd.DataFrame) -> np.ndarray:
        return self.model.predict(X)

    def save(self, folder: Path) -> None:
        (folder / BEST).mkdir()
        store_model(self.model, folder / BEST)

    @classmethod
    def load(cls, folder: Path) -> Any:
        """The model itself: what explains or exports an engine's models finds the engine's own class."""
        return open_model(folder / BEST)
