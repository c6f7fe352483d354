"""Differential privacy in federations: what is promised, what it costs, and who keeps count.

`RecordLevel` hides single rows from whoever sees what their silo sends; `SiloLevel` hides whole silos from whoever sees
the model.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from federated.privacy.accountant import Spend as Spend
    from federated.privacy.ledger import Ledger as Ledger
    from federated.privacy.levels import PrivacyError as PrivacyError
    from federated.privacy.levels import RecordLevel as RecordLevel
    from federated.privacy.levels import SiloLevel as SiloLevel

HOMES = {
    "Ledger": "federated.privacy.ledger",
    "PrivacyError": "federated.privacy.levels",
    "RecordLevel": "federated.privacy.levels",
    "SiloLevel": "federated.privacy.levels",
    "Spend": "federated.privacy.accountant",
}
__all__ = list(HOMES)


def __getattr__(name: str) -> Any:
    if name not in HOMES:
        raise AttributeError(f"module 'federated.privacy' has no attribute {name!r}")
    return getattr(import_module(HOMES[name]), name)
