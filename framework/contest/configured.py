"""The contest that a configuration says: rows read, the usual contenders raced, everything tracked."""

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any

from framework.data.split import Split
from framework.leaderboard import Leaderboard
from framework.observer import Observer

QUESTION = ("target", "kind", "metric", "name", "silo", "group", "time", "series", "horizon", "ahead")


def contest_of(
    config: Mapping[str, Any],
    *,
    deadline: float,
    observers: Callable[[Split], Iterable[Observer]] = lambda split: (),
    **given: Any,
) -> Leaderboard:
    """Holds a contest and tracks it; the leaderboard knows its run.

    config: as recipes.contest's, `data` and `target` at the least; logged with the run, which can so be held again.
    deadline: a moment of time.time(). observers: made once the rows are known. given: arguments of `compete`.
    Raises TrackingError for a store that does not answer; what `load` and `compete` raise.
    """
    from framework.contest.compete import compete
    from framework.data.load import load
    from framework.lineup import line_up
    from framework.tracking import track

    question: dict[str, Any] = {key: config.get(key) for key in QUESTION}
    question["ahead"] = tuple(question["ahead"] or ())
    with track() as tracker:
        split = load(config["data"], **question, seed=config.get("seed", 0), test=config.get("test_share", 0.2))
        logged = tracker.contest(split, config=dict(config))
        watching = [*observers(split), logged]
        board = compete(
            line_up(split, minutes=(deadline - time.time()) / 60), split, deadline=deadline, observers=watching, **given
        )
        return replace(board, run_id=logged.run_id())
