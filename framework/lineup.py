"""Which contenders enter: for this kind of question, at this size, the cheap and safe ones first."""

import logging
from importlib.util import find_spec
from itertools import zip_longest

from framework.contender import Contender
from framework.data.chain import ordered
from framework.data.data_error import DataError
from framework.data.kfold import held_out
from framework.data.split import Split
from framework.search_space import portfolio_of, settled

log = logging.getLogger(__name__)

MANY_ROWS = 200_000  # beyond: no contender whose time grows faster than the rows
FOLDS = (8, 5)  # that a contest is held on where time allows
ORIGINS = (3, 2)  # the same for forecasts
BLOCKS = (2,)  # and for other rows in order of time: with more, the oldest know so little that the plain look best
NET_ROWS = 2_000  # of forecasts: below, nets did worse than any other, and took longest
CELL_SECONDS = 3e-6  # CPU seconds that a booster takes for each value of the table, roughly
SWEEP_MINUTES = 2.0  # from which sweeps enter: below, the known-good settings take all the time there is
NET_SWEEP_MINUTES = 10.0  # the same for nets, whose trials take ten times as long as a booster's
H2O_MINUTES = 4.0  # from which H2O enters: it takes some 15 s on all CPUs to begin
FEW_CONTENDERS = 4
BOOSTING_SHARE = 0.4  # of the time, that these may take


def line_up(split: Split, *, minutes: float = 1.0) -> list[Contender]:
    """The contenders for a split, in the order they start. minutes: that there are for all of them.

    The floors come first (a constant, a regularised linear model, early-stopped boosting), so that whatever the
    minutes there is a winner that is no worse than these; then what may beat them; then other settings of the best
    engines, while there is time, and sweeps of the boosters where there is more of it; last the blend of all. H2O
    enters where Java and its classes are installed.
    """
    kind = split.problem.kind
    if kind == "clustering":
        entering = _clustering()
    elif kind == "forecast":
        entering = _forecast(len(split.fold.train))
    else:
        entering = _supervised(len(split.fold.train), minutes)
    log.info("line-up for %s rows of %s: %s", len(split.fold.train), kind, ", ".join(c.name for c in entering))
    return entering


def folds_for(split: Split, *, seconds: float, cpus: float) -> int:
    """How many folds a contest's rows are dealt into: as many as a few boosters can be fit on in a part of the time.

    Of rows in order of time: how many blocks of them, each with all of the past before it. 1, the split's own
    validation rows, where rows are clustered, lie in files, are too many, or have too short a past.
    """
    fold = split.fold
    if split.problem.kind == "clustering" or fold.shards is not None:
        return 1
    cells = (len(fold.train) + len(fold.valid)) * len(split.schema.columns)
    forecast = split.problem.kind == "forecast"
    for folds in ORIGINS if forecast else BLOCKS if ordered(split.problem) else FOLDS:
        if cells * CELL_SECONDS * folds * FEW_CONTENDERS > BOOSTING_SHARE * seconds * cpus:
            continue
        try:
            held_out(fold, folds, seed=split.seed)
        except DataError as error:
            log.info("not dealt into %d folds: %s", folds, error)
            continue
        return folds
    return 1


def _supervised(rows: int, minutes: float) -> list[Contender]:
    from framework import contenders as c

    quick: list[Contender] = [c.Constant(), c.Linear(), c.XGBoost(), c.LightGBM(), c.CatBoost(), c.Crossed(c.Linear())]
    trees: list[Contender] = [c.ExtraTrees(), c.RandomForest()]
    if rows > MANY_ROWS:
        return [*quick, c.Neural(), *trees, c.Blend()]
    first = [*quick, *trees, c.Neural(), c.SVM(), c.Neighbours()]
    swept: list[Contender] = [c.LightGBM(), c.XGBoost(), c.CatBoost()] if minutes >= SWEEP_MINUTES else []
    return [
        *first,
        *([c.H2O()] if minutes >= H2O_MINUTES and _has_h2o() else []),
        *_variants([c.LightGBM(), c.CatBoost(), c.XGBoost(), c.Neural(), c.ExtraTrees()]),
        *(c.Tuned(each) for each in [*swept, *([c.Neural()] if minutes >= NET_SWEEP_MINUTES else [])]),
        c.Blend(),
        c.Stack(),
    ]


def _has_h2o() -> bool:
    from framework.contenders.h2o_java import H2OMissingError, JavaMissingError, jar, java

    try:
        java(), jar()
    except (H2OMissingError, JavaMissingError):
        return False
    return True


def _variants(contenders: list[Contender]) -> list[Contender]:
    """The contenders' known-good settings, in turns: each one's first, then each one's second …"""
    known = [[(contender, settings) for settings in portfolio_of(contender)] for contender in contenders]
    turns = [one for turn in zip_longest(*known) for one in turn if one is not None]
    numbers: dict[str, int] = {}
    found = []
    for contender, settings in turns:
        numbers[contender.name] = numbers.get(contender.name, 1) + 1
        found.append(settled(contender, {**settings, "name": f"{contender.name}_{numbers[contender.name]}"}))
    return found


def _forecast(rows: int) -> list[Contender]:
    from framework import contenders as c

    lagged = [c.Lagged(c.Linear()), c.Lagged(c.XGBoost()), c.Lagged(c.LightGBM()), c.Lagged(c.ExtraTrees())]
    statistical: list[Contender] = [c.Statistical("theta"), c.Statistical("ets")]
    nets: list[Contender] = [c.Sequence("lstm"), c.Sequence("patches"), c.Sequence("tcn")]
    return [
        c.SeasonalNaive(),
        *(statistical if find_spec("statsforecast") else []),
        *lagged,
        *(nets if rows >= NET_ROWS else []),
        c.Vote(),  # of a few origins' rows no weights are learned that are surely better than equal ones
        c.Blend(),
    ]


def _clustering() -> list[Contender]:
    from framework import contenders as c

    return [c.KMeans(), c.Mixture(), c.Agglomerative(), c.HDBSCAN()]
