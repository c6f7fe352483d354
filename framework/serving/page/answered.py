"""What a model says to the playground's row, and why."""

from dataclasses import dataclass
from typing import Any

from cluster.user_error import UserError
from framework.serving.asking import score
from framework.serving.explaining import Explained
from framework.serving.explanations import explained
from framework.serving.live import Live
from framework.serving.page.waterfall import Waterfall, waterfall
from framework.serving.request import Row

SECONDS = 5.0  # for one explanation that has to be sampled
MOST_CLASSES = 8  # whose probabilities are shown


@dataclass(frozen=True)
class Told:
    """A model's answer.

    exact: the answer as the API tells it. answer: it in words; "" for a number. label: what is told.
    shares: the likeliest classes with their probabilities. low, high: the interval that holds the truth with
    probability `level`.
    """

    exact: Any
    answer: str
    label: str
    shares: tuple[tuple[str, float], ...] = ()
    low: float | None = None
    high: float | None = None
    level: float | None = None
    warnings: tuple[str, ...] = ()


async def told_of(asked: Live, row: Row) -> Told:
    """What the model answers. No observer is told: to move a slider is no traffic, and would look like a drift.

    Raises SchemaError or RequestError for a row that the model refuses.
    """
    answered = await score(asked, [row])
    (item,) = answered["predictions"]
    problem, band, warnings = asked.served.predictor.problem, asked.served.predictor.band, tuple(answered["warnings"])
    exact = item["prediction"]
    if problem.classified:
        ranked = sorted(item["probabilities"].items(), key=lambda pair: -pair[1])[:MOST_CLASSES]
        return Told(exact, str(exact), str(problem.target), tuple(ranked), warnings=warnings)
    if problem.kind == "clustering":
        return Told(exact, f"cluster {exact}", "belongs to", warnings=warnings)
    ends = item.get("prediction_low"), item.get("prediction_high")
    level = None if band is None else band.level
    return Told(exact, "", str(problem.target), low=ends[0], high=ends[1], level=level, warnings=warnings)


async def why_of(asked: Live, row: Row) -> Waterfall | str:
    """The drawing of the answer's explanation, or a sentence on why there is none."""
    try:
        found = await explained(asked.served, Explained([row], [], SECONDS))
        (item,) = (await score(asked, [row]))["predictions"]
    except UserError as error:
        return str(error)
    return waterfall(found, row, answer=str(item["prediction"]))
