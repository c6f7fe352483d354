"""SDV 2.0's synthesizers of series (PAR) and of linked tables (HMA), to hold ours against (https://docs.sdv.dev).

Both are under the Business Source License 1.1, as `synthetic.sdv` tells; neither is ever saved.
"""

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import pandas as pd

from framework.contender import Context
from synthetic.linked.schema import LinkError, Schema
from synthetic.sdv import LICENCE, TABLE, SDVError, seeds


@dataclass(frozen=True)
class PAR:
    """SDV's probabilistic autoregressive net over series. epochs: None: SDV's own 128. It knows no deadline."""

    series: str
    time: str
    epochs: int | None = None
    name: str = "sdv:par"
    licence: ClassVar[str] = LICENCE

    def fit(self, frame: pd.DataFrame, context: Context | None = None) -> "FittedPAR":
        """Learns from all rows. Raises SDVError where the extra is not installed."""
        given = context or Context()
        given.remark(LICENCE)
        try:
            from sdv.metadata import Metadata
            from sdv.sequential import PARSynthesizer
        except ImportError as error:
            raise _lacking(self.name) from error
        columns = _columns(frame, ids={self.series})
        distinct = frame.drop(columns=self.time).groupby(self.series).nunique(dropna=False).max()
        static = [str(name) for name in distinct.index if distinct[name] == 1]
        table = {"columns": columns, "sequence_key": self.series, "sequence_index": self.time}
        asked: dict[str, Any] = {"cuda": False} | ({} if self.epochs is None else {"epochs": self.epochs})
        with warnings.catch_warnings(), seeds(given.seed):
            warnings.simplefilter("ignore")
            metadata = Metadata.load_from_dict({"tables": {TABLE: table}})
            made = PARSynthesizer(metadata, context_columns=static, **asked)
            made.fit({TABLE: frame.sort_values([self.series, self.time])})
        return FittedPAR(made, list(frame.columns))


@dataclass(frozen=True)
class FittedPAR:
    """What PAR has learned."""

    made: Any
    columns: list[str]

    def sample(self, n: int, *, seed: int = 0) -> pd.DataFrame:
        """n series."""
        with warnings.catch_warnings(), seeds(seed):
            warnings.simplefilter("ignore")
            rows: pd.DataFrame = self.made.sample_sequences(n)[TABLE]
        return rows[self.columns].reset_index(drop=True)


@dataclass(frozen=True)
class HMA:
    """SDV's hierarchical copulas over linked tables: up to five of them, two deep."""

    schema: Schema
    name: str = "sdv:hma"
    licence: ClassVar[str] = LICENCE

    def fit(self, tables: Mapping[str, pd.DataFrame], context: Context | None = None) -> "FittedHMA":
        """Learns from all tables. Raises LinkError as `Linked.fit`; SDVError for what HMA refuses, or where the extra
        is not installed."""
        given = context or Context()
        given.remark(LICENCE)
        self.schema.check(tables)
        try:
            from sdv.metadata import Metadata
            from sdv.multi_table import HMASynthesizer
        except ImportError as error:
            raise _lacking(self.name) from error
        told: dict[str, Any] = {"tables": {}, "relationships": []}
        for name, frame in tables.items():
            key = self.schema.keys.get(name)
            linking = {link.column for link in self.schema.links if link.child == name}
            told["tables"][name] = {"columns": _columns(frame, ids=linking | ({key} if key else set()))}
            if key:
                told["tables"][name]["primary_key"] = key
        for link in self.schema.links:
            told["relationships"].append({
                "parent_table_name": link.parent, "parent_primary_key": self.schema.keys[link.parent],
                "child_table_name": link.child, "child_foreign_key": link.column,
            })  # fmt: skip
        with warnings.catch_warnings(), seeds(given.seed):
            warnings.simplefilter("ignore")
            try:
                made = HMASynthesizer(Metadata.load_from_dict(told), verbose=False)
                made.fit(dict(tables))
            except Exception as error:  # the border to SDV, whose refusals are of many types
                raise SDVError(f"{self.name} refused these tables: {error}") from error
        return FittedHMA(made, {name: list(frame.columns) for name, frame in tables.items()})


@dataclass(frozen=True)
class FittedHMA:
    """What HMA has learned."""

    made: Any
    columns: dict[str, list[str]]

    def sample(self, scale: float = 1.0, *, seed: int = 0) -> dict[str, pd.DataFrame]:
        """All tables, of about `scale` times the rows learned from."""
        if not scale > 0:
            raise LinkError(f"a scale of {scale} leaves no row. Ask for more than 0.")
        with warnings.catch_warnings(), seeds(seed):
            warnings.simplefilter("ignore")
            self.made.reset_sampling()
            made = self.made.sample_scale(scale)
        return {name: made[name][columns].reset_index(drop=True) for name, columns in self.columns.items()}


def _columns(frame: pd.DataFrame, ids: set[str]) -> dict[str, dict[str, str]]:
    """What SDV calls each column."""
    told = {}
    for name in map(str, frame.columns):
        kind = frame[name].dtype
        if name in ids:
            told[name] = {"sdtype": "id"}
        elif pd.api.types.is_bool_dtype(kind) or not pd.api.types.is_numeric_dtype(kind):
            dates = pd.api.types.is_datetime64_any_dtype(kind)
            told[name] = {"sdtype": "datetime" if dates else "categorical"}
        else:
            told[name] = {"sdtype": "numerical"}
    return told


def _lacking(name: str) -> SDVError:
    return SDVError(
        f"the engine {name} needs SDV, which is not installed: pip install 'contenders[synthetic]'. {LICENCE}."
    )
