"""Clusters that are there come back from other draws of the rows; those that are not, do not."""

import time

import numpy as np
import pandas as pd
import pytest
from sklearn.datasets import load_iris

from framework.contender import Context
from framework.contenders.clusters import KMeans
from framework.data.load import load
from framework.stability import jaccard, stability
from tests.clock import by_own_work


def test_the_clusters_of_iris_are_stable_at_two_and_not_at_eight() -> None:
    fold = load(load_iris(as_frame=True).data).fold
    two = stability(KMeans(clusters=2), fold, context=Context(seed=0), draws=5)
    eight = stability(KMeans(clusters=8), fold, context=Context(seed=0), draws=5)
    assert two.draws == eight.draws == 5
    assert two.rand > 0.95
    assert min(two.clusters.values()) > 0.95
    assert eight.rand < 0.75
    assert min(eight.clusters.values()) < 0.6
    assert "unstable" not in str(two)
    assert "unstable" in str(eight) or "dissolves" in str(eight)


def test_a_uniform_square_has_no_clusters() -> None:
    square = pd.DataFrame(np.random.default_rng(0).random((200, 2)), columns=["x", "y"])
    told = stability(KMeans(clusters=5), load(square).fold, context=Context(seed=0), draws=5)
    assert told.rand < 0.8


def test_it_ends_with_its_time(monkeypatch: pytest.MonkeyPatch) -> None:
    by_own_work(monkeypatch)
    fold = load(load_iris(as_frame=True).data).fold
    began = time.time()
    told = stability(KMeans(clusters=3), fold, context=Context(deadline=began + 1.5), draws=100_000)
    assert time.time() < began + 3.0
    assert 0 < told.draws < 100_000


def test_the_jaccard_similarity_is_that_of_the_nearest_cluster() -> None:
    inside = np.array([True, True, True, False, False, False])
    assert jaccard(inside, np.array([0, 0, 1, 1, 1, 1])) == 2 / 3
    assert jaccard(inside, np.array([5, 5, 5, 2, 2, 2])) == 1.0
    assert jaccard(inside, np.array([-1, -1, -1, 0, 0, 0])) == 0.0
    assert jaccard(inside, np.full(6, -1)) == 0.0
