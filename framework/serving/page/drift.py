"""GET /models/NAME/drift: how far what the model is asked has moved from its training, by the prediction log."""

import asyncio
import time
import weakref
from collections.abc import Callable
from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from framework.monitoring.drift import Drift, Moved, drift
from framework.monitoring.parts import LogError
from framework.monitoring.prediction_log import SHARE, predictions
from framework.serving.page.web import page, piece
from framework.serving.replica import Replica
from framework.serving.served import Served

KEPT_SECONDS = 60.0  # for which a drift is told again without being measured anew
HOURS = 24
MOST_ROWS = 20_000  # of them, the latest
CHARTS = 6


@dataclass(frozen=True)
class Watched:
    """found: what has moved; None: it cannot be told, and `remark` says why."""

    found: Drift | None
    remark: str = ""

    @property
    def charts(self) -> list[Moved]:
        """What moved furthest, the model's answers among it."""
        if self.found is None:
            return []
        told = [*self.found.answers, *self.found.columns]
        return sorted((each for each in told if each.bins), key=lambda each: -each.psi)[:CHARTS]


class Watch:
    """The drift of each model, measured at most once a minute, one model at a time."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._found: dict[str, tuple[float, weakref.ref[Served], Watched]] = {}
        self._lock = asyncio.Lock()

    async def of(self, served: Served, folder: str) -> Watched:
        """folder: the prediction log."""
        async with self._lock:
            kept = self._found.get(served.name)
            if kept is None or kept[1]() is not served or self._clock() - kept[0] >= KEPT_SECONDS:
                found = await asyncio.to_thread(watched, served, folder)
                kept = self._found[served.name] = self._clock(), weakref.ref(served), found
            return kept[2]


def watched(served: Served, folder: str, *, until: float | None = None) -> Watched:
    """The last day's drift. until: UNIX seconds, now by default."""
    reference = served.predictor.reference
    if reference is None:
        return Watched(None, "The model keeps no training reference, so no drift can be told. Train it anew.")
    end = time.time() if until is None else until
    try:
        logged = predictions(folder, served.name, since=end - 3600 * HOURS, version=served.version, most=MOST_ROWS)
    except LogError:
        return Watched(None, "Nothing is logged of it yet.")
    if not len(logged.answered):
        return Watched(None, f"Nothing is logged of this version in the last {HOURS} hours.")
    named = logged.answered.columns
    answers = logged.answered[[name for name in named if name == "prediction" or name.startswith(SHARE)]]
    return Watched(drift(reference, logged.features(), answers))


def drift_routes(replica: Replica) -> list[Route]:
    watch = Watch()

    async def shown(request: Request) -> Response:
        live, folder = await replica.opened(request.path_params["name"]), replica.logged_to()
        served = live.served
        none = Watched(None, "No prediction log is kept here. Serve with --log.")
        found = none if folder is None else await watch.of(served, folder)
        return piece(request, "_drift.html", title=f"Drift of {served.name}", watched=found, hours=HOURS)

    return [page(replica, "GET", "/models/{name}/drift", shown, "read")]
