"""The one that decides: holds every name's plan, adds up what the replicas count, and moves the weights.

Replicas report each second and are told the plans in force, so they agree without talking to each other; it acts only
when it is reported to or asked. One lives on a cluster, as a small Ray actor (`conducting.py`); without Ray one in the
process.
"""

import json
import logging
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from framework.serving.traffic.canary import verdict
from framework.serving.traffic.conducted import BACK, PASSED, PROMOTED, RUNNING, WITHDRAWN, Conducted
from framework.serving.traffic.online import Standing, standing
from framework.serving.traffic.plan import Plan
from framework.serving.traffic.settling import settled
from framework.serving.traffic.view import told

log = logging.getLogger(__name__)

ALIVE = 10.0  # seconds since its last report, within which a replica is waited for
LOOKS = 5.0  # seconds between two looks at the outcomes, at least
PATIENCE = 20.0  # and this many times what a look takes
SAVED = 5.0  # seconds between two copies of the counts; every decision is kept at once

Keep = Callable[[bytes], None]


@dataclass
class Reported:
    """A replica's last word. at: monotonic seconds. following: by name the epoch in force there."""

    at: float
    following: Mapping[str, int]


class Conductor:
    """kept: what an earlier one has left behind, as `keep` was given it. keep: takes its state, to outlive it.

    grace: seconds from its start, within which replicas may be there that it has not heard of.
    """

    def __init__(self, kept: bytes | None = None, keep: Keep | None = None, *, grace: float = 0.0) -> None:
        self._knows = time.monotonic() + grace
        self._keep = keep or (lambda state: None)
        state: dict[str, Any] = json.loads(kept) if kept else {"epoch": 0, "names": {}}
        self._epoch: int = state["epoch"]
        self._names = {name: Conducted.from_json(each) for name, each in state["names"].items()}
        self._replicas: dict[str, Reported] = {}
        self._lock = threading.RLock()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="outcomes")
        self._looking: dict[str, Future[None]] = {}
        self._due: dict[str, float] = {}
        self._saved = time.monotonic()

    def put(self, name: str, plan: Mapping[str, Any]) -> int:
        """A new plan for a name; counts and tests begin anew. The epoch it begins with."""
        with self._lock:
            before = self._names.get(name)
            wanted = Plan.from_json(plan)
            same = before is not None and before.plan.base == wanted.base
            self._names[name] = Conducted.begun(
                wanted, epoch=self._next(), now=time.time(), before=before.runs if before and same else ()
            )
            self._due.pop(name, None)
            self._save()
            return self._epoch

    def drop(self, name: str) -> None:
        """The name's plan is over: the model that it was served with answers alone."""
        with self._lock:
            if self._names.pop(name, None) is not None:
                self._save()

    def report(self, replica: str, report: Mapping[str, Any]) -> dict[str, Any]:
        """What a replica has counted, and what it is to do: by name the order in force.

        report: {"served": {name: URI}, "following": {name: epoch}, "failed": {name: [epoch, sentence]}, "counted":
        {name: {epoch: {version: tally}}}, "shadowed": {name: Shadowed}, "log": the prediction log's folder or None}.
        """
        with self._lock:
            self._replicas[replica] = Reported(time.monotonic(), dict(report["following"]))
            decided = False
            for name, own in list(self._names.items()):
                if report["served"].get(name) != own.plan.base:  # it was served anew, or taken down
                    del self._names[name]
                    decided = True
                    continue
                own.counted.setdefault(replica, {}).update(report["counted"].get(name, {}))
                if name in report["shadowed"]:
                    own.shadowed[replica] = report["shadowed"][name]
                decided |= self._withdrawn(name, own, report["failed"].get(name)) or self._stepped(name, own)
                self._look(name, own, report["log"])
            if decided or (self._names and time.monotonic() - self._saved > SAVED):
                self._save()
            return {name: own.order() for name, own in self._names.items()}

    def told(self, name: str) -> dict[str, Any] | None:
        """As GET /api/v1/traffic/NAME tells it; None where a name has no plan."""
        with self._lock:
            own = self._names.get(name)
            return None if own is None else told(name, own)

    def state(self, name: str) -> tuple[str, str]:
        """A plan's state, and why; two empty texts where there is none."""
        with self._lock:
            own = self._names.get(name)
            return ("", "") if own is None else (own.state, own.why)

    def followed(self, name: str) -> bool:
        """Whether every replica that lives does what the plan says."""
        with self._lock:
            own, now = self._names.get(name), time.monotonic()
            living = [each for each in self._replicas.values() if now - each.at < ALIVE]
            known = bool(living) and now >= self._knows
            return own is None or (known and all(each.following.get(name) == own.epoch for each in living))

    def close(self) -> None:
        """Waits for the look that is on its way."""
        self._thread.shutdown()

    def _withdrawn(self, name: str, own: Conducted, failed: tuple[int, str] | None) -> bool:
        """Whether a plan was given up, because a replica cannot open an arm of it."""
        if failed is None or failed[0] != own.epoch or own.state == WITHDRAWN:
            return False
        self._end(name, own, WITHDRAWN, failed[1])
        return True

    def _stepped(self, name: str, own: Conducted) -> bool:
        """Whether the canary went on, or back."""
        canary = own.plan.canary
        if canary is None or own.state != RUNNING:
            return False
        champion, candidate = (arm.version for arm in own.plan.arms)
        # Where the champion has no requests left, it is held to what it did a step before.
        alone = own.plan.arms[0].weight == 0
        reference = own.tally(champion, since=max(own.first, own.epoch - 1) if alone else own.epoch)
        found = verdict(canary, reference, own.tally(candidate, since=own.epoch), seconds=time.time() - own.began)
        if found.do == "back":
            self._end(name, own, BACK, found.why)
        elif found.do == "advance":
            own.advance(epoch=self._next(), now=time.time())
            where = "passed" if own.state == PASSED else f"at {canary.steps[own.step]:g} %"
            log.info("canary %s version %s: %s", name, candidate, where)
        return found.do != "wait"

    def _look(self, name: str, own: Conducted, folder: str | None) -> None:
        """Has the outcomes looked at in a thread, where it is time."""
        busy = name in self._looking and not self._looking[name].done()
        over = own.state in (BACK, PROMOTED, WITHDRAWN)
        if folder is None or len(own.plan.arms) < 2 or over or busy or time.monotonic() < self._due.get(name, 0.0):
            return
        self._looking[name] = self._thread.submit(self._looked, name, own, folder)

    def _looked(self, name: str, own: Conducted, folder: str) -> None:
        began = time.monotonic()
        try:
            found = standing(folder, name, own.plan, since=own.since, earlier=own.test)
            if found is not None:
                with self._lock:
                    own.test = found.to_json()
                self._settle(name, own, found)
        except Exception:  # the border to files of a log, and to the registry: the traffic goes on as it is
            log.exception("the outcomes of %s could not be looked at", name)
        now = time.monotonic()
        with self._lock:
            if self._names.get(name) is own:
                self._due[name] = now + max(LOOKS, PATIENCE * (now - began))

    def _settle(self, name: str, own: Conducted, found: Standing) -> None:
        """Acts on a test that has decided, where that was asked for."""
        running = own.plan.canary is not None and own.state == RUNNING
        if not own.plan.promote_automatically or not found.decided or (found.better and running):
            return
        done, why = settled(own.plan, found)
        with self._lock:
            if self._names.get(name) is own and own.state in (RUNNING, PASSED):
                self._end(name, own, PROMOTED if done else BACK, why, winner=1 if done else 0)
                self._save()

    def _end(self, name: str, own: Conducted, state: str, why: str, *, winner: int = 0) -> None:
        log.warning("traffic of %s: %s: %s", name, state, why)
        own.end(state, why, epoch=self._next(), now=time.time(), winner=winner)

    def _next(self) -> int:
        self._epoch += 1
        return self._epoch

    def _save(self) -> None:
        names = {name: own.to_json() for name, own in self._names.items()}
        self._keep(json.dumps({"epoch": self._epoch, "names": names}).encode())
        self._saved = time.monotonic()
