"""What is asked for in one explanation, and the account of its seconds."""

import logging
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from framework.explainers.given import ExplanationError, Given

log = logging.getLogger(__name__)

TRUE_ANSWERS = ("permutation", "slices")  # methods that hold predictions against what is true
LEAST_SECONDS = 1.0


@dataclass(frozen=True)
class Asked:
    """As `explain` has it."""

    methods: Sequence[str] | None
    rows: int
    seconds: float
    by: tuple[str, ...]
    fairness: str | None
    fixed: tuple[str, ...]
    seed: int


@dataclass
class Notes:
    """Where the time goes, and what is said about what it did not reach."""

    end: float
    left: int  # methods that have not begun
    remarks: list[str] = field(default_factory=list)

    @contextmanager
    def method(self, name: str) -> Iterator[float]:
        """The seconds a method has; a model that cannot be explained so is still the winner."""
        seconds = max(LEAST_SECONDS, (self.end - time.monotonic()) / max(1, self.left))
        self.left -= 1
        try:
            yield seconds
        except Exception as error:  # the border to models and packages
            log.debug("%s failed", name, exc_info=True)
            hint = " Install it: pip install contenders[explain]." if isinstance(error, ImportError) else ""
            self.remarks.append(f"{name}: left out ({type(error).__name__}: {error}).{hint}")

    def short(self, name: str, done: int, asked: int, seconds: float, what: str = "rows") -> None:
        if done < asked:
            self.remarks.append(f"{name}: {done} of {asked} {what} in the {seconds:.0f} s there were.")


def check(rows: Given, asked: Asked, methods: Sequence[str]) -> None:
    """Raises ExplanationError for no rows to explain, a column that is not there, or answers that a method needs and
    the rows lack."""
    if asked.rows < 1:
        raise ExplanationError(f"rows is {asked.rows}; at least 1 has to be explained.")
    problem = rows.predictor.problem
    lacking = [name for name in TRUE_ANSWERS if name in methods] + ["fairness"] * (asked.fairness is not None)
    if lacking and not rows.answered and problem.target is not None:
        raise ExplanationError(
            f"{lacking[0]!r} holds predictions against the answers, and the rows have no column {problem.target!r}, or "
            f"no value in it. Add it, or ask for other methods."
        )
    for name in asked.by:
        rows.check_column(name, asked="by")
    for name in asked.fixed:
        rows.check_column(name, asked="fixed", among=rows.predictor.schema.names)
    if asked.fairness is not None:
        rows.check_column(asked.fairness, asked="fairness")
        if problem.kind != "binary":
            raise ExplanationError(f"fairness compares who is selected, of two classes; this is {problem.kind}.")
