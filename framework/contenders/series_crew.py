"""Series forecast one by one by statsforecast, in processes that can be ended: a series may take minutes, and no call
into it comes back at a deadline. Both halves stand here; JSON lines cross, one a series."""

import json
import math
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import IO, Any, Literal

import numpy as np

from cluster.user_error import UserError

Method = Literal["ets", "theta", "arima"]
READY = "ready"
ENDING = 0.2  # seconds for a thread to see that its process is gone
LONGEST_SEASON = 24  # beyond, exponential smoothing takes the season out first: it would have too many states
SLOW = 150  # values from which ARIMA orders are compared by an approximation
# Processes that wait for the next fit in this one: to start one takes two CPU seconds. They end with it, at the end of
# their input.
IDLE: "deque[subprocess.Popen[str]]" = deque()


class SeriesCrewError(UserError):
    """The forecasting package does not start."""


@dataclass(frozen=True)
class Told:
    """A series' forecast. ahead: the steps after its last value; within: each value as told from those before it, nan
    where there is none."""

    ahead: np.ndarray = field(repr=False)
    within: np.ndarray = field(repr=False)


def forecasts(
    series: Sequence[np.ndarray],
    *,
    method: Method,
    season: int,
    steps: int,
    workers: int,
    deadline: float,
) -> dict[int, Told]:
    """Place → what is told of it, for the series that were done by the deadline, a moment of time.time().

    series: values without gaps, each of shape (its steps,). workers: processes at once.
    A series on which a process fails or dies is left out. Raises SeriesCrewError when no process starts.
    """
    waiting = deque(range(len(series)))
    told: dict[int, Told] = {}
    children: list[subprocess.Popen[str]] = []
    spare: list[subprocess.Popen[str]] = []
    faults: list[str] = []
    ended = threading.Event()

    def serve() -> None:
        while waiting and not faults and not ended.is_set():
            child, fresh = _child(log)
            children.append(child)
            if ended.is_set():
                child.kill()
            assert child.stdin is not None
            assert child.stdout is not None
            if fresh and child.stdout.readline().strip() != READY:
                if not ended.is_set():
                    faults.append(_last_line(log))
                return
            sound = fresh
            while waiting:
                try:
                    place = waiting.popleft()
                    asked = {"method": method, "season": season, "steps": steps, "values": series[place].tolist()}
                    child.stdin.write(json.dumps(asked) + "\n")
                    child.stdin.flush()
                    answer = json.loads(child.stdout.readline())
                except IndexError:  # another has taken the last one
                    continue
                except (OSError, ValueError):
                    child.kill()
                    if not sound:  # it had died before, of something else
                        waiting.appendleft(place)
                    break  # it has died on this series: another takes the next one
                sound = True
                if answer:
                    told[place] = Told(*(np.asarray(answer[name], dtype=np.float64) for name in ("ahead", "within")))
            else:
                if not ended.is_set():
                    spare.append(child)

    threads = [threading.Thread(target=serve, daemon=True) for _ in range(min(workers, len(series)))]
    with tempfile.TemporaryFile("a+", encoding="utf-8") as log:
        try:
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join(max(0.0, deadline - time.time()) if math.isfinite(deadline) else None)
        finally:
            ended.set()
            for child in [each for each in children if each not in spare]:
                child.kill()
            for thread in threads:
                thread.join(ENDING)
            IDLE.extend(spare)
            for child in [each for each in children if each not in spare]:
                child.wait()
    if faults:
        raise SeriesCrewError(f"statsforecast does not start: {faults[0]} Install it: contenders[forecast].")
    return dict(told)


def _child(log: IO[str]) -> "tuple[subprocess.Popen[str], bool]":
    """A process, and whether it has been started for this."""
    with suppress(IndexError):
        while True:
            child = IDLE.popleft()
            if child.poll() is None:
                return child, False
    return _start(log), True


def _start(log: IO[str]) -> "subprocess.Popen[str]":
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path)), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "framework.contenders.series_crew"]
    pipe = subprocess.PIPE
    return subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=log, text=True, env=environment)


def _last_line(log: IO[str]) -> str:
    log.seek(0)
    lines = log.read().strip().splitlines()
    return lines[-1].rstrip(".") + "." if lines else "it ended without a word."


def forecast_one(values: np.ndarray, *, method: Method, season: int, steps: int) -> Told:
    """What statsforecast tells of one series; the season counts where it was seen twice."""
    from statsforecast.models import MSTL, AutoARIMA, AutoETS, AutoTheta

    m = season if len(values) >= 2 * season else 1
    model: Any
    if method == "theta":
        model = AutoTheta(season_length=m)
    elif method == "arima":
        model = AutoARIMA(season_length=m, approximation=len(values) > SLOW)
    elif m > LONGEST_SEASON:
        model = MSTL(season_length=m, trend_forecaster=AutoETS(model="ZZN"))
    else:
        model = AutoETS(season_length=m)
    found = model.forecast(np.asarray(values, dtype=np.float64), steps, fitted=True)
    return Told(np.asarray(found["mean"], dtype=np.float64), np.asarray(found["fitted"], dtype=np.float64))


def main() -> None:
    """The far half: a line with a series in, a line with its forecast out, an empty one where that fails."""
    import warnings

    import statsforecast.models  # noqa: F401

    warnings.simplefilter("ignore")
    out = sys.stdout
    sys.stdout = sys.stderr  # what the package prints must not stand among the answers
    print(READY, file=out, flush=True)
    for line in sys.stdin:
        asked = json.loads(line)
        try:
            told = forecast_one(np.asarray(asked.pop("values")), **asked)
            answer = {"ahead": told.ahead.tolist(), "within": told.within.tolist()}
        except Exception as error:  # the border between a package and whoever asks it
            print(f"{type(error).__name__}: {error}", file=sys.stderr, flush=True)
            answer = {}
        print(json.dumps(answer), file=out, flush=True)


if __name__ == "__main__":
    main()
