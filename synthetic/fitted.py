"""What a synthesizer leaves behind: a table's codecs, its constraints, and what an engine has learned of it."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from cluster.user_error import UserError
from framework.contender import Context
from framework.plain import write_json
from synthetic.codec import Numbers
from synthetic.condition_error import ConditionError
from synthetic.constraints import Constraint, Inequality, called, check, from_json, to_json
from synthetic.layout import Layout
from synthetic.synthesizer import Allowed, Core, Filling, Learned, Synthesizer, seeded
from synthetic.table import TableCodec

CARD, CORE = "synthesizer.json", "core"
BLOCK = 8_192  # rows drawn at once
LEAST_BLOCK = 16
MOST_TRIES = 200  # rows drawn for each that is asked for, at most
LEAST_TRIES = 20_000


class SynthesizerStoreError(UserError):
    """A folder that holds no synthesizer, or one that may not be opened."""


class SamplingError(UserError):
    """Rows that were drawn and drawn, and never met what was asked."""


@dataclass(frozen=True)
class Fitted:
    """Draws rows of one table.

    facts: plain data for whoever reads the model: engine, licence, rows learned from, seed.
    """

    table: TableCodec
    layout: Layout
    constraints: tuple[Constraint, ...]
    core: Core
    facts: Mapping[str, Any] = field(default_factory=dict)

    def sample(self, n: int, conditions: Mapping[str, Any] | None = None, *, seed: int = 0) -> pd.DataFrame:
        """n rows: columns, order and dtypes of the table learned from; every constraint and condition holds in each.

        conditions: column → the value that it has in all rows; None: missing.
        The same n, conditions and seed give the same rows, in any process. Raises ConditionError, before anything is
        drawn, for a value that was never seen or that a constraint forbids; SamplingError where rows are not found.
        """
        if n < 0:
            raise ConditionError(f"{n} rows were asked for; ask for 0 or more.")
        asked = self.table.read(conditions or {})
        allowed = self.layout.allowed(asked, self.table)
        self._check(asked)
        found: list[pd.DataFrame] = []
        have = drawn = block = 0
        held = np.zeros(len(self.constraints) + 1)
        sure = self.core.exact and not self.constraints  # each row that is drawn is kept: none is made for nothing
        while have < n or not found:
            rate = max(have / drawn, 1 / 64) if drawn else 1.0
            rows = int(np.clip((n - have) / rate * 1.1 + 4, LEAST_BLOCK, BLOCK))
            places = self.core.draw(rows, allowed, int(seeded(seed, block).integers(2**62)))
            frame, fits = self._made(places[: n - have] if sure else places, asked, allowed)
            held += fits.sum(axis=1)
            kept = np.asarray(fits.all(axis=0))
            found.append(frame if kept.all() else frame.iloc[np.flatnonzero(kept)].reset_index(drop=True))
            have, drawn, block = have + int(kept.sum()), drawn + rows, block + 1
            if have < n and drawn >= max(LEAST_TRIES, MOST_TRIES * n):
                raise self._not_found(n, have, drawn, held, conditions or {})
        whole = pd.concat(found, ignore_index=True) if len(found) > 1 else found[0]
        return whole.iloc[:n].reset_index(drop=True) if len(whole) > n else whole

    def impute(self, frame: pd.DataFrame, *, seed: int = 0) -> pd.DataFrame:
        """The table with its missing values drawn given the others, each row holding to the constraints.

        A value that was never seen counts as missing. Raises ConditionError for an engine that cannot.
        """
        from synthetic.filled import filled

        return filled(self, self._filling("fill in missing values"), frame, seed)

    def log_likelihood(self, frame: pd.DataFrame) -> np.ndarray:
        """How likely each row is, in nats, shape (rows,): of its categories and of its numbers' bins; -inf for a
        combination that was never seen. Raises ConditionError for an engine that cannot tell."""
        core = self._filling("tell how likely a row is")
        places = self.layout.reduce(self.table.encode(frame))
        told = np.full(len(places), -np.inf)
        seen = ~np.isnan(places).any(axis=1)
        told[seen] = core.log_likelihood(places[seen])
        return told

    def save(self, folder: Path) -> None:
        """Writes it into an existing empty folder as plain data; predicates are left out, being code."""
        (folder / CORE).mkdir()
        self.core.save(folder / CORE)
        kind = type(self.core)
        card = {
            "core": f"{kind.__module__}:{kind.__qualname__}",
            "table": self.table.to_json(),
            "layout": self.layout.to_json(),
            "constraints": to_json(self.constraints),
            "facts": dict(self.facts),
        }
        write_json(folder / CARD, card)

    @classmethod
    def load(cls, folder: Path, constraints: Sequence[Constraint] = ()) -> "Fitted":
        """What `save` wrote. constraints: further ones, such as a predicate.

        Raises SynthesizerStoreError where there is none, or one of another project's; OSError, ValueError or KeyError
        where a part is missing or cut short.
        """
        path = Path(folder) / CARD
        if not path.is_file():
            raise SynthesizerStoreError(f"{folder} holds no {CARD}: it is no synthesizer, or was cut short.")
        told = json.loads(path.read_text(encoding="utf-8"))
        module, _, name = str(told["core"]).partition(":")
        if not module.startswith("synthetic.") or not name.isidentifier():
            raise SynthesizerStoreError(
                f"{path} asks for {told['core']!r}, which is not ours. Do not trust this folder."
            )
        core: Core = getattr(import_module(module), name).load(Path(folder) / CORE)
        kept = (*from_json(told["constraints"]), *constraints)
        layout = Layout.from_json(told["layout"], kept)
        return cls(TableCodec.from_json(told["table"]), layout, kept, core, told["facts"])

    def _made(
        self, places: np.ndarray, asked: Mapping[int, tuple[int, Any]], allowed: Allowed
    ) -> tuple[pd.DataFrame, np.ndarray]:
        """Rows, and whether each constraint and, last, the conditions hold in each: shape (constraints + 1, rows)."""
        frame = self.layout.finish(self.table.decode(self.layout.expand(places)), self.table)
        for place, (_, value) in asked.items():
            codec = self.table.codecs[place]
            if isinstance(codec, Numbers) and value is not None:
                frame[codec.name] = codec.column(np.full(len(frame), value))
        met = np.ones(len(frame), dtype=bool)
        if not self.core.exact:
            for part, mask in allowed.items():
                met &= mask[0][places[:, part].astype(np.int64)]
        return frame, np.stack([*(each.holds(frame) for each in self.constraints), met])

    def _check(self, asked: Mapping[int, tuple[int, Any]]) -> None:
        """Raises ConditionError where the conditions alone, or with the range of another column, break a constraint."""
        names = {self.table.names[place]: value for place, (_, value) in asked.items()}
        for constraint in self.constraints:
            given = {name: names[name] for name in constraint.columns if name in names}
            if isinstance(constraint, Inequality) and len(given) == 1:
                given |= self._bound(constraint, given)
            if not given or len(given) < len(constraint.columns):
                continue
            row = {name: self._cell(name, value) for name, value in given.items()}
            if not constraint.holds(pd.DataFrame(row)).all():
                told = " and ".join(f"{name}={names[name]}" for name in constraint.columns if name in names)
                raise ConditionError(f"no row can have {told}: {called(constraint)} forbids it. Drop one of the two.")

    def _bound(self, constraint: Inequality, given: Mapping[str, Any]) -> dict[str, Any]:
        """The other side's value that makes an inequality easiest to hold; nothing where it may be missing."""
        other = constraint.high if constraint.low in given else constraint.low
        codec = self.table[other]
        if not isinstance(codec, Numbers) or codec.missing or next(iter(given.values())) is None:
            return {}
        ends = [*codec.atoms, *codec.grids[:, 0], *codec.grids[:, -1]]
        return {other: max(ends) if other == constraint.high else min(ends)}

    def _cell(self, name: str, value: Any) -> pd.Series:
        codec = self.table[name]
        if isinstance(codec, Numbers):
            return codec.column(np.array([np.nan if value is None else value]))
        return pd.Series([value], dtype=object)

    def _not_found(
        self, n: int, have: int, drawn: int, held: np.ndarray, conditions: Mapping[str, Any]
    ) -> SamplingError:
        worst = int(held.argmin())
        which = called(self.constraints[worst]) if worst < len(self.constraints) else "the conditions"
        told = f" with {', '.join(f'{k}={v}' for k, v in conditions.items())}" if conditions else ""
        return SamplingError(
            f"{have} of {n} rows were found{told} among {drawn:,} drawn: {which} held in {held[worst] / drawn:.3%} of "
            f"them. Ask for less, or take the engine 'ar', which meets conditions exactly."
        )

    def _filling(self, what: str) -> Filling:
        if not isinstance(self.core, Filling):
            raise ConditionError(f"the engine {self.facts.get('engine')!r} cannot {what}. Take 'ar' or 'copula'.")
        return self.core


def learn(
    frame: pd.DataFrame,
    constraints: Sequence[Constraint],
    fit: "Callable[[Learned], Core]",
    **facts: Any,
) -> Fitted:
    """A table read, its constraints checked on it, and what `fit` made of its places.

    Raises ColumnError, DataError and ConstraintError, as `Synthesizer.fit`.
    """
    table = TableCodec.learn(frame)
    kept = tuple(constraints)
    check(kept, frame)
    places = table.encode(frame)
    layout = Layout.learn(table, places, kept)
    codecs = tuple(layout.single(at, table) for at in range(len(layout.parts)))
    core = fit(Learned(layout.reduce(places), layout.cards, codecs))
    return Fitted(table, layout, kept, core, {**facts, "rows": len(frame)})


def fit_by(
    engine: Synthesizer,
    frame: pd.DataFrame,
    constraints: Sequence[Constraint],
    context: Context | None,
    core: Callable[[Learned, Context], Core],
) -> Fitted:
    """`Synthesizer.fit` of an engine: what `core` makes of the table's places, by the engine's name and licence."""
    given = context or Context()
    facts = {"engine": engine.name, "seed": given.seed, "licence": engine.licence}
    return learn(frame, constraints, lambda rows: core(rows, given), **facts)
