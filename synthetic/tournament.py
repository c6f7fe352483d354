"""Engines compete within a budget of time: judged on rows that none saw, gated, and only then ranked."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import pandas as pd

from cluster.user_error import UserError
from framework.contender import Context
from framework.contest.attempt import Crash
from framework.privacy.allowance import Allowance
from synthetic.columns import LEAST_ROWS
from synthetic.constraints import Constraint
from synthetic.fidelity import LEAST_HOLDOUT, Fidelity, judge
from synthetic.fidelity_repeats import together
from synthetic.fitted import Fitted
from synthetic.synthesizer import Synthesizer, seeded

HOLDOUT = 0.2
LEAST_SECONDS = 3.0


class TournamentError(UserError):
    """No engine came through."""


@dataclass(frozen=True)
class Contestant:
    """One engine: what it fitted and how that was judged, or why there is nothing."""

    name: str
    seconds: float
    fitted: Fitted | None = None
    judged: Fidelity | None = None
    reason: str = ""

    def __str__(self) -> str:
        if self.judged is None:
            return f"{self.name}: {self.reason}"
        said = "passed" if self.judged.passed else "FAILED the gate: " + self.judged.failed[0]
        useful = self.judged.useful
        worth = f", TSTR ÷ TRTR {useful.ratio:.3f}" if useful is not None else ""
        alike = self.judged.alike
        attacked = max((risk.value for risk in self.judged.private.risks.values()), default=0.0)
        scores = f"quality {alike.quality:.3f}, C2ST {alike.c2st:.3f}{worth}, worst attack's risk {attacked:.3f}"
        return f"{self.name}: {said}; {scores} ({self.seconds:.0f} s)"


@dataclass(frozen=True)
class Tournament:
    """contestants: the best first: those that passed, those that failed, those that have no rows."""

    contestants: tuple[Contestant, ...]
    train: pd.DataFrame
    holdout: pd.DataFrame

    @property
    def winner(self) -> Contestant:
        """The best that passed; where none did, the best of all: its judgement says what is wrong."""
        return self.contestants[0]

    def __str__(self) -> str:
        return "\n".join(f"{place}. {each}" for place, each in enumerate(self.contestants, 1))


def contest(
    engines: Sequence[Synthesizer],
    frame: pd.DataFrame,
    constraints: Sequence[Constraint] = (),
    *,
    target: str | None = None,
    seconds: float = float("inf"),
    seed: int = 0,
    workers: int = 1,
    splits: int = 1,
    allowance: Allowance | None = None,
) -> Tournament:
    """Fits every engine on four fifths of the rows, judges it on the last fifth, and ranks them.

    splits: from 2 the winner is fitted and judged on further splits too, and its scores are means with an interval.
    seconds: for all of it. workers: engines fitted at once, as Ray tasks, from 2. allowance: that every private fit is
    paid from. An engine that fails is a contestant with its reason. Raises TournamentError, with all reasons, where
    none has rows; UserError for a table or a constraint that no engine can take.
    """
    if splits < 1:
        raise TournamentError(f"{splits} splits were asked for; at least 1 is needed.")
    if len(frame) < LEAST_ROWS + LEAST_HOLDOUT:
        raise TournamentError(
            f"the table has {len(frame)} row{'s'[: len(frame) != 1]}; at least {LEAST_ROWS} are needed to learn from, "
            f"and {LEAST_HOLDOUT} others to judge by."
        )
    if frame.shape[1] < 2:
        raise TournamentError(
            f"the table has {frame.shape[1]} column{'s'[: frame.shape[1] != 1]}; at least 2 are needed for rows to be "
            f"judged by. Draw the values of one column anew by its shares."
        )
    train, holdout = _parted(frame, seed)
    end = time.time() + seconds
    first = time.time() + seconds * len(engines) / (len(engines) + splits - 1)
    told = (_at_once if workers > 1 and len(engines) > 1 else _in_turn)(
        engines, (train, holdout, tuple(constraints), target, seed, allowance), first, workers
    )
    if all(each.judged is None for each in told):
        if len({each.reason for each in told}) == 1:
            raise TournamentError(told[0].reason)
        raise TournamentError("no engine came through. " + " ".join(f"{each.name}: {each.reason}" for each in told))
    winner, *others = sorted(told, key=_place)
    engine = next(each for each in engines if each.name == winner.name)
    further = range(seed + 1, seed + splits)
    winner = _on_splits(winner, engine, frame, (tuple(constraints), target), further, end, allowance)
    return Tournament((winner, *others), train, holdout)


def _parted(frame: pd.DataFrame, seed: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    order = seeded(seed).permutation(len(frame))
    cut = len(frame) - max(20, round(HOLDOUT * len(frame)))
    train, holdout = (frame.iloc[part].reset_index(drop=True) for part in (order[:cut], order[cut:]))
    return train, holdout


def _on_splits(
    winner: Contestant,
    engine: Synthesizer,
    frame: pd.DataFrame,
    asked: tuple[tuple[Constraint, ...], str | None],
    seeds: Sequence[int],
    end: float,
    allowance: Allowance | None,
) -> Contestant:
    """The winner with what further splits say of its engine; a split that came to nothing is a remark."""
    assert winner.judged is not None
    further = [
        one(engine, *_parted(frame, seed), *asked, seed, allowance, seconds=(end - time.time()) / (len(seeds) - place))
        for place, seed in enumerate(seeds)
    ]
    judged = together([winner.judged, *(each.judged for each in further if each.judged is not None)])
    missing = tuple(f"a further split was not judged: {each.reason}" for each in further if each.judged is None)
    return replace(winner, judged=replace(judged, remarks=(*judged.remarks, *missing)))


def _place(contestant: Contestant) -> tuple[int, float]:
    judged = contestant.judged
    return (2, 0.0) if judged is None else (int(not judged.passed), -judged.rank)


def _in_turn(engines: Sequence[Synthesizer], asked: tuple[Any, ...], end: float, workers: int) -> list[Contestant]:
    told = []
    for place, each in enumerate(engines):
        left = end - time.time()
        told.append(one(each, *asked, seconds=left / (len(engines) - place)))
    return told


def _at_once(engines: Sequence[Synthesizer], asked: tuple[Any, ...], end: float, workers: int) -> list[Contestant]:
    import ray

    from cluster.connect import connect

    connect()
    far = ray.remote(max_retries=0)(one)
    held = [ray.put(part) for part in asked[:2]]
    share = (end - time.time()) / -(-len(engines) // workers)
    told = []
    for each, task in [(each, far.remote(each, *held, *asked[2:], seconds=share)) for each in engines]:
        try:
            told.append(ray.get(task))
        except ray.exceptions.RayError as error:
            told.append(Contestant(each.name, 0.0, reason=str(error).strip().splitlines()[0]))
    return told


def one(
    engine: Synthesizer,
    train: pd.DataFrame,
    holdout: pd.DataFrame,
    constraints: tuple[Constraint, ...],
    target: str | None,
    seed: int,
    allowance: Allowance | None = None,
    *,
    seconds: float,
) -> Contestant:
    """One engine fitted within these seconds, and judged."""
    began = time.time()
    if seconds < LEAST_SECONDS:
        return Contestant(engine.name, 0.0, reason="there was no time for it")
    try:
        fitted = engine.fit(train, constraints, Context(seed=seed, deadline=began + 0.8 * seconds, allowance=allowance))
        rows = fitted.sample(len(train), seed=seed + 1)
        return Contestant(
            engine.name,
            time.time() - began,
            fitted,
            judge(train, holdout, rows, fitted=fitted, target=target, seed=seed),
        )
    except UserError as error:
        return Contestant(engine.name, time.time() - began, reason=str(error))
    except Exception as error:  # the border between a contest and its engines
        told = Crash(type(error).__name__, str(error), "")
        return Contestant(engine.name, time.time() - began, reason=str(told))
