"""Clusters: as many as there are, answered alike by every way of finding them, and told apart from chance."""

import numpy as np
import pandas as pd
import pytest
from sklearn.cluster import AgglomerativeClustering
from sklearn.datasets import load_iris, load_wine
from sklearn.metrics import adjusted_rand_score
from sklearn.mixture import GaussianMixture

from framework.contender import Context
from framework.contenders.agglomerative import Agglomerative, merged
from framework.contenders.clusters import HDBSCAN, KMeans
from framework.contenders.mixture import Mixture
from framework.contenders.store import open_model, store_model
from framework.data.frame import Fold
from framework.data.load import load
from framework.data.space import Space
from framework.data.split import Split

EVERY = [KMeans(), HDBSCAN(), Mixture(), Agglomerative()]
pytestmark = pytest.mark.filterwarnings("ignore:Number of distinct clusters")


@pytest.fixture(scope="module")
def wine() -> Split:
    return load(load_wine(as_frame=True).data)


def clouds(rows: int = 150) -> pd.DataFrame:
    """Three long clouds side by side, which a centre cannot tell apart: their spread along is ten times that across."""
    rng = np.random.default_rng(0)
    points = rng.normal(size=(3, rows, 2)) * [5.0, 0.25] + np.array([[0, 0], [0, 2], [0, 4]])[:, None]
    return pd.DataFrame(points.reshape(-1, 2), columns=["along", "across"])


def cultivar(wine: Split, rows: pd.DataFrame) -> np.ndarray:
    known = load_wine(as_frame=True).frame
    marks = {tuple(row[:3]): row[-1] for row in known.to_numpy()}
    return np.array([marks[tuple(row[:3])] for row in rows[known.columns[:3]].to_numpy()])


@pytest.mark.parametrize("contender", [KMeans(clusters=3), Mixture(clusters=3), Agglomerative(clusters=3)])
def test_three_cultivars_are_found_on_rows_never_seen(wine: Split, contender: KMeans) -> None:
    model = contender.fit(wine.fold, Context(seed=0))
    assert adjusted_rand_score(cultivar(wine, wine.test.X), model.predict(wine.test.X)) > 0.7


def test_long_clouds_are_told_apart_by_their_shape_and_their_number_by_bic() -> None:
    fold = load(clouds()).fold
    truth = (fold.train.X["across"].to_numpy() + 1) // 2
    mixture = Mixture().fit(fold, Context(seed=0))
    assert len(mixture.weights) == 3
    assert adjusted_rand_score(truth, mixture.predict(fold.train.X)) > 0.98
    centres = KMeans(clusters=3).fit(fold, Context(seed=0))
    assert adjusted_rand_score(truth, centres.predict(fold.train.X)) < 0.6


@pytest.mark.parametrize("shape", ["full", "diag"])
def test_a_mixture_answers_as_scikit_learn_does(wine: Split, shape: str) -> None:
    model = Mixture(clusters=3, shape=shape).fit(wine.fold, Context(seed=0))
    points = model.space.place(wine.fold.train.X).astype(np.float64)
    own = GaussianMixture(
        3, covariance_type=shape, n_init=5, init_params="k-means++", reg_covar=1e-3, random_state=0
    ).fit(points)
    assert np.array_equal(model.predict(wine.fold.train.X), own.predict(points))
    told = model.log_densities(points)
    likelihood = own.score_samples(points)
    ours = np.log(np.exp(told - told.max(axis=1, keepdims=True)).sum(axis=1)) + told.max(axis=1)
    assert np.allclose(likelihood - ours, -0.5 * points.shape[1] * np.log(2 * np.pi))


def test_the_tree_of_merged_clusters_is_scikit_learns(wine: Split) -> None:
    points = Space.learn(wine.fold.train.X, wine.schema).place(wine.fold.train.X)
    own = AgglomerativeClustering(4, linkage="ward").fit_predict(points)
    assert adjusted_rand_score(own, merged(points, [2, 4])[:, 1]) == 1.0


def test_the_cut_is_where_the_silhouette_is_best(wine: Split) -> None:
    told: dict[int, float] = {}
    context = Context(sink=lambda step, metrics: told.update({step: metrics["silhouette"]}))
    model = Agglomerative().fit(wine.fold, context)
    assert len(told) == 9
    assert len(model.points) == max(told, key=lambda cut: told[cut])


@pytest.mark.parametrize("contender", EVERY, ids=lambda made: made.name)
def test_saved_settled_and_asked_again_it_answers_the_same(
    contender: KMeans, tmp_path_factory: pytest.TempPathFactory
) -> None:
    split = load(load_iris(as_frame=True).data)
    model = contender.fit(split.fold, Context(seed=1))
    folder = tmp_path_factory.mktemp(contender.name)
    store_model(model, folder)
    told = model.predict(split.test.X)
    assert told.dtype == np.int64
    assert np.array_equal(open_model(folder).predict(split.test.X), told)
    settled = contender.settled(model)
    again = settled.fit(split.fold, Context(seed=1))
    assert adjusted_rand_score(again.predict(split.test.X), told) > 0.95
    assert settled.settled(again) == settled


@pytest.mark.parametrize("contender", EVERY, ids=lambda made: made.name)
@pytest.mark.parametrize("rows", [12, 20])
def test_few_rows_and_rows_that_are_all_alike_still_answer(contender: KMeans, rows: int) -> None:
    table = pd.DataFrame({"x": [1.0, 2.0] * (rows // 2), "kind": ["a", "b"] * (rows // 2)})
    fold: Fold = load(table).fold
    assert len(contender.fit(fold, Context()).predict(fold.valid.X)) == len(fold.valid)
