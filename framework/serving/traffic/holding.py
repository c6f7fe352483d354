"""An A/B test held from its first row to its last: rows asked, outcomes posted, the test read."""

import math
import tempfile
import time
from typing import Any

import pandas as pd

from cluster.user_error import UserError
from framework.data.source import read
from framework.data.values import is_missing
from framework.monitoring.parts import LogError
from framework.monitoring.prediction_log import MAKE
from framework.serving.request import Row
from framework.serving.traffic.asking import Asking, Online, Simulated
from framework.serving.traffic.experiment import Experiment, Reading
from framework.serving.traffic.online import Standing, standing
from framework.serving.traffic.plan import Plan
from framework.serving.traffic.versions import paired
from framework.statistics.power import size_for_means, size_for_rates
from framework.statistics.sequential import OnlineTestError

POWER = 0.8
PATIENCE = 120.0  # seconds until the log shows what was asked


class ExperimentError(UserError):
    """An A/B test that cannot be held."""


def hold_experiment(
    name: str,
    data: Any,
    *,
    champion: str = "champion",
    challenger: str = "challenger",
    weight: float = 50.0,
    key: str | None = None,
    rows: int = 2_000,
    every: int = 50,
    effect: float | None = None,
    alpha: float = 0.05,
    simulate: bool = False,
    promote: bool = False,
    port: int | None = None,
    seed: int = 0,
) -> Experiment:
    """Holds an A/B test between two versions of a registered name, and ends where it has decided.

    data: rows with answers, as `read` takes them, new to both; they come in an order drawn by the seed, one a request,
    at most so many. champion, challenger: versions or aliases. weight: percent of the requests that the challenger
    gets. key: a column whose value always meets the same version. every: rows between two looks. effect: as for
    `share_out`.
    simulate: asks both models here, without a server: the same rows meet the same versions.
    promote: a challenger that wins is promoted by the registry's rule.
    Raises ExperimentError for rows without the model's columns or answers.
    """
    pair = paired(name, champion, challenger, weight=weight, key=key, effect=effect, alpha=alpha)
    table = read(data)
    target = str(pair.plan.question.target)
    columns = [column.name for column in pair.champion.predictor.schema.columns]
    wanted = [target, *columns, *([key] if key else [])]
    if missing := [column for column in wanted if column not in table.columns]:
        raise ExperimentError(f"the rows have no column {missing[0]!r}. They need the models' columns and {target!r}.")
    table = table.dropna(subset=[target]).sample(frac=1, random_state=seed).head(rows)
    if not len(table) or every < 1:
        raise ExperimentError(f"{len(table)} rows with an answer, {every} between two looks: there is nothing to test.")
    asked = _records(table[list(dict.fromkeys(wanted[1:]))])
    with tempfile.TemporaryDirectory(prefix="ab-") as folder:
        log = [{"make": MAKE, "options": {"folder": folder, "seconds": 0.2}}]
        asking: Asking = Simulated(pair, folder) if simulate else Online(pair, log, promote=promote, port=port)
        with asking:
            return _held(pair.plan, name, folder, asking, asked, table[target].tolist(), every, promote=promote)


def _held(
    plan: Plan, name: str, log: str, asking: Asking, rows: list[Row], truth: list[Any], every: int, *, promote: bool
) -> Experiment:
    since, readings = time.time(), list[Reading]()
    found: Standing | None = None
    for start in range(0, len(rows), every):
        stop = min(start + every, len(rows))
        ids = [f"row-{place}" for place in range(start, stop)]
        asking.ask(rows[start:stop], ids)
        asking.tell(dict(zip(ids, truth[start:stop], strict=True)))
        found = _logged(log, name, plan, since, stop, found)
        readings.append(Reading(stop, found.look))
        if found.decided:
            break
    assert found is not None
    winner = None
    if found.decided:
        winner = plan.arms[1 if found.better else 0].version
    settled = asking.settle(found) if promote and found.decided else ""
    return Experiment(
        name, plan.arms[0].version, plan.arms[1].version, found.metric, tuple(readings), winner, found.effect,
        _needed(found, plan), settled,
    )  # fmt: skip


def _logged(log: str, name: str, plan: Plan, since: float, rows: int, earlier: Standing | None) -> Standing:
    """The test once the log shows all that was asked."""
    until = time.monotonic() + PATIENCE
    while time.monotonic() < until:
        found = standing(log, name, plan, since=since, earlier=None if earlier is None else earlier.to_json())
        if found is not None and len(found.known) >= rows:
            return found
        time.sleep(0.05)
    raise LogError(f"the log does not show {rows:,} outcomes within {PATIENCE:g} s. Is the machine too busy?")


def _needed(found: Standing, plan: Plan) -> int | None:
    """The outcomes of both arms that a test read once needs."""
    seen, weights = found.look, [arm.weight for arm in plan.arms]
    effect = seen.difference if found.decided else found.effect
    asked: dict[str, float] = {"power": POWER, "alpha": plan.alpha, "ratio": weights[1] / weights[0]}
    try:
        size = (
            size_for_rates(seen.control.mean, effect, **asked)
            if found.metric == "accuracy"
            else size_for_means(effect, math.sqrt(seen.control.squares / max(1, seen.control.rows - 1)), **asked)
        )
    except OnlineTestError:
        return None
    return size.control + size.treated


def _records(frame: pd.DataFrame) -> list[Row]:
    """Rows as a client sends them; a missing value is null."""
    return [
        {str(name): None if is_missing(value) else value for name, value in row.items()}
        for row in frame.astype(object).to_dict("records")
    ]
