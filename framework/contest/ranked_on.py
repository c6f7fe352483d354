"""The rows that a contest's entries are ranked on, and whose predictions stand where among them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from framework.data.frame import Fold, Frame, Truth


@dataclass(frozen=True)
class RankedOn:
    """frame: the rows ranked on. places: for each fold, where the rows it holds out stand among them."""

    frame: Frame
    places: tuple[np.ndarray, ...]

    @classmethod
    def of(cls, fold: Fold, held: Sequence[np.ndarray]) -> "RankedOn":
        """The validation rows, or all rows that the folds hold out (`framework.data.kfold`, `rolling`)."""
        if not held:
            return cls(fold.valid, (np.arange(len(fold.valid)),))
        rows = np.sort(np.concatenate(held))
        return cls(fold.pooled().train.take(rows), tuple(np.searchsorted(rows, each) for each in held))

    @property
    def truth(self) -> Truth:
        return self.frame.truth

    def __len__(self) -> int:
        return len(self.frame)

    @property
    def folds(self) -> int:
        return len(self.places)

    def first(self) -> "RankedOn":
        """The first fold's rows alone."""
        place = self.places[0]
        return RankedOn(self.frame.take(place), (np.arange(len(place)),))

    def joined(self, predicted: Mapping[int, np.ndarray]) -> np.ndarray:
        """Each fold's predictions of the rows it holds out, as one array in the order of the rows ranked on."""
        first = predicted[0]
        whole = np.empty((len(self), *first.shape[1:]), dtype=first.dtype)
        for fold, place in enumerate(self.places):
            whole[place] = predicted[fold]
        return whole
