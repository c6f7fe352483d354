"""Differential privacy in federations: what is promised, what it costs, and who keeps count.

`RecordLevel` hides single rows from whoever sees what their silo sends; `SiloLevel` hides whole silos from whoever sees
the model.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from federated.privacy.levels import RecordLevel as RecordLevel
    from federated.privacy.levels import SiloLevel as SiloLevel
    from framework.privacy.accountant import PrivacyError as PrivacyError
    from framework.privacy.accountant import Spend as Spend
    from framework.privacy.ledger import Ledger as Ledger

HOMES = {
    "Ledger": "framework.privacy.ledger",
    "PrivacyError": "framework.privacy.accountant",
    "RecordLevel": "federated.privacy.levels",
    "SiloLevel": "federated.privacy.levels",
    "Spend": "framework.privacy.accountant",
}
__all__ = list(HOMES)


def __getattr__(name: str) -> Any:
    if name not in HOMES:
        raise AttributeError(f"module 'federated.privacy' has no attribute {name!r}")
    return getattr(import_module(HOMES[name]), name)
