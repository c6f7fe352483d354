"""The card that goes with a synthesizer: what it learned from, what it promises, how its rows were judged."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Self

import pandas as pd

from framework.data.sketch import digest
from framework.document import Block, Bullets, Document, Section, Table, Text
from framework.plain import write_json
from framework.tracking import shown
from synthetic.constraints import called
from synthetic.fidelity import Fidelity
from synthetic.fitted import Fitted
from synthetic.sharded import row_keys

FILE = "data_card.json"
UNTOLD = "ε covers neither scores nor a fingerprint of the rows: they stay with who holds these, in the report."
LIMITS = (
    "No score here is a proof of privacy; only an ε is, and the attacks are those that we know.",
    "The synthesizer tells more of its rows than rows drawn from it do: give away rows.",
    "It knows the rows that it learned from and what resembles them, and nothing of other places, people or times.",
)


@dataclass(frozen=True)
class DataCard:
    """Plain data. scores: as `Score` has them; None for a privately learned one, and so is `fingerprint`: a digest of
    the rows learned from and judged by, whatever their order.

    rows: learned from. seed: of the fit; None where the noise hangs on none. contestants: a line for each.
    """

    engine: str
    licence: str
    source: str
    rows: int
    columns: tuple[str, ...]
    seed: int | None
    epsilon: float | None
    delta: float | None
    constraints: tuple[str, ...]
    fingerprint: str | None
    passed: bool | None
    failed: tuple[str, ...]
    scores: tuple[Mapping[str, Any], ...] | None
    contestants: tuple[str, ...]
    versions: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(
        cls, fitted: Fitted, judged: Fidelity, table: pd.DataFrame, *, source: str, contestants: Sequence[object] = ()
    ) -> Self:
        """The card of a synthesizer that was judged. table: all its rows, learned from or held out."""
        from framework.provenance import provenance

        facts = fitted.facts
        private = facts.get("epsilon") is not None
        return cls(
            engine=str(facts["engine"]),
            licence=str(facts.get("licence") or ""),
            source=shown(source),
            rows=int(facts["rows"]),
            columns=fitted.table.names,
            seed=None if private else facts.get("seed"),
            epsilon=facts.get("epsilon"),
            delta=facts.get("delta"),
            constraints=tuple(called(each) for each in fitted.constraints),
            fingerprint=None if private else digest(row_keys(table)),
            passed=None if private else judged.passed,
            failed=() if private else tuple(judged.failed),
            scores=None if private else tuple(asdict(score) for score in judged.scores),
            contestants=() if private else tuple(map(str, contestants)),
            versions=provenance(),
        )

    @property
    def lead(self) -> str:
        """What it is, in a sentence or two."""
        private = f", (ε = {self.epsilon:g}, δ = {self.delta:g})-private" if self.epsilon is not None else ""
        verdict = {None: "", True: " Its rows passed the gate.", False: " Its rows FAILED the gate."}[self.passed]
        return f"{self.engine}, learned from {self.rows:,} rows of {self.source}{private}.{verdict}"

    def tags(self) -> dict[str, object]:
        """What a registered version is found and compared by."""
        return {
            "engine": self.engine, "licence": self.licence or "this project's own", "data_source": self.source,
            "rows": self.rows, "seed": self.seed, "epsilon": self.epsilon, "delta": self.delta,
            "data_digest": self.fingerprint, "passed": self.passed,
        }  # fmt: skip

    def metrics(self) -> dict[str, float]:
        """Scores by the names that MLflow takes."""
        letters = {"÷": "to", "%": "percent", "α": "alpha", "β": "beta"}
        told = {}
        for score in self.scores or ():
            if score["value"] is not None and not math.isnan(score["value"]):
                told["".join(letters.get(each, each) for each in score["name"])] = float(score["value"])
        return told

    def document(self, name: str) -> Document:
        """The same for people."""
        facts = {
            "engine": self.engine, "licence": self.licence or "this project's own", "learned from": self.source,
            "rows learned from": f"{self.rows:,}", "columns": ", ".join(self.columns),
            "seed": "none: its noise hangs on no seed" if self.seed is None else str(self.seed),
            "fingerprint of the rows": self.fingerprint or "not told", **self.versions,
        }  # fmt: skip
        promised = (
            "No differential privacy is promised."
            if self.epsilon is None
            else f"(ε, δ)-differential privacy, ε = {self.epsilon:g}, δ = {self.delta:g}. {UNTOLD}"
        )
        sections = [
            Section("What it is", (Table(("", ""), tuple(facts.items())),)),
            Section("Privacy", (Text(promised),)),
            Section("Scores", self._scores()),
            Section("The contest", (Bullets(self.contestants),) if self.contestants else ()),
            Section("Held in every row", (Bullets(self.constraints),) if self.constraints else ()),
            Section("Limits", (Bullets(LIMITS),)),
        ]
        return Document(name, self.lead, tuple(each for each in sections if each.blocks))

    def _scores(self) -> tuple[Block, ...]:
        if self.scores is None:
            return ()
        rows = tuple(
            (score["name"], _number(score["value"]), _number(score["ceiling"]), score["told"]) for score in self.scores
        )
        head = ("score", "synthetic", "real rows", "how to read it")
        table = Table(
            head, rows, (1, 2), caption="Beside each what real rows, as many, reach on the same held-out rows."
        )
        return (Bullets(self.failed), table) if self.failed else (table,)

    def write(self, folder: Path, name: str) -> None:
        """Writes `data_card.json`, and `card.html`, `card.md` and `card.json` for who shows it. Raises WriteError."""
        write_json(folder / FILE, asdict(self))
        self.document(name).write(folder, "card")

    @classmethod
    def from_json(cls, told: Mapping[str, Any]) -> Self:
        """What `write` wrote. Raises TypeError where something is missing."""
        lists = ("columns", "constraints", "failed", "contestants")
        scores = None if told["scores"] is None else tuple(told["scores"])
        return cls(**{**told, **{key: tuple(told[key]) for key in lists}, "scores": scores})


def _number(value: float | None) -> str:
    return "" if value is None or math.isnan(value) else f"{value:.3f}"
