"""What the rows of each cluster have in common, and how they differ from all the others."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from framework.contender import Model
from framework.data.frame import Frame
from framework.data.schema import Schema
from framework.plain import write_json

if TYPE_CHECKING:
    from matplotlib.figure import Figure

TOP = 3  # categories told of a cluster's column
SHOWN = 12  # columns in the figure
NOISE = "noise"


@dataclass(frozen=True)
class Profiles:
    """table: one row for each cluster and column, those that set the cluster apart first:

    cluster: its label, -1 for noise; rows; share of all rows; column; kind ("number" or "category");
    value: a number's median in the cluster, or the category with the highest lift; everyone: the median of all rows,
    or the category's share of them; difference: (the cluster's mean - the mean of all) / the standard deviation of
    all; for a category (its share in the cluster - its share of all) / the latter's standard deviation √(p (1 - p));
    lift: the category's share in the cluster / its share of all; tops: up to three categories, the highest lift first.
    """

    table: pd.DataFrame = field(repr=False)

    def sentences(self, most: int = 3) -> list[str]:
        """One line for each cluster: its size, and what it differs in most."""
        lines = []
        for label, rows in self.table.groupby("cluster", sort=True):
            told = [_told(row) for row in rows.head(most).to_dict("records")]
            first = rows.iloc[0]
            lines.append(f"{_name(label)}: {first['rows']:,} rows ({first['share']:.0%}); {', '.join(told)}")
        return lines

    def __str__(self) -> str:
        return "\n".join(self.sentences())

    def to_json(self) -> list[dict[str, Any]]:
        """One object for each cluster: cluster, rows, share, and its columns with what `table` tells of them."""
        told = []
        for label, rows in self.table.groupby("cluster", sort=True):
            columns = rows.drop(columns=["cluster", "rows", "share"]).to_dict("records")
            told.append(
                {"cluster": label, "rows": rows["rows"].iloc[0], "share": rows["share"].iloc[0], "columns": columns}
            )
        return told

    def write(self, folder: Path) -> None:
        """Leaves `profiles.csv` and `profiles.json` in a folder. Raises WriteError where that cannot be done."""
        write_json(folder / "profiles.json", self.to_json())
        self.table.assign(tops=self.table["tops"].map(" | ".join)).to_csv(folder / "profiles.csv", index=False)

    def figure(self) -> "Figure":
        """Columns over clusters, coloured by how far the cluster lies from all rows, in standard deviations."""
        from framework.figures import canvas

        wide = self.table.pivot(index="column", columns="cluster", values="difference")
        wide = wide.loc[wide.abs().max(axis=1).sort_values(ascending=False).index[:SHOWN]]
        figure, axes = canvas("Clusters' profiles", "", "", (2.6 + 0.9 * wide.shape[1], 1.6 + 0.36 * len(wide)))
        bound = max(1.0, float(np.nanmax(wide.abs().to_numpy())))
        image = axes.imshow(wide, cmap="RdBu_r", vmin=-bound, vmax=bound, aspect="auto")
        figure.colorbar(image, ax=axes, shrink=0.75, label="standard deviations from all rows")
        axes.set_xticks(range(wide.shape[1]), [_name(label) for label in wide.columns])
        axes.set_yticks(range(len(wide)), [str(name)[:24] for name in wide.index])
        axes.grid(visible=False)
        return figure


def profiles(model: Model, frame: Frame, schema: Schema) -> Profiles:
    """The clusters that a model finds in these rows, each held against all of them.

    frame: conformed rows. Dates count as numbers, in days since 1970; text columns are left out. A missing value
    counts in no median and is no category; a column without a value, or with one and the same, tells nothing and is
    left out.
    """
    labels = model.predict(frame.X)
    lines: list[dict[str, Any]] = []
    for label in np.unique(labels).tolist():
        inside = labels == label
        size = {"cluster": int(label), "rows": int(inside.sum()), "share": float(inside.mean())}
        for column in schema.columns:
            values = frame.X[column.name]
            if column.kind == "category":
                told = _category(values, inside)
            elif column.kind == "text":
                told = None
            else:
                told = _number(values, inside)
            if told is not None:
                lines.append({**size, "column": column.name, **told})
    names = ["cluster", "rows", "share", "column", "kind", "value", "everyone", "difference", "lift", "tops"]
    table = pd.DataFrame(lines, columns=names)
    apart = table["difference"].abs().rename("apart")
    order = pd.concat([table["cluster"], apart], axis=1).sort_values(["cluster", "apart"], ascending=[True, False])
    return Profiles(table.loc[order.index].reset_index(drop=True))


def _number(values: pd.Series, inside: np.ndarray) -> dict[str, Any] | None:
    if values.dtype.kind == "M":
        moments = values.to_numpy(dtype="datetime64[ns]")
        numbers = np.where(np.isnat(moments), np.nan, moments.astype(np.int64) / 86_400e9)
    else:
        numbers = values.to_numpy(dtype=np.float64)
    there = np.isfinite(numbers)
    spread = float(numbers[there].std()) if there.any() else 0.0
    if spread == 0:
        return None
    own = numbers[there & inside]
    middle, apart = (float(np.median(own)), (own.mean() - numbers[there].mean()) / spread) if len(own) else (None, 0.0)
    everyone = float(np.median(numbers[there]))
    return {
        "kind": "number",
        "value": middle,
        "everyone": everyone,
        "difference": float(apart),
        "lift": None,
        "tops": [],
    }


def _category(values: pd.Series, inside: np.ndarray) -> dict[str, Any] | None:
    codes, names = values.cat.codes.to_numpy(), values.cat.categories
    every = np.bincount(codes[codes >= 0], minlength=len(names))
    own = np.bincount(codes[(codes >= 0) & inside], minlength=len(names))
    if np.count_nonzero(every) < 2 or not own.sum():
        return None
    share, within = every / every.sum(), own / own.sum()
    lift = np.divide(within, share, out=np.zeros(len(names)), where=share > 0)
    apart = (within - share) / np.sqrt(np.maximum(share * (1 - share), 1e-12))
    common = np.flatnonzero(own >= min(own.max(), 0.05 * own.sum()))  # a rare category's lift is chance
    tops = common[np.argsort(-lift[common], kind="stable")][:TOP]
    first = tops[0]
    return {
        "kind": "category",
        "value": str(names[first]),
        "everyone": float(share[first]),
        "difference": float(apart[first]),
        "lift": float(lift[first]),
        "tops": [f"{names[code]} ({within[code]:.0%}, {lift[code]:.1f} ×)" for code in tops],
    }


def _told(row: Mapping[Any, Any]) -> str:
    if row["kind"] == "category":
        return f"{row['column']} {row['tops'][0]}"
    value = "missing" if row["value"] is None or pd.isna(row["value"]) else f"{row['value']:.4g}"
    return f"{row['column']} {value} (all {row['everyone']:.4g}, {row['difference']:+.1f} sd)"


def _name(label: Any) -> str:
    return NOISE if int(label) < 0 else f"cluster {label}"
