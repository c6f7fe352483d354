"""What guards a silo's rows: every message in and out of it passes here, is held to the list, and is written down."""

import logging
from pathlib import Path
from typing import ClassVar

from federated.audit import Audit
from federated.message import Message
from federated.policy import PolicyError
from federated.questions import SUMMING, Told, UnknownQuestionError
from federated.secure_aggregation.identity import Identity
from federated.secure_aggregation.member import Member
from federated.secure_aggregation.participant import WithdrawnError
from federated.source import Source, SourceError
from federated.strategies import StrategyError
from framework.privacy.accountant import PrivacyError

log = logging.getLogger(__name__)

AUDIT = "audit.jsonl"
Shapes = dict[str, tuple[int, ...]]


class Border:
    """A question of kind k is answered by the method _k, where `questions` has it; the steps of secure aggregation are
    the same for all silos and stand here.

    folder: of the silo's own, with its audit file. identity: to sign with.
    """

    questions: ClassVar[frozenset[str]] = SUMMING

    def __init__(self, source: Source, folder: Path | None = None, identity: Identity | None = None) -> None:
        self._source = source
        self._member = Member(identity) if identity is not None else None
        self._folder = folder
        self._audit: Audit | None = None
        if folder is not None:
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._audit = Audit(folder / AUDIT)

    def answer(self, request: bytes) -> bytes:
        """The answer to a message, both as bytes. A refusal and a failure are answers too: no exception leaves, since
        its text could hold a value."""
        sent = self.recorded(request)
        self.settle()
        return sent

    def recorded(self, request: bytes) -> bytes:
        """As `answer`, and its line is in the audit file. Nobody may have it before `settle`, which puts the line on
        the disk: so that silos of one host wait for the disk while others work."""
        asked = Message.from_bytes(request)
        try:
            if asked.kind not in self.questions:
                raise UnknownQuestionError(asked.kind)
            kind, facts, groups = getattr(self, f"_{asked.kind}")(asked)
            told = Message(kind, self._source.name, asked.round, facts, groups)
            told.check_leaving(self._shapes(), secure=self._hides(kind))
        except WithdrawnError as error:
            log.warning("round %d: %s", asked.round, error)
            told = Message("withdrawn", self._source.name, asked.round, {"reason": str(error)})
        except (PolicyError, PrivacyError, SourceError, StrategyError) as error:
            told = Message("refusal", self._source.name, asked.round, {"reason": str(error)})
        except Exception as error:  # the silo's own border
            log.exception("silo %r failed at %r", self._source.name, asked.kind)
            told = Message("failure", self._source.name, asked.round, {"type": type(error).__name__})
        sent = told.to_bytes()
        if self._audit is not None:
            self._audit.write(told, sent)
        return sent

    def settle(self) -> None:
        """Returns once the lines of all that was `recorded` are on the disk. Touches nothing else of the silo."""
        if self._audit is not None:
            self._audit.settle()

    def _share(self, asked: Message) -> Told:
        return self._summing().share(asked)

    def _mask(self, asked: Message) -> Told:
        return self._summing().mask(asked)

    def _consent(self, asked: Message) -> Told:
        return self._summing().consent(asked)

    def _unmask(self, asked: Message) -> Told:
        return self._summing().unmask(asked)

    def _summing(self) -> Member:
        if self._member is None:
            raise UnknownQuestionError("a step of secure aggregation, to a silo without a key")
        return self._member

    @property
    def _least(self) -> int:
        return self._source.policy.minimum_count

    def _hides(self, kind: str) -> bool:
        """Whether no message of this kind may tell of this silo alone."""
        return False

    def _shapes(self) -> Shapes | None:
        """Of the arrays that may leave as a model, a step of one, or a part of a sum."""
        return None


def folder_name(silo: str) -> str:
    """A silo's name as a folder's: what a path cannot hold is written as its code."""
    plain = "".join(c if c.isalnum() or c in "-_" else f"%{ord(c):02x}" for c in silo)
    return plain or "%"
