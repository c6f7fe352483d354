"""Random forests and extra trees, grown in batches until they are enough or time is up."""

from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np

from cluster.resources import Resources
from framework.contender import Context, Model
from framework.contenders.forest_model import ForestModel
from framework.contenders.linear import sample
from framework.contenders.native import Native
from framework.contenders.watch import Watch
from framework.data.frame import Fold
from framework.problem import Kind
from framework.search_space import Real, Settings, Space, Whole

BATCH = 10  # trees
KINDS: frozenset[Kind] = frozenset({"binary", "multiclass", "regression"})
MOST_ROWS = 300_000
SMALL = 5_000
TREE_ROWS = 50_000  # that one tree sees at most: a larger one is slower to open than it is better


@dataclass(frozen=True)
class RandomForest:
    """The mean of deep trees, each grown on its own draw of the rows.

    leaf_rows: a leaf has at least as many rows; None: 1 for values in a small table, else 3. columns: share
    that a split chooses from; None: a third for values, the square root of their number for classes.
    """

    trees: int = 300
    leaf_rows: int | None = None
    columns: float | None = None
    name: str = "random_forest"
    cpus: float = 1.0
    kinds: ClassVar[frozenset[Kind]] = KINDS
    imports: ClassVar[tuple[str, ...]] = ("sklearn.ensemble",)
    pooled: ClassVar[bool] = True
    # Ranges and settings: TabRepo (Salinas & Erickson 2024), its r195, r127 and r34.
    space: ClassVar[Space] = {"leaf_rows": Whole(1, 50, log=True), "columns": Real(0.1, 1.0)}
    portfolio: ClassVar[tuple[Settings, ...]] = (
        {"leaf_rows": 1, "columns": 0.75},
        {"leaf_rows": 5, "columns": 1.0},
        {"leaf_rows": 40, "columns": 0.75},
    )

    @property
    def resources(self) -> Resources:
        return Resources(cpus=self.cpus)

    def fit(self, fold: Fold, context: Context) -> ForestModel:
        from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor

        engine = RandomForestClassifier if fold.problem.classified else RandomForestRegressor
        return _grow(engine, fold, context, self.trees, bootstrap=True, leaf_rows=self.leaf_rows, columns=self.columns)

    def settled(self, model: Model) -> "RandomForest":
        return replace(self, **model.found) if isinstance(model, ForestModel) else self


@dataclass(frozen=True)
class ExtraTrees:
    """The mean of deep trees whose splits are drawn, then compared (Geurts et al. 2006). Fields as RandomForest."""

    trees: int = 300
    leaf_rows: int | None = None
    columns: float | None = None
    name: str = "extra_trees"
    cpus: float = 1.0
    kinds: ClassVar[frozenset[Kind]] = KINDS
    imports: ClassVar[tuple[str, ...]] = ("sklearn.ensemble",)
    pooled: ClassVar[bool] = True
    # Ranges and settings: TabRepo (Salinas & Erickson 2024), its r42, r172 and r178.
    space: ClassVar[Space] = {"leaf_rows": Whole(1, 50, log=True), "columns": Real(0.1, 1.0)}
    portfolio: ClassVar[tuple[Settings, ...]] = (
        {"leaf_rows": 1, "columns": 0.75},
        {"leaf_rows": 4, "columns": 1.0},
        {"leaf_rows": 4, "columns": 0.75},
    )

    @property
    def resources(self) -> Resources:
        return Resources(cpus=self.cpus)

    def fit(self, fold: Fold, context: Context) -> ForestModel:
        from sklearn.ensemble import ExtraTreesClassifier, ExtraTreesRegressor

        engine = ExtraTreesClassifier if fold.problem.classified else ExtraTreesRegressor
        return _grow(
            engine,
            fold,
            context,
            self.trees,
            bootstrap=len(fold.train) > TREE_ROWS,
            leaf_rows=self.leaf_rows,
            columns=self.columns,
        )

    def settled(self, model: Model) -> "ExtraTrees":
        return replace(self, **model.found) if isinstance(model, ForestModel) else self


def _grow(
    engine: Any,
    fold: Fold,
    context: Context,
    trees: int,
    *,
    bootstrap: bool,
    leaf_rows: int | None,
    columns: float | None,
) -> ForestModel:
    """A forest of as many trees as there is time for; the first batch is one tree, to learn what a tree costs."""
    kept = sample(len(fold.train), MOST_ROWS, seed=context.seed)
    train = fold.train if kept is None else fold.train.take(kept)
    native = Native.learn(fold.schema, train.X, seed=context.seed)
    rows = native.matrix(train.X).astype(np.float32)
    classified = fold.problem.classified
    share = columns if columns is not None else "sqrt" if classified else 1 / 3
    forest = engine(
        n_estimators=0,
        min_samples_leaf=leaf_rows or (3 if classified or len(train) > SMALL else 1),
        max_features=share,
        bootstrap=bootstrap,
        max_samples=min(1.0, TREE_ROWS / len(train)) if bootstrap and len(train) > TREE_ROWS else None,
        warm_start=True,
        n_jobs=context.threads,
        random_state=context.seed,
    )
    watch = Watch(context, patience=0)
    grown = 0
    while grown < trees:
        batch = 1 if grown == 0 else BATCH
        grown = min(trees, grown + batch)
        forest.set_params(n_estimators=grown).fit(rows, train.y, sample_weight=train.weight)
        context.report(grown, trees=float(grown))
        if watch.stop(grown - 1, None) or watch.affordable < min(BATCH, trees - grown):
            break
    forest.set_params(n_jobs=1, warm_start=False)
    return ForestModel(native, forest, len(fold.classes), found={"trees": trees})
