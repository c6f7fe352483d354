"""What a fit will cost, shown to the ledger before any row is looked at, and paid before any noise is drawn."""

from collections.abc import Sequence
from typing import Any

from framework.contender import Context
from framework.privacy.accountant import Spend


class Bill:
    """Of a fit: its spends, each under "statistics" or "training"; paid from the context's allowance, where it has one.

    Raises PrivacyError where that has too little left.
    """

    def __init__(self, engine: str, context: Context | None, spends: Sequence[tuple[str, Spend]]) -> None:
        self._engine, self._spends = engine, [*spends]
        self._allowance = context.allowance if context is not None else None
        self.facts: dict[str, Any] = {}  # what may be told, once it is paid
        if self._allowance is not None:
            self._allowance.check([each for _, each in self._spends])

    def pay(self) -> None:
        """Raises PrivacyError where others were quicker."""
        if self._allowance is not None:
            ever = self._allowance.charge(self._engine, self._spends)
            self.facts = {"ε of the whole ledger": round(ever, 4), "δ of the ledger": self._allowance.delta}
