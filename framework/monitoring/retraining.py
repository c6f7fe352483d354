"""The contest anew: a served model's question, asked of fresh rows, its winner registered as the challenger."""

import logging
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from framework.leaderboard import Leaderboard
from framework.monitoring.parts import LogError
from framework.registry import ModelVersion

log = logging.getLogger(__name__)

SETTINGS = ("workers", "folds", "prefer")
ALIAS = "challenger"


@dataclass(frozen=True)
class Retrained:
    """The new contest and the version it led to."""

    board: Leaderboard
    version: ModelVersion

    def __str__(self) -> str:
        return f"{self.board}\n\nregistered: {self.version} ({self.version.uri})"


def run_of(model: str | Path) -> str:
    """The contest's run that a registered model comes from. Raises LogError where there is none."""
    from framework.registry import resolve, versions
    from framework.serving.source import pinned, registered

    name = registered(str(model))
    uri = pinned(str(model), resolve(model).resolve())
    found = [each.run_id for each in versions(name) if each.uri == uri] if name else []
    if not found or not found[0]:
        raise LogError(
            f"{model} comes from no tracked run, so its contest cannot be run again. Pass a registered model."
        )
    return found[0]


def retrain(
    run_id: str, data: str, *, minutes: float | None = None, name: str | None = None, alias: str = ALIAS, **given: Any
) -> Retrained:
    """Runs the contest of a tracked run again on other rows: same question, metric, roles and seed.

    data: fresh rows, as `load` takes them. minutes: of wall clock; those of the run by default. name: under which the
    winner is registered; as in the run by default. alias: it gets; the champion stays who it is until it is promoted.
    given: further arguments of `compete`.
    Raises TrackingError for a run without a configuration, DataError or ProblemError for rows that do not fit it.
    """
    from framework.contest.configured import contest_of
    from framework.registry import register
    from framework.tracking import config_of

    config = config_of(run_id)
    if "target" not in config:
        raise LogError(f"run {run_id} is no contest's: its configuration has no target. Pass a run of recipes.contest.")
    again = {**config, "data": data, "minutes": minutes or config.get("minutes", 2.0)}
    end = time.time() + 60 * float(again["minutes"])
    as_before: dict[str, Any] = {key: value for key in SETTINGS if (value := config.get(key))}
    board = contest_of(again, deadline=end, **as_before | given)
    tags = {"retrained_from": run_id}
    version = register(board, name or config.get("name"), alias=alias, run_id=board.run_id, tags=tags)
    log.info("retrained %s as %s", run_id, version)
    return Retrained(board, version)
