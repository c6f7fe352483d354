"""Rows as a forest of dependencies: each column hangs on one other at most. Conditions are exact, by beliefs passed on.

Chow, Liu 1968; Pearl 1982.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar, Self

import numpy as np

from synthetic.synthesizer import Allowed, seeded, within

FILE = "forest.safetensors"


class Forest:
    """parents: shape (parts,), -1 for a root. order: parts, each after its parent. tables: for each part the chances of
    its tokens given its parent's, shape (card of the parent or 1, card), every row summing to 1, none of them 0."""

    exact: ClassVar[bool] = True

    def __init__(self, parents: np.ndarray, tables: Sequence[np.ndarray]) -> None:
        self.parents, self.tables = parents, list(tables)
        self.order = _order(parents)

    def draw(self, rows: int, allowed: Allowed, seed: int) -> np.ndarray:
        parts = len(self.parents)
        return self.fill(np.zeros((rows, parts)), np.zeros((rows, parts), dtype=bool), allowed, seed)

    def fill(self, places: np.ndarray, known: np.ndarray, allowed: Allowed, seed: int) -> np.ndarray:
        """As `Filling.fill`: beliefs go up to the roots, tokens are drawn on the way down."""
        random = seeded(seed)
        belief: dict[int, np.ndarray] = {}
        for at in reversed(self.order):
            given = self._evidence(at, places, known, allowed)
            if given is not None:
                belief[at] = belief[at] * given if at in belief else given
            parent = int(self.parents[at])
            if at in belief and parent >= 0:
                told = belief[at] @ self.tables[at].T
                told = told / told.max(axis=1, keepdims=True)
                belief[parent] = belief[parent] * told if parent in belief else told
        tokens = np.zeros(places.shape, dtype=np.int64)
        for at in self.order:
            parent = int(self.parents[at])
            chance = self.tables[at][tokens[:, parent]] if parent >= 0 else self.tables[at]
            sums = (chance * belief[at] if at in belief else chance).cumsum(axis=1)
            asked = random.random(len(places)) * sums[:, -1]
            tokens[:, at] = np.minimum((asked[:, None] >= sums).sum(axis=1), sums.shape[1] - 1)
        return np.where(known, places, within(tokens.astype(np.float64), random))

    def log_likelihood(self, places: np.ndarray) -> np.ndarray:
        """As `Filling.log_likelihood`, exactly."""
        tokens = places.astype(np.int64)
        told = np.zeros(len(tokens))
        for at, parent in enumerate(self.parents):
            before = tokens[:, parent] if parent >= 0 else np.zeros(len(tokens), dtype=np.int64)
            told += np.log(self.tables[at][before, tokens[:, at]])
        return told

    def save(self, folder: Path) -> None:
        from safetensors.numpy import save_file

        arrays = {f"table_{at}": np.ascontiguousarray(table) for at, table in enumerate(self.tables)}
        save_file({"parents": self.parents.astype(np.int64), **arrays}, folder / FILE)

    @classmethod
    def load(cls, folder: Path) -> Self:
        from safetensors.numpy import load_file

        arrays = load_file(folder / FILE)
        return cls(arrays["parents"], [arrays[f"table_{at}"] for at in range(len(arrays["parents"]))])

    def _evidence(self, at: int, places: np.ndarray, known: np.ndarray, allowed: Allowed) -> np.ndarray | None:
        """Which tokens a part may have, shape (1 or rows, card), float64; None where any."""
        card = self.tables[at].shape[1]
        bound = allowed.get(at)
        if known[:, at].any():
            mine = np.arange(card)[None] == places[:, at].astype(np.int64)[:, None]
            bound = np.where(known[:, at : at + 1], mine, np.ones((1, card), dtype=bool) if bound is None else bound)
        return None if bound is None else bound.astype(np.float64)


def forest(ones: Sequence[np.ndarray], pairs: Mapping[tuple[int, int], np.ndarray], floor: float) -> Forest:
    """The forest with these chances of each part, shape (card,), and of linked pairs, shape (card, card) each.

    floor: the least that any chance is, as a share of its row's; a condition on what was never seen finds rows too.
    """
    links: dict[int, list[int]] = {at: [] for at in range(len(ones))}
    for one, other in pairs:
        links[one].append(other)
        links[other].append(one)
    parents = np.full(len(ones), -1)
    seen: set[int] = set()
    for root in range(len(ones)):
        waiting = [] if root in seen else [root]
        seen.add(root)
        while waiting:
            at = waiting.pop()
            for child in links[at]:
                if child not in seen:
                    parents[child] = at
                    seen.add(child)
                    waiting.append(child)
    tables = []
    for at, parent in enumerate(parents):
        if parent < 0:
            table = ones[at][None]
        else:
            table = pairs[parent, at] if (parent, at) in pairs else pairs[at, int(parent)].T
        sums = table.sum(axis=1, keepdims=True)
        table = np.where(sums > 0, table / np.where(sums > 0, sums, 1.0), ones[at][None])
        table = np.maximum(table, floor)
        tables.append(table / table.sum(axis=1, keepdims=True))
    return Forest(parents, tables)


def _order(parents: np.ndarray) -> list[int]:
    order: list[int] = []
    placed: set[int] = set()
    while len(order) < len(parents):
        ready = [at for at, up in enumerate(parents) if at not in placed and (up < 0 or int(up) in placed)]
        order += ready
        placed |= set(ready)
    return order
