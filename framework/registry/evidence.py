"""All that is known of a winner at the moment it is registered, as plain data: what its model card is written from."""

import json
import shlex
import sys
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from framework.data.frame import Truth
from framework.data.sketch import RowSketch, digest, row_hashes
from framework.metric import metric
from framework.predictor import Predictor
from framework.provenance import provenance
from framework.tracking import shown

if TYPE_CHECKING:
    from framework.data.split import Split
    from framework.explanation import Explanation
    from framework.leaderboard import Leaderboard, Winner

BIN_ROWS = 20  # test rows in one line of the reliability table, at least
MOST_BINS = 10
LONGEST = 90_000  # letters of a tag; MLflow takes 100,000


@dataclass(frozen=True)
class Evidence:
    """board, quality: as the contest's own files hold them; empty for a model that comes without its contest.

    scores: name as in MLflow → value. reliability: (probability told, share seen, rows) of test rows.
    seen: the rows that it has learned from or was chosen by. data: a digest of all rows, whatever their order and
    split; "" where they are not at hand. command: the recipe's command line; "" outside of one.
    """

    predictor: Predictor
    scores: dict[str, float] = field(default_factory=dict)
    board: dict[str, Any] = field(default_factory=dict)
    quality: tuple[str, ...] = ()
    source: str = ""
    explanation: dict[str, Any] = field(default_factory=dict)
    reliability: tuple[tuple[float, float, int], ...] = ()
    seen: RowSketch | None = None
    data: str = ""
    config: dict[str, Any] = field(default_factory=dict)
    command: str = ""
    environment: dict[str, str] = field(default_factory=provenance)

    def tags(self) -> dict[str, str]:
        """What the version is found and compared by."""
        problem, schema = self.predictor.problem, self.predictor.schema
        told = {**self.predictor.facts, "problem": problem.name, "kind": problem.kind, "metric": problem.metric}
        told |= {"target": problem.target, "data_source": self.source, "data_digest": self.data}
        told |= {key: value for key, value in self.environment.items() if not key.startswith("version_")}
        told |= {name: f"{value:.6g}" for name, value in self.scores.items()}
        marks = {key: str(value)[:500] for key, value in told.items() if value not in ("", None)}
        columns = {column.name: column.kind for column in schema.columns}
        classes = [str(label) for label in schema.classes]
        asked = {"kind": problem.kind, "target": problem.target, "classes": classes, "columns": columns}
        schema_text = json.dumps(asked, ensure_ascii=False)
        return {**marks, **({"schema": schema_text} if len(schema_text) < LONGEST else {})}


def gather(
    predictor: Predictor,
    *,
    board: "Leaderboard | None" = None,
    winner: "Winner | None" = None,
    explanation: "Explanation | None" = None,
    config: dict[str, Any] | None = None,
) -> Evidence:
    """What a contest's board and its winner say of a predictor; less where there is only the one or the other."""
    told = explanation.to_json() if explanation is not None else {}
    known: dict[str, Any] = {"scores": _scores(predictor, board, winner), "explanation": told, "config": config or {}}
    if board is not None:
        seen, every = _hashes(board.split)
        known |= {"board": board.to_json(), "quality": tuple(board.split.quality.lines()), "source": board.split.source}
        known |= {"seen": RowSketch.of(seen), "data": digest(every) if board.split.fold.shards is None else ""}
        if winner is not None and predictor.problem.classified:
            known["reliability"] = reliability(board.split.test.truth, winner.predicted)
    return Evidence(predictor, **known, command=_command())


def reliability(truth: Truth, predicted: np.ndarray) -> tuple[tuple[float, float, int], ...]:
    """How often what was told came true: (mean probability told, share seen, rows) in bins of as many rows each.

    Of two classes the second one's probability, of more the likeliest one's. predicted: shape (rows, classes).
    Empty for too few rows.
    """
    bins = min(MOST_BINS, len(truth) // BIN_ROWS)
    if bins < 2:
        return ()
    two, y = predicted.shape[1] == 2, np.asarray(truth.y)
    told = predicted[:, 1] if two else predicted.max(axis=1)
    came = (y == 1) if two else (predicted.argmax(axis=1) == y)
    groups = np.array_split(np.argsort(told, kind="stable"), bins)
    return tuple((float(told[rows].mean()), float(came[rows].mean()), len(rows)) for rows in groups)


def _scores(predictor: Predictor, board: "Leaderboard | None", winner: "Winner | None") -> dict[str, float]:
    scored = metric(predictor.problem.metric).name
    found: dict[str, float] = {}
    if (validated := predictor.facts.get("validation_score")) is not None:
        found[f"validation/{scored}"] = float(validated)
    if board is not None and winner is not None:
        entry = next((each for each in board.entries if each.name == winner.name), None)
        if entry is not None:
            ends = {"_low": entry.interval.low, "_high": entry.interval.high}
            found |= {f"validation/{scored}": entry.score}
            found |= {f"validation/{scored}{end}": value for end, value in ends.items()}
    if winner is not None:
        ends = {"": winner.test_score, "_low": winner.test_interval.low, "_high": winner.test_interval.high}
        found |= {f"test/{scored}{end}": value for end, value in ends.items()}
    return {name: value for name, value in found.items() if np.isfinite(value)}


def _hashes(split: "Split") -> tuple[np.ndarray, np.ndarray]:
    """Of the rows learned from or chosen by, and of all rows; of rows in shards the sample that is at hand."""
    seen = [row_hashes(part.X, part.truth.y) for part in (split.fold.train, split.fold.valid) if len(part)]
    tested = [row_hashes(split.test.X, split.test.truth.y)] if len(split.test) else []
    return np.concatenate(seen), np.concatenate([*seen, *tested])


def _command() -> str:
    """The recipe's command line that this process was started by, passwords hidden; "" in a notebook or a test."""
    words = sys.orig_argv
    for place, word in enumerate(words[:-1]):
        if word == "-m" and words[place + 1].startswith("recipes."):
            return shown(shlex.join(["python", *words[place:]]))
    return ""
