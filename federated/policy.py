"""What a silo lets others do with its rows. It is kept inside the silo's own process and never asked for outside."""

from dataclasses import dataclass

from cluster.user_error import UserError
from federated.job import AnyJob
from federated.privacy.levels import RecordLevel


class PolicyError(UserError):
    """What a silo was asked and does not do; the sentence leaves it, and names no value of any row."""


@dataclass(frozen=True)
class Policy:
    """minimum_rows: with fewer rows the silo takes no part: its update would tell of single ones.
    minimum_count: the fewest rows that a count, a mean or a score which leaves may stand for.
    columns, strategies: the only ones it works with; None: any. most_rounds: of one job; None: any number.
    personal: weights fitted to this silo alone may leave it, as part of the model.
    epsilon, delta: what its rows may cost in `days` days, over all federations together; then it takes part in those
    with record-level privacy alone, as far as that goes. None: it keeps no such account.
    secure: it takes part where its sums and updates leave it under masks alone, see `federated.secure_aggregation`.
    """

    minimum_rows: int = 10
    minimum_count: int = 5
    columns: frozenset[str] | None = None
    strategies: frozenset[str] | None = None
    most_rounds: int | None = None
    personal: bool = True
    epsilon: float | None = None
    delta: float = 1e-5
    days: int = 30
    secure: bool = False

    def check(self, job: AnyJob, *, silo: str, rows: int) -> None:
        """Raises PolicyError naming the silo and what it does not do."""
        if rows < self.minimum_rows:
            raise PolicyError(
                f"silo {silo!r} has fewer than {self.minimum_rows} rows to learn from, and takes no part below that."
            )
        if self.secure and not job.secure:
            raise PolicyError(
                f"silo {silo!r} takes part in secure aggregation alone, and is asked for {', '.join(job.ways)} in the "
                f"clear."
            )
        if self.columns is not None:
            asked = [name for name, _ in job.columns] + ([job.target] if job.target else [])
            if strange := [name for name in asked if name not in self.columns]:
                raise PolicyError(f"silo {silo!r} does not let the column(s) {', '.join(map(repr, strange))} be used.")
        if self.strategies is not None:
            for name in job.ways:
                if name not in self.strategies:
                    known = ", ".join(sorted(self.strategies))
                    raise PolicyError(f"silo {silo!r} does not train by {name}; it does by: {known}.")
        if self.most_rounds is not None and job.rounds > self.most_rounds:
            raise PolicyError(
                f"silo {silo!r} takes part in at most {self.most_rounds} rounds, and {job.rounds} are asked."
            )
        if self.epsilon is not None and not isinstance(getattr(job, "privacy", None), RecordLevel):
            raise PolicyError(
                f"silo {silo!r} gives ε = {self.epsilon:g} in {self.days} days, and is asked to train without "
                f"record-level privacy, which has no ε for its rows."
            )


USUAL = Policy()
