"""A Cox model that silos have found by sums: what hastens the event, by how much, and how sure that is."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Self

import numpy as np
import pandas as pd
from scipy.stats import chi2, norm

from federated.survival.design import CoxDesign
from federated.survival.job import Baseline
from framework.data.schema import Schema

SURE = float(norm.ppf(0.975))


@dataclass(frozen=True)
class Effect:
    """Of one more of a number, of a yes, or of a category against the column's first one.

    coefficient: of the hazard's logarithm; low, high: the 95 % interval of the hazard ratio; p: of Wald's test.
    """

    name: str
    coefficient: float
    standard_error: float
    hazard_ratio: float
    low: float
    high: float
    p: float


@dataclass(frozen=True)
class SiloPart:
    """A silo's share of it. log_likelihood: of its own stratum; None where silos share a baseline. concordance: of
    pairs of its own rows; None where it has too few to tell. Where sums were masked nobody knows but its rows."""

    rows: int
    events: int | None
    log_likelihood: float | None
    concordance: float | None


@dataclass(frozen=True)
class CoxModel:
    """coefficients: shape (width,), covariance: (width, width), of `names`, in the columns' own units.

    log_likelihood: of Breslow's partial likelihood, and at 0 (nan where sums were masked and a silo left meanwhile).
    silos: those that took part; left_out: silo → why not. events: of those that stayed to the end. concordance: of the
    pairs within silos, all together. times, hazard: of the baseline that silos share: its jumps at the agreed times,
    for a row at the centre; empty where each silo has its own, which stays there.
    """

    schema: Schema
    centre: np.ndarray = field(repr=False)
    coefficients: np.ndarray = field(repr=False)
    covariance: np.ndarray = field(repr=False)
    log_likelihood: float
    log_likelihood_at_0: float
    silos: Mapping[str, SiloPart]
    left_out: Mapping[str, str]
    events: int
    concordance: float | None
    baseline: Baseline
    steps: int
    times: np.ndarray = field(default_factory=lambda: np.zeros(0), repr=False)
    hazard: np.ndarray = field(default_factory=lambda: np.zeros(0), repr=False)
    remarks: tuple[str, ...] = ()

    @cached_property
    def effects(self) -> list[Effect]:
        """In the columns' order."""
        spread = np.sqrt(np.diag(self.covariance))
        told = []
        for name, beta, error in zip(self._design.names, self.coefficients, spread, strict=True):
            low, ratio, high = (float(np.exp(beta + by * error)) for by in (-SURE, 0.0, SURE))
            p = float(2 * norm.sf(abs(beta / error)))
            told.append(Effect(name, float(beta), float(error), ratio, low, high, p))
        return told

    @property
    def rows(self) -> int:
        return sum(part.rows for part in self.silos.values())

    @property
    def p(self) -> float:
        """Of the likelihood ratio test against no effect at all."""
        return float(chi2.sf(2 * (self.log_likelihood - self.log_likelihood_at_0), len(self.coefficients)))

    def table(self) -> pd.DataFrame:
        """The effects, one a row, by name."""
        return pd.DataFrame([asdict(effect) for effect in self.effects]).set_index("name")

    def risk(self, table: pd.DataFrame) -> np.ndarray:
        """How many times the hazard of a row at the centre each row has, shape (rows,).

        The centre: numbers as agreed of the silos, no, and each column's first category. Rows of other baselines
        are compared as though these were the same. nan where a value is missing, or a category is unknown. Other
        columns are let be. Raises SchemaError for a column that is missing, or of another kind.
        """
        X, _ = self.schema.conform(table, strict=False)
        return np.asarray(np.exp(self._design.matrix(X) @ self.coefficients))

    def survival(self, table: pd.DataFrame) -> np.ndarray:
        """The probability that it has not happened to a row by each of `times`, shape (rows, times): exp(-H0(t) risk).

        Raises ValueError where each silo has its own baseline, which nobody else knows.
        """
        if self.baseline != "common":
            raise ValueError("each silo keeps its own baseline; ask for cox(…, baseline='common', times=…).")
        return np.asarray(np.exp(-self.risk(table)[:, None] * np.cumsum(self.hazard)))

    def __str__(self) -> str:
        lines = [f"{'':24} ratio   (95 % interval)      p"]
        for one in self.effects:
            lines.append(f"{one.name[:24]:24} {one.hazard_ratio:<7.3g} ({one.low:.3g} … {one.high:.3g})  {one.p:.2g}")
        agreed = "none" if self.concordance is None else f"{self.concordance:.3f}"
        lines.append(f"{self.rows:,} rows, {self.events:,} events, {len(self.silos)} silos; concordance {agreed}")
        return "\n".join([*lines, *(f"left out: {why}" for why in self.left_out.values()), *self.remarks])

    def to_json(self) -> dict[str, Any]:
        """Plain data; `from_json` reads it back equal."""
        plain = {
            name: getattr(self, name) for name in ("log_likelihood", "log_likelihood_at_0", "events", "concordance")
        }
        plain |= {"baseline": self.baseline, "steps": self.steps, "remarks": list(self.remarks)}
        arrays = {name: getattr(self, name).tolist() for name in ARRAYS}
        silos = {silo: asdict(part) for silo, part in self.silos.items()}
        effects = [asdict(effect) for effect in self.effects]
        return {
            "schema": self.schema.to_json(), **plain, **arrays, "silos": silos, "left_out": dict(self.left_out),
            "effects": effects,
        }  # fmt: skip

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        known = {name: value for name, value in data.items() if name != "effects"}  # they follow from the others
        arrays = {name: np.array(data[name], dtype=np.float64) for name in ARRAYS}
        silos = {silo: SiloPart(**part) for silo, part in data["silos"].items()}
        nouns = {"schema": Schema.from_json(data["schema"]), "silos": silos, "remarks": tuple(data["remarks"])}
        return cls(**{**known, **arrays, **nouns})

    def save(self, path: Path) -> None:
        """As one JSON file."""
        path.write_text(json.dumps(self.to_json(), indent=1, ensure_ascii=False), encoding="utf-8")

    @classmethod
    def load(cls, path: Path) -> Self:
        return cls.from_json(json.loads(path.read_text(encoding="utf-8")))

    @cached_property
    def _design(self) -> CoxDesign:
        return CoxDesign(self.schema, self.centre, np.ones(len(self.centre)))


ARRAYS = ("centre", "coefficients", "covariance", "times", "hazard")
