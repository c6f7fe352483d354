"""What a party was asked, and whether what came back is an answer to it."""

from dataclasses import dataclass

import numpy as np

from federated.message import LEAVING, Message
from federated.vertical.plan import VerticalError


@dataclass(frozen=True)
class Question:
    """kind, step: of the message; expected: the kind of its answer."""

    kind: str
    step: int
    expected: str


def finite(array: np.ndarray) -> bool:
    """Whether all of an array that a party told are numbers."""
    return bool(np.isfinite(array).all())


def knows_nothing(answer: Message) -> bool:
    """Whether it is that of a new process, which was never prepared."""
    return answer.kind == "failure" and answer.facts.get("type") == "NotReadyError"


def read(party: str, data: bytes, kind: str) -> Message:
    """Raises VerticalError naming the party for bytes that are no message."""
    try:
        return Message.from_bytes(data)
    except (ValueError, KeyError, TypeError) as error:
        raise VerticalError(f"party {party!r} answered {kind!r} by what cannot be read: {error}.") from None


def check(party: str, answer: Message, asked: Question) -> None:
    """Raises VerticalError naming the party that refuses, fails, or answers another question or with something else."""
    kind, expected, step = asked.kind, asked.expected, asked.step
    if answer.kind == "refusal":
        raise VerticalError(f"party {party!r} refuses: {answer.facts.get('reason')}")
    if answer.kind == "failure":
        raise VerticalError(f"party {party!r} failed at {kind!r} ({answer.facts.get('type')}); its own log says why.")
    if answer.kind != expected or (answer.silo, answer.round) != (party, step):
        raise VerticalError(
            f"party {party!r} answered {kind!r} of step {step} by {answer.kind!r} of {answer.silo!r}, step "
            f"{answer.round}, which is no answer to it."
        )
    facts, groups = LEAVING[expected]
    if set(answer.facts) != facts or set(answer.groups) != groups:
        held = sorted({*answer.facts, *answer.groups})
        raise VerticalError(
            f"party {party!r} answered {kind!r} with {held}, and {sorted(facts | groups)} was asked for."
        )
