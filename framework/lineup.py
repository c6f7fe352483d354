"""Which contenders enter: for this kind of question, at this size, the cheap and safe ones first."""

import logging

from framework.contender import Contender
from framework.data.split import Split

log = logging.getLogger(__name__)

MANY_ROWS = 200_000  # beyond: no contender whose time grows faster than the rows


def line_up(split: Split) -> list[Contender]:
    """The contenders for a split, in the order they start.

    The floors come first (a constant, a regularised linear model, early-stopped boosting), so that whatever the
    minutes there is a winner that is no worse than these; then what may beat them; last the blend of all.
    """
    kind = split.problem.kind
    if kind == "clustering":
        entering = _clustering()
    elif kind == "forecast":
        entering = _forecast()
    else:
        entering = _supervised(len(split.fold.train))
    log.info("line-up for %s rows of %s: %s", len(split.fold.train), kind, ", ".join(c.name for c in entering))
    return entering


def _supervised(rows: int) -> list[Contender]:
    from framework import contenders as c

    quick: list[Contender] = [c.Constant(), c.Linear(), c.XGBoost(), c.LightGBM()]
    trees: list[Contender] = [c.ExtraTrees(), c.RandomForest()]
    if rows > MANY_ROWS:
        return [*quick, c.Neural(), *trees, c.Blend()]
    return [*quick, *trees, c.Neural(), c.SVM(), c.Neighbours(), c.Blend()]


def _forecast() -> list[Contender]:
    from framework import contenders as c

    lagged = [c.Lagged(c.Linear()), c.Lagged(c.XGBoost()), c.Lagged(c.LightGBM()), c.Lagged(c.ExtraTrees())]
    return [c.SeasonalNaive(), *lagged, c.Blend()]


def _clustering() -> list[Contender]:
    from framework import contenders as c

    return [c.KMeans(), c.HDBSCAN()]
