"""What a contest has fit: each contender's models and answers, fold by fold, and those fit once more on all rows."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np

from framework.contender import Contender, Model
from framework.contenders.blend import bagged
from framework.contest.attempt import Fit, unpack
from framework.contest.race import Done
from framework.contest.ranked_on import RankedOn
from framework.data.chain import ordered
from framework.data.frame import Fold, Truth
from framework.data.split import Split
from framework.statistics import Cost


@dataclass
class Fits:
    """The fits of one contest, and the rows that they are ranked on.

    held: the rows that each fold holds out; none: there is one fit of each, ranked on the validation rows.
    first: the first fold's rows alone. means: a contender's model is the mean of its folds'. refits: by name, what
    refers to the archive of the model fit once more.
    """

    split: Split
    held: list[np.ndarray]
    ranked_on: RankedOn
    first: RankedOn
    means: bool
    done: dict[str, dict[int, Done]] = field(default_factory=dict)  # contender → fold held out → its fit
    refits: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def of(cls, split: Split, held: list[np.ndarray]) -> Self:
        """Of a contest that begins. Folds of rows in no order are each as good as another: their models' mean is the
        model. Where rows follow each other in time, as a forecast's do, later folds know less and less of the past:
        theirs is fit once more on all of it."""
        ranked_on = RankedOn.of(split.fold, held)
        first = ranked_on.first() if held else ranked_on
        return cls(split, held, ranked_on, first, means=bool(held) and not ordered(split.problem))

    @property
    def folds(self) -> int:
        return self.ranked_on.folds

    @property
    def truth(self) -> Truth:
        return self.ranked_on.truth

    def add(self, done: Done) -> bool:
        """Keeps a fit; says whether it was the last one that its contender lacked."""
        folds = self.done.setdefault(done.contender.name, {})
        folds[done.held] = done
        return len(folds) == self.folds

    def of_fold(self, name: str, held: int = 0) -> Fit:
        return self.done[name][held].fit

    def contender(self, name: str) -> Contender:
        return next(iter(self.done[name].values())).contender

    def seconds(self, name: str) -> float:
        return sum(done.fit.seconds for held, done in self.done[name].items() if held < self.folds)

    def remark(self, name: str) -> str:
        """What its fits on the folds ranked on remarked, each sentence once."""
        told = [remark for held in range(self.folds) for remark in self.of_fold(name, held).remarks]
        return "; ".join(dict.fromkeys(told))

    def predicted(self, name: str) -> np.ndarray:
        """Its answers on the rows ranked on, each by the model that had not seen the row."""
        return self.ranked_on.joined({held: self.of_fold(name, held).predicted for held in range(self.folds)})

    def on_first(self) -> dict[str, np.ndarray]:
        """Everyone's answers on the first fold's rows, who has any."""
        return {name: fits[0].fit.predicted for name, fits in self.done.items() if 0 in fits}

    def unfinished(self) -> list[str]:
        return [name for name, fits in self.done.items() if len(fits) < self.folds]

    def only_first(self) -> None:
        """From now on the first fold's rows are those ranked on."""
        self.ranked_on = self.first

    def cost(self, names: Sequence[str]) -> Cost:
        """What the models of these cost together."""
        fits = [done.fit for name in names for done in self.done[name].values()]
        return Cost(len(fits), sum(fit.bytes for fit in fits), sum(fit.answering for fit in fits))

    def model(self, name: str) -> Model:
        """A contender's model: fit on all rows where it was, else the mean of its folds'."""
        import ray

        if name in self.refits:
            return unpack(ray.get(self.refits[name]))
        fits = [self.done[name][held] for held in range(self.folds if self.means else 1)]
        return bagged([unpack(ray.get(done.packed)) for done in fits])

    def asked(self) -> list[Fold]:
        """The folds whose validation rows are those ranked on, in the order of `ranked_on.places`."""
        return (
            [self.split.fold.holding(self.held[place]) for place in range(self.folds)]
            if self.held
            else [self.split.fold]
        )
