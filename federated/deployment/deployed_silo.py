"""A silo in a process of its own: as in a simulation, and it says what columns it holds, for one target alone."""

import logging
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

import pandas as pd

from cluster.user_error import UserError
from cluster.wire import Facts
from federated.message import Message
from federated.policy import PolicyError
from federated.questions import QUESTIONS, Told
from federated.secure_aggregation.identity import Identity
from federated.silo import Silo
from federated.source import Filed, SourceError
from framework.data.arrays import plain
from framework.data.schema import survey
from framework.data.source import open_table
from framework.data.values import text_of
from framework.problem import Problem

log = logging.getLogger(__name__)


class OutsideError(UserError):
    """A federation that ended without this silo."""


class UnreadableError(UserError):
    """A coordinator that does not speak as this version does."""


class DeployedSilo(Silo):
    """target: the only column that it lets be predicted: a coordinator elsewhere asks for no other. secure: it tells
    no update of its own, but its masked part of a sum, and takes no part in a federation that asks for more.

    refused: why it takes no part in the last federation any more; empty while it does.
    """

    questions: ClassVar[frozenset[str]] = QUESTIONS | {"describe"}

    def __init__(
        self,
        source: Filed,
        target: str,
        folder: Path | None = None,
        identity: Identity | None = None,
        *,
        secure: bool = False,
    ) -> None:
        super().__init__(source, folder, identity)
        self._table, self._target, self._secure = source, target, secure
        self.refused = ""

    def answer(self, request: bytes) -> bytes:
        """As `Silo`. Raises UnreadableError for bytes that are no message."""
        try:
            Message.from_bytes(request)
        except (ValueError, KeyError, TypeError) as error:
            raise UnreadableError(
                f"the coordinator sent {len(request):,} bytes that are no question of this version ({error})."
            ) from error
        sent = super().answer(request)
        told = Message.from_bytes(sent)
        if told.kind == "joined":
            self.refused = ""
        if told.kind == "refusal":
            self.refused = str(told.facts["reason"])
            log.warning("%s", self.refused)
        return sent

    def check(self) -> None:
        """Opens the rows once. Raises what whoever starts the silo can mend: no such table, no such column."""
        self._frame()

    def check_part(self) -> None:
        """Raises OutsideError where it did not take part to the end."""
        if self.refused:
            raise OutsideError(f"the federation went on without silo {self._table.name!r}: {self.refused}")

    def _join(self, asked: Message) -> Told:
        job = asked.facts["job"]
        self._check_target(job["target"])
        self._check_model(job)
        if self._secure and not job["secure"]:
            raise PolicyError(
                f"silo {self._table.name!r} takes part in secure aggregation alone, and was asked for updates in the "
                f"clear."
            )
        return super()._join(asked)

    def _describe(self, asked: Message) -> Told:
        """Names and kinds of the columns that the policy lets be used, and labels of `minimum_count` rows or more."""
        self._check_target(asked.facts["target"])
        policy, frame = self._table.policy, self._frame()
        if len(frame) < policy.minimum_rows:
            raise PolicyError(
                f"silo {self._table.name!r} has fewer than {policy.minimum_rows} rows, and tells nothing."
            )
        hidden = [name for name in frame.columns if policy.columns is not None and name not in policy.columns]
        problem, labels = self._question(frame)
        schema, _ = survey(frame, replace(problem, ignored=tuple(name for name in hidden if name != self._target)))
        columns = {column.name: column.kind for column in schema.columns if column.kind != "text"}
        return "described", {"columns": columns, "labels": labels, "classified": problem.classified}, {}

    def _question(self, frame: pd.DataFrame) -> tuple[Problem, list[str]]:
        """What the target asks, and the labels that may be named."""
        problem = Problem.infer(frame, self._target)
        if not problem.classified:
            return problem, []
        counts = Counter(text_of(value) for value in plain(frame[self._target]))
        least = self._table.policy.minimum_count
        return problem, sorted(text for text, rows in counts.items() if text is not None and rows >= least)

    def _check_model(self, job: Facts) -> None:
        """Raises PolicyError for another kind of model than this silo was started for."""
        if "duration" in job:
            raise PolicyError(
                f"silo {self._table.name!r} takes part in nets, and was asked for a Cox model. Its owner starts it for "
                f"one by --duration."
            )

    def _check_target(self, target: str) -> None:
        if target != self._target:
            raise PolicyError(f"silo {self._table.name!r} lets {self._target!r} be predicted, and no other column.")
        allowed = self._table.policy.columns
        if allowed is not None and target not in allowed:
            raise PolicyError(f"silo {self._table.name!r} does not let the column {target!r} be used.")

    def _frame(self) -> pd.DataFrame:
        frame = open_table(self._table.table).frame
        if self._target not in frame.columns:
            raise SourceError(f"silo {self._table.name!r} has no column {self._target!r}.")
        return frame
