"""A silo in a process of its own that takes part in Cox models: of one event, and of how long it took, alone."""

from pathlib import Path
from typing import ClassVar

import pandas as pd

from cluster.wire import Facts
from federated.deployment.deployed_silo import DeployedSilo
from federated.policy import PolicyError
from federated.secure_aggregation.identity import Identity
from federated.source import Filed, SourceError
from federated.survival.silo import CoxSilo
from framework.problem import Problem


class DeployedCoxSilo(DeployedSilo, CoxSilo):
    """As `DeployedSilo`, over the sums of `CoxSilo`. event, duration: the only columns that it lets be asked for: of
    whether it has happened, and of how long a row was seen. Its labels are not told: the coordinator brings them."""

    questions: ClassVar = CoxSilo.questions | {"describe"}

    def __init__(
        self,
        source: Filed,
        event: str,
        duration: str,
        folder: Path | None = None,
        identity: Identity | None = None,
        *,
        secure: bool = False,
    ) -> None:
        super().__init__(source, event, folder, identity, secure=secure)
        self._duration = duration

    def _question(self, frame: pd.DataFrame) -> tuple[Problem, list[str]]:
        return Problem(self._target, "regression", self._target), []

    def _check_model(self, job: Facts) -> None:
        name = self._table.name
        if "duration" not in job:
            raise PolicyError(f"silo {name!r} takes part in Cox models alone, and was asked for a net.")
        if job["duration"] != self._duration:
            raise PolicyError(f"silo {name!r} lets {self._duration!r} be the duration, and no other column.")

    def _frame(self) -> pd.DataFrame:
        frame = super()._frame()
        if self._duration not in frame.columns:
            raise SourceError(f"silo {self._table.name!r} has no column {self._duration!r}.")
        return frame
