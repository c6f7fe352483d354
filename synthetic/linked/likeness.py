"""How alike made tables are to real ones in what links them: how many children, and what they have of their parents."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from synthetic.linked.schema import Link, Schema


@dataclass(frozen=True)
class LinkLikeness:
    """Of one link. cardinality: 1 - the Kolmogorov-Smirnov distance of the numbers of children; correlation: mean over
    pairs of a parent's and a child's column of how alike they go together; both from 0 to 1, 1 is the same. siblings:
    how far the share of a child's numbers' variance that lies between parents is off, mean over columns. valid: share
    of children whose parent is there."""

    cardinality: float
    correlation: float
    siblings: float
    valid: float


def linked_likeness(
    schema: Schema, real: Mapping[str, pd.DataFrame], made: Mapping[str, pd.DataFrame]
) -> dict[Link, LinkLikeness]:
    """For each link how alike the made tables are."""
    from scipy.stats import ks_2samp

    told = {}
    for link in schema.links:
        key = schema.keys[link.parent]
        counts = [
            tables[link.parent][key].map(tables[link.child][link.column].value_counts()).fillna(0)
            for tables in (real, made)
        ]
        joined = [_joined(schema, link, tables) for tables in (real, made)]
        parents, children = (schema.own(name, real[name]) for name in (link.parent, link.child))
        pairs = [_pair(*(each[[f"parent {a}", f"child {b}"]] for each in joined)) for a in parents for b in children]
        numbers = real[link.child][children].select_dtypes("number").columns
        between = []
        for name in numbers:
            had = [_between(tables[link.child][name], tables[link.child][link.column]) for tables in (real, made)]
            between.append(abs(had[0] - had[1]))
        told[link] = LinkLikeness(
            float(1 - ks_2samp(*counts).statistic), float(np.mean(pairs)) if pairs else 1.0,
            float(np.mean(between)) if between else 0.0,
            float(made[link.child][link.column].isin(made[link.parent][key]).mean()),
        )  # fmt: skip
    return told


def _joined(schema: Schema, link: Link, tables: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    child, parent = (
        _plain(tables[name]).add_prefix(f"{what} ") for what, name in (("child", link.child), ("parent", link.parent))
    )
    key = f"parent {schema.keys[link.parent]}"
    return child.merge(parent, left_on=f"child {link.column}", right_on=key)


def _plain(frame: pd.DataFrame) -> pd.DataFrame:
    """Dates as numbers, all else as it is."""
    dates = frame.select_dtypes(["datetime", "datetimetz"]).columns
    return frame.assign(**{name: frame[name].astype(np.int64).where(frame[name].notna()) for name in dates})


def _pair(real: pd.DataFrame, made: pd.DataFrame) -> float:
    """Two numbers: 1 - half the difference of their rank correlations; else 1 - the total variation distance of the
    table of both, numbers in tenths."""
    if all(pd.api.types.is_numeric_dtype(real[name].dtype) for name in real):
        found = [np.nan_to_num(each.rank().corr().to_numpy(dtype=np.float64)[0, 1]) for each in (real, made)]
        return float(1 - abs(found[0] - found[1]) / 2)
    coarse = [pd.DataFrame({name: _coarse(real[name], each[name]) for name in real}) for each in (real, made)]
    shares = [each.value_counts(normalize=True) for each in coarse]
    return float(1 - shares[0].sub(shares[1], fill_value=0).abs().sum() / 2)


def _coarse(real: pd.Series, column: pd.Series) -> pd.Series:
    if not pd.api.types.is_numeric_dtype(real.dtype) or real.nunique() <= 10:
        return column.astype(str)
    edges = np.unique(real.quantile(np.linspace(0, 1, 11)[1:-1]))
    codes = np.searchsorted(edges, column.to_numpy(dtype=np.float64, na_value=np.nan), side="right").astype(str)
    return pd.Series(np.where(column.isna(), "missing", codes), index=column.index)


def _between(values: pd.Series, groups: pd.Series) -> float:
    """The share of a number's variance that lies between groups of more than one row, 0 for what groups of chance have
    (the intraclass correlation of one-way analysis of variance)."""
    table = pd.DataFrame({"v": values.astype(np.float64), "g": groups.to_numpy()}).dropna()
    sizes = table.groupby("g")["v"].transform("size")
    table = table[sizes > 1]
    many = table["g"].nunique()
    if many < 2 or len(table) <= many or table["v"].var() == 0:
        return 0.0
    means = table.groupby("g")["v"].transform("mean")
    inner = float(((table["v"] - means) ** 2).sum() / (len(table) - many))
    outer = float(((means - table["v"].mean()) ** 2).sum() / (many - 1))
    sizes = table.groupby("g").size()
    usual = float((len(table) - (sizes**2).sum() / len(table)) / (many - 1))
    return float(np.clip((outer - inner) / (outer + (usual - 1) * inner), -1, 1)) if outer + inner > 0 else 0.0
