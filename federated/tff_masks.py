"""Rounds of TFF's silos of which the coordinator learns sums alone: part of the far half, in the Env "tff".

At its top it imports only what both interpreters have.
"""

import secrets
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from federated.message import Message
from federated.secure_aggregation.identity import Registry
from federated.secure_aggregation.secure_sum import SecureSum

FINE = 1e-10  # of a sum: adaptive optimizers make large steps of small changes
Call = Callable[[dict[str, bytes]], dict[str, bytes]]  # silo → its question, to silo → its answer, of those that answer


class MaskedRounds:
    """rows: silo → what its update is counted by; alike: each counts as one. registry: silo → its public key.

    notes: what a person should know of silos that were left out of a sum.
    """

    def __init__(self, call: Call, registry: Registry, rows: Mapping[str, int], *, alike: bool) -> None:
        self.call, self.alike = call, alike
        self.run, self.notes = secrets.token_hex(8), list[str]()
        self._why: dict[tuple[int, str], str] = {}
        self._sums = SecureSum(self, registry, rows, self.run)

    def round(self, sent: bytes, number: int, *, last: bool) -> tuple[float | None, list[bytes]]:
        """How the weights answer the silos' rows to stop by, None where nobody says, and the mean update of those that
        are in the sum, as one silo's; where each counts alike once for each of them: their sum is then the silos' own,
        and TFF's noise is drawn once. Of the last round no update.

        Raises FederationError where too few silos stay in the sum.
        """
        weights = Message.from_bytes(sent).groups["weights"]
        asked = {"last": last, "run": self.run}
        question = Message("train", round=number, facts=asked, groups={"weights": weights})
        mean, silos = self._sums.ask(question, {} if last else weights, tolerance=FINE)
        score = None if np.isnan(mean.loss) else mean.loss
        if last:
            return score, []
        delta = {name: array.astype(weights[name].dtype) for name, array in mean.delta.items()}
        told = Message("update", f"the mean of {len(silos)}", number, {"rows": mean.rows}, {"delta": delta})
        return score, [told.to_bytes()] * (len(silos) if self.alike else 1)

    def ask(self, question: Message, silos: Sequence[str], *, expected: str) -> dict[str, Message]:
        return self.ask_each(dict.fromkeys(silos, question), expected=expected)

    def ask_each(self, questions: Mapping[str, Message], *, expected: str) -> dict[str, Message]:
        answers: dict[str, Message] = {}
        told = self.call({silo: question.to_bytes() for silo, question in questions.items()})
        for silo, question in questions.items():
            if silo not in told:
                self.note(question.round, silo, "refused", "its process is gone")
                continue
            answer = Message.from_bytes(told[silo])
            if (answer.silo, answer.kind) == (silo, expected):
                answers[silo] = answer
            else:
                why = str(answer.facts.get("reason") or f"it answered {question.kind!r} by {answer.kind!r}")
                self.note(question.round, silo, "refused", why)
        return answers

    def note(self, round_: int, silo: str, what: str, why: str = "") -> None:
        if (round_, silo) not in self._why:
            self.notes.append(f"round {round_}: silo {silo!r} {what}: {why}")
        self._why[round_, silo] = why

    def reasons(self, round_: int) -> str:
        told = [f"{silo}: {why}" for (number, silo), why in self._why.items() if number == round_]
        return "; ".join(told[:5]) or "nobody knows why"
