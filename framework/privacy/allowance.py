"""What rows may cost, all fits on them together, and the ledger that keeps count."""

import secrets
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from framework.privacy.accountant import PrivacyError, Spend, epsilon_of
from framework.privacy.ledger import LEDGER, Charge, Ledger


@dataclass(frozen=True)
class Allowance:
    """folder: whose ledger is charged; that of a silo (`audit=`, then its name) counts federations' answers too. None:
    nothing is charged, and each fit is held against epsilon alone.

    epsilon, delta: what all answers of the last `days` days may cost together, those of any time where None. epsilon
    None: they are counted, and never too many.
    """

    folder: str | None
    epsilon: float | None = None
    delta: float = 1e-5
    days: float | None = None

    def check(self, spends: Sequence[Spend]) -> None:
        """Raises PrivacyError where these are more than is left; AuditError for a ledger that does not hold."""
        self._check(Ledger(Path(self.folder) / LEDGER if self.folder else None), spends)

    def charge(self, job: str, purposes: Sequence[tuple[str, Spend]]) -> float:
        """Writes them down, each under "statistics" or "training"; the ε of all that is charged for, these too.

        Raises as `check` does, and then charges nothing. job: such as an engine's name, told apart from others' by
        a number that is added.
        """
        path = Path(self.folder) / LEDGER if self.folder else None
        if path is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
        with Ledger(path).writing() as ledger:
            self._check(ledger, [spend for _, spend in purposes])
            name = f"{job} {secrets.token_hex(4)}"
            for purpose, spend in purposes:
                ledger.charge(Charge(round(time.time(), 3), name, purpose, secrets.token_hex(16), spend))
            return ledger.epsilon(self.delta, days=self.days)

    def _check(self, ledger: Ledger, spends: Sequence[Spend]) -> None:
        if self.epsilon is None:
            return
        before = [each.spend for each in ledger.charges(days=self.days)]
        cost = epsilon_of([*before, *spends], self.delta)
        if cost > self.epsilon:
            spent = epsilon_of(before, self.delta)
            since = "" if self.days is None else f" in {self.days:g} days"
            raise PrivacyError(
                f"these rows may cost ε = {self.epsilon:g}{since} (δ = {self.delta:g}); their ledger "
                f"holds {spent:.3g}, and with this fit it would be {cost:.3g}. Ask for a smaller ε, or allow more."
            )
