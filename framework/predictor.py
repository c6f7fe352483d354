"""A fitted model with the schema of the rows it takes: raw rows in, answers out; one folder on disk."""

import hashlib
import json
import shutil
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from cluster.user_error import UserError
from framework.conformal import Band
from framework.contender import Model
from framework.data.schema import Schema
from framework.monitoring.reference import Reference
from framework.problem import Problem

FORMAT = 1
CARD = "predictor.json"
REFERENCE = "reference.json"


class ModelFolderError(UserError):
    """A model folder that is missing, cut short, changed, or of another format."""


@dataclass(frozen=True)
class Predictor:
    """Raw rows in, answers out. What `DIR/model` holds, what is registered and what is served.

    facts: where it comes from: fingerprint, seed, versions, commit; plain data.
    band: the interval around each value; None: there is none, or the answer is no value.
    reference: what its training rows looked like, for telling a drift; None: it was not kept.
    """

    name: str
    problem: Problem
    schema: Schema
    model: Model
    facts: dict[str, Any] = field(default_factory=dict)
    band: Band | None = None
    reference: Reference | None = field(default=None, repr=False)

    def predict(self, raw: pd.DataFrame, *, strict: bool = False) -> tuple[pd.DataFrame, list[str]]:
        """One answer a row, and a sentence for each thing worth knowing about the rows.

        Columns: `prediction` (a label, a value, or a cluster), and `proba_<class>` for every class, or, where there
        is a band, `prediction_low` and `prediction_high`.
        strict: an unknown column is an error. Raises SchemaError for rows that do not fit.
        """
        X, warnings = self.schema.conform(raw, strict=strict)
        return self.answer(self.model.predict(X), X), warnings

    def answer(self, predicted: np.ndarray, X: pd.DataFrame) -> pd.DataFrame:
        """A model's output in the words of the table it was trained on. X: the rows, conformed."""
        if not self.problem.classified:
            told = {"prediction": predicted}
            if self.band is not None:
                told["prediction_low"], told["prediction_high"] = self.band.around(predicted, X)
            return pd.DataFrame(told)
        labels = np.array(self.schema.classes, dtype=object)
        answers: dict[str, Any] = {"prediction": pd.Series(labels[predicted.argmax(axis=1)]).infer_objects()}
        answers |= {f"proba_{label}": predicted[:, code] for code, label in enumerate(self.schema.classes)}
        return pd.DataFrame(answers)

    def save(self, folder: Path | str) -> Path:
        """Writes the folder whole or not at all; an older one at the same place is replaced."""
        from framework.contenders.store import store_model

        home = Path(folder).resolve()
        part = home.with_name(home.name + ".part")
        shutil.rmtree(part, ignore_errors=True)
        (part / "model").mkdir(parents=True)
        store_model(self.model, part / "model")
        if self.reference is not None:
            (part / REFERENCE).write_text(json.dumps(self.reference.to_json()), encoding="utf-8")
        card = {
            "format": FORMAT,
            "name": self.name,
            "problem": asdict(self.problem),
            "schema": self.schema.to_json(),
            "facts": self.facts,
            "band": None if self.band is None else self.band.to_json(),
            "files": {path: _digest(part / path) for path in _files(part)},
        }
        (part / CARD).write_text(json.dumps(card, indent=1, ensure_ascii=False, default=str), encoding="utf-8")
        if home.exists():
            shutil.rmtree(home)
        part.rename(home)
        return home

    @classmethod
    def open(cls, folder: Path | str) -> "Predictor":
        """Reads what `save` wrote. Raises ModelFolderError saying which part is missing, cut short or changed."""
        from framework.contenders.store import open_model

        home = Path(folder)
        card = _card(home)
        for path, digest in card["files"].items():
            if not (home / path).is_file():
                raise ModelFolderError(f"model folder {home} is cut short: {path} is missing. Save or copy it again.")
            if _digest(home / path) != digest:
                raise ModelFolderError(f"model folder {home} is damaged: {path} is not what was saved. Copy it again.")
        problem = Problem(**{**card["problem"], "ignored": tuple(card["problem"]["ignored"])})
        schema, model = Schema.from_json(card["schema"]), open_model(home / "model")
        return cls(card["name"], problem, schema, model, card["facts"], _band(home, card), _reference(home, card))


def _card(home: Path) -> dict[str, Any]:
    if not home.is_dir():
        raise ModelFolderError(f"there is no model folder at {home}. Pass the `model` folder of a run's --out DIR.")
    if not (home / CARD).is_file():
        inside = home / "model"
        hint = f" Did you mean {inside}?" if (inside / CARD).is_file() else ""
        raise ModelFolderError(f"{home} is no model folder: it holds no {CARD}.{hint}")
    try:
        card = json.loads((home / CARD).read_text(encoding="utf-8"))
        found = card["format"]
        missing = {"name", "problem", "schema", "facts", "files"} - set(card)
    except (ValueError, KeyError, TypeError) as error:
        raise ModelFolderError(f"model folder {home} is cut short: {CARD} does not parse ({error}).") from error
    if found != FORMAT:
        raise ModelFolderError(f"model folder {home} has format {found}; this version reads format {FORMAT}.")
    if missing:
        raise ModelFolderError(f"model folder {home} is cut short: {CARD} lacks {', '.join(sorted(missing))}.")
    return dict(card)


def _band(home: Path, card: dict[str, Any]) -> Band | None:
    """The intervals of a model folder; one written before there were any has none."""
    if card.get("band") is None:
        return None
    try:
        return Band.from_json(card["band"])
    except (KeyError, TypeError, ValueError) as error:
        raise ModelFolderError(
            f"model folder {home} is damaged: the band of {CARD} does not parse ({error})."
        ) from error


def _reference(home: Path, card: dict[str, Any]) -> Reference | None:
    """The training reference of a model folder; one written before there were any has none."""
    if REFERENCE not in card["files"]:
        return None
    return Reference.from_json(json.loads((home / REFERENCE).read_text(encoding="utf-8")))


def _files(home: Path) -> list[str]:
    return sorted(str(path.relative_to(home)) for path in home.rglob("*") if path.is_file())


def _digest(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
