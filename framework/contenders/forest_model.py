"""A forest on disk: the nodes of all its trees as arrays of numbers, checked before they are followed.

skops, which keeps other scikit-learn estimators, takes a second and more for hundreds of trees.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np

from framework.contenders.native import Native
from framework.contenders.sklearn_model import SklearnModel

CARD = "forest.json"
TREES = "trees.npz"
ENGINES = ("RandomForestClassifier", "RandomForestRegressor", "ExtraTreesClassifier", "ExtraTreesRegressor")


@dataclass(frozen=True)
class ForestModel(SklearnModel):
    """columns: the matrix of tree engines. estimator: one of scikit-learn's forests."""

    def save(self, folder: Path) -> None:
        forest = self.estimator
        trees = [each.tree_ for each in forest.estimators_]
        states = [tree.__getstate__() for tree in trees]
        labels = getattr(forest, "classes_", np.empty(0))
        card = {"engine": type(forest).__name__, "features": forest.n_features_in_, "classes": self.classes}
        (folder / CARD).write_text(json.dumps({**card, "found": self.found}), encoding="utf-8")
        self.columns.save(folder)
        np.savez(
            folder / TREES,
            labels=np.asarray(labels, dtype=np.int64),
            counts=np.array([tree.node_count for tree in trees], dtype=np.int64),
            depths=np.array([tree.max_depth for tree in trees], dtype=np.int64),
            nodes=np.concatenate([state["nodes"] for state in states]),
            values=np.concatenate([state["values"] for state in states]),
        )

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Raises ValueError, as `Model.load`, for trees that lead nowhere too."""
        card = json.loads((folder / CARD).read_text(encoding="utf-8"))
        with np.load(folder / TREES, allow_pickle=False) as parts:
            forest = _forest(card["engine"], card["features"], **{name: parts[name] for name in parts.files})
        return cls(Native.load(folder), forest, card["classes"], found=card["found"])


def _forest(
    name: str,
    features: int,
    *,
    labels: np.ndarray,
    counts: np.ndarray,
    depths: np.ndarray,
    nodes: np.ndarray,
    values: np.ndarray,
) -> Any:
    """The forest as it was fit, as far as predictions need it. counts, depths: of each tree, shape (trees,); nodes,
    values: of all trees, one after the other."""
    import sklearn.ensemble
    from sklearn.tree._tree import Tree

    if name not in ENGINES:
        raise ValueError(f"{CARD} asks for {name!r}, which is no forest")
    _check(nodes, values, counts, features)
    forest = getattr(sklearn.ensemble, name)(n_estimators=len(counts), n_jobs=1)
    known: dict[str, Any] = {"n_features_in_": features, "n_outputs_": 1}
    if len(labels):
        known |= {"classes_": labels, "n_classes_": len(labels)}
    forest.estimators_ = []
    ends = np.cumsum(counts)
    for begin, end, depth in zip(ends - counts, ends, depths, strict=True):
        tree = Tree(features, np.array([max(1, len(labels))], dtype=np.intp), 1)
        state = {"max_depth": int(depth), "node_count": int(end - begin)}
        tree.__setstate__({**state, "nodes": nodes[begin:end], "values": values[begin:end]})
        one = type(forest.estimator)()
        vars(one).update(known, tree_=tree)
        forest.estimators_.append(one)
    vars(forest).update(known)
    return forest


def _check(nodes: np.ndarray, values: np.ndarray, counts: np.ndarray, features: int) -> None:
    """Raises ValueError where a node is asked for that is not in its tree, or a column that is not in the rows."""
    if len(nodes) != counts.sum() or len(values) != len(nodes) or not len(counts) or counts.min() < 1:
        raise ValueError(f"{TREES} is cut short: {len(nodes)} nodes of {counts.sum()}, {len(values)} values")
    begins = np.repeat(np.cumsum(counts) - counts, counts)
    place, size = np.arange(len(nodes)) - begins, np.repeat(counts, counts)
    left, right, inner = nodes["left_child"], nodes["right_child"], nodes["left_child"] != -1
    ahead = (left > place) & (left < size) & (right > place) & (right < size)
    known = (nodes["feature"] >= 0) & (nodes["feature"] < features)
    if not (ahead & known)[inner].all():
        raise ValueError(f"{TREES} holds a tree that leads nowhere. Do not trust this file.")
