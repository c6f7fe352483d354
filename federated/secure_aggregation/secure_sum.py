"""One sum asked of silos, step by step, through an exchange or whatever else asks them."""

import secrets
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Literal, Protocol, TypeVar

import numpy as np

from cluster.wire import Arrays
from federated.federation_error import FederationError
from federated.message import Message
from federated.secure_aggregation.advert import Advert, as_array, as_bytes
from federated.secure_aggregation.collector import Collector, Refused, SumError
from federated.secure_aggregation.contribution import TAIL, Contribution
from federated.secure_aggregation.fixed_point import TOLERANCE, FixedPointError
from federated.secure_aggregation.identity import Registry
from federated.secure_aggregation.member import with_rules
from federated.secure_aggregation.participant import Opened
from federated.secure_aggregation.rules import REACH, Rules, RulesError, session_of

Part = TypeVar("Part")
FINEST = 2.0**-61  # · reach · silos²: how far off 64 bits may leave a sum, each silo's part rounded


class Asking(Protocol):
    """What asks silos and hears them, as `Exchange` does."""

    def ask(self, question: Message, silos: Sequence[str], *, expected: str) -> Mapping[str, Message]:
        """The answers of this kind that came, by silo."""
        ...

    def ask_each(self, questions: Mapping[str, Message], *, expected: str) -> Mapping[str, Message]:
        """As `ask`, each silo a question of its own."""
        ...

    def note(self, round_: int, silo: str, what: Literal["refused"], why: str = "") -> None:
        """Something that a person should know."""
        ...

    def reasons(self, round_: int) -> str:
        """What became of the silos that did not answer in this round."""
        ...


class SecureSum:
    """rows: of each silo that takes part; what silos say of themselves before the first round. run: the federation."""

    def __init__(self, exchange: Asking, registry: Registry, rows: Mapping[str, int], run: str) -> None:
        self._exchange, self._registry, self._rows, self._run = exchange, registry, rows, run

    def ask(
        self, question: Message, like: Arrays, alike: Arrays | None = None, *, tolerance: float = TOLERANCE
    ) -> tuple[Contribution, list[str]]:
        """The mean of what the silos answer the question with, and the silos that are in it.

        like: arrays that the updates look like; none where only a score is asked. alike: as `Contribution` has them.
        tolerance: of the sum.
        Raises FederationError when a step leaves too few silos to open the sum, naming the step and what became of the
        others.
        """
        with self._told(question.round):
            rules = self._rules(weight=self._most, reach=REACH, tolerance=tolerance)
            plain = alike or {}
            length = sum(array.size for array in (*like.values(), *plain.values())) + TAIL
            total, silos = self._opened(question, length, rules)
            return Contribution.mean(total, like, rules, alike=plain, silos=len(silos)), silos

    def total(self, question: Message, length: int, *, reach: float) -> tuple[np.ndarray, list[str]]:
        """The sum of the `Figures` that the silos answer with, float64, shape (length,), and the silos that are in it.

        reach: of a figure over the rows of the largest silo; the sum is as exact as 64 bits with such reach allow.
        Raises FederationError as `ask`.
        """
        with self._told(question.round):
            rules = self._rules(weight=self._most, reach=reach, tolerance=FINEST * reach * len(self._rows) ** 2)
            total, silos = self._opened(question, length, rules)
            return total * rules.weight, silos

    def counts(self, question: Message, length: int) -> tuple[np.ndarray, list[str]]:
        """As `total`, of counts of rows: exact."""
        with self._told(question.round):
            rules = self._rules(weight=1.0, reach=self._most, tolerance=0.25)
            total, silos = self._opened(question, length, rules)
            return np.rint(total), silos

    @property
    def _most(self) -> float:
        return float(max(self._rows.values(), default=1))

    def _rules(self, *, weight: float, reach: float, tolerance: float) -> Rules:
        nonce = secrets.token_hex(16)
        silos, registry = len(self._rows), self._registry
        return Rules.of(silos, registry, weight=weight, nonce=nonce, reach=reach, tolerance=tolerance)

    @contextmanager
    def _told(self, round_: int) -> Iterator[None]:
        """What ends a sum ends the federation, with what became of its silos."""
        try:
            yield
        except (SumError, RulesError, FixedPointError) as error:
            raise FederationError(
                f"secure aggregation of round {round_}: {error} ({self._exchange.reasons(round_)})."
            ) from None

    def _opened(self, question: Message, length: int, rules: Rules) -> tuple[np.ndarray, list[str]]:
        question = with_rules(question, rules)
        collector = Collector(session_of(question.to_bytes(), self._run), rules, self._registry, length)
        return self._steps(question, collector), collector.survivors

    def _steps(self, question: Message, collector: Collector) -> np.ndarray:
        round_ = question.round
        told = self._exchange.ask(question, list(self._rows), expected="advert")
        keys = self._read(told, lambda m: Advert.from_arrays(m.groups["keys"]), round_)
        self._note(collector.take_adverts(keys), round_)

        passed_on = {silo: advert.to_arrays() for silo, advert in collector.adverts.items()}
        told = self._exchange.ask(Message("share", round=round_, groups=passed_on), list(passed_on), expected="sealed")
        boxes = self._read(told, lambda m: as_bytes(m.groups["sealed"]), round_)
        self._note(collector.take_sealed(boxes), round_)

        each = {silo: self._sealed_for(silo, collector, round_) for silo in collector.sharing}
        told = self._exchange.ask_each(each, expected="masked")
        vectors = self._read(told, lambda m: m.groups["masked"]["vector"], round_)
        self._note(collector.take_masked(vectors), round_)

        asked = Message("consent", round=round_, facts={"survivors": collector.survivors})
        told = self._exchange.ask(asked, collector.survivors, expected="consent")
        words = self._read(told, lambda m: m.groups["consent"]["signature"].tobytes(), round_)
        self._note(collector.take_consents(words), round_)

        signatures = {silo: as_array(word) for silo, word in collector.consents.items()}
        asked = Message("unmask", round=round_, groups={"consents": signatures})
        told = self._exchange.ask(asked, list(signatures), expected="unmasked")
        opened = self._read(told, lambda m: Opened(as_bytes(m.groups["seeds"]), as_bytes(m.groups["keys"])), round_)
        total, refused = collector.total(opened)
        self._note(refused, round_)
        return total

    def _sealed_for(self, silo: str, collector: Collector, round_: int) -> Message:
        boxes = {sender: as_array(box) for sender, box in collector.sealed_for(silo).items()}
        return Message("mask", round=round_, groups={"sealed": boxes})

    def _read(self, told: Mapping[str, Message], part: Callable[[Message], Part], round_: int) -> dict[str, Part]:
        """A part of each answer; silos whose answers lack it are left out and named."""
        found: dict[str, Part] = {}
        for silo, answer in sorted(told.items()):
            try:
                found[silo] = part(answer)
            except KeyError as error:
                self._note({silo: f"silo {silo!r} sent a message {answer.kind!r} without {error}."}, round_)
        return found

    def _note(self, refused: Refused, round_: int) -> None:
        for silo, why in refused.items():
            self._exchange.note(round_, silo, "refused", why)
