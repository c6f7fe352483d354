"""A contender whose classes count the same: what synthetic rows of the rarer ones must beat, and free of charge."""

from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from cluster.resources import Resources
from framework.contender import Contender, Context, Model
from framework.data.frame import Fold
from framework.problem import Kind
from synthetic.help import WEIGHTS


@dataclass(frozen=True)
class Weighted:
    """`contender`, fit on training rows that each count by how rare their class is: n / (classes · n of the class).

    Weights that the rows have are multiplied. The validation rows play no part.
    """

    contender: Contender
    name: str = ""
    kinds: ClassVar[frozenset[Kind]] = frozenset({"binary", "multiclass"})
    pooled: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if not self.name:
            object.__setattr__(self, "name", self.contender.name + WEIGHTS)

    @property
    def resources(self) -> Resources:
        return self.contender.resources

    def fit(self, fold: Fold, context: Context) -> Model:
        y, weight = fold.train.y, fold.train.weight
        counts = np.maximum(np.bincount(y, minlength=len(fold.classes)), 1)
        each = (len(y) / (len(counts) * counts))[y]
        weighed = replace(fold.train.truth, weight=each if weight is None else each * weight)
        return self.contender.fit(replace(fold, train=replace(fold.train, truth=weighed), shards=None), context)

    def settled(self, model: Model) -> "Weighted":
        return replace(self, contender=self.contender.settled(model))
