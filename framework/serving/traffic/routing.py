"""A replica's side of the traffic: which version a request meets, and what it did there, by the conductor's orders."""

import logging
import secrets
import threading
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from framework.data.values import text_of
from framework.serving.batcher import Batcher
from framework.serving.live import Live, open_model
from framework.serving.observing import Observed
from framework.serving.request import Row
from framework.serving.served import Served
from framework.serving.traffic.buckets import BUCKETS, Deal, Turns, bucket_of
from framework.serving.traffic.conducted import WITHDRAWN
from framework.serving.traffic.conducting import Find
from framework.serving.traffic.mirror import Mirror, Mirrored
from framework.serving.traffic.plan import Plan, Question, Source, TrafficError
from framework.serving.traffic.tally import Tally
from framework.serving.traffic.view import single

log = logging.getLogger(__name__)

KEY = b"x-routing-key"
PAUSE = 1.0  # seconds between two exchanges with the conductor
PATIENCE = 30.0  # seconds within which all replicas have to follow a new plan


@dataclass(frozen=True)
class Split:
    """A plan in force. lives: of the arms that get requests, by version, in order. first: the plan's first epoch."""

    plan: Plan
    epoch: int
    first: int
    deal: Deal
    lives: Mapping[str, Live]
    mirror: Mirror | None

    @property
    def main(self) -> Live:
        return next(iter(self.lives.values()))


@dataclass(frozen=True, slots=True)
class Met:
    """The version that a request meets. rows: as it takes them. warnings: for the client."""

    live: Live
    rows: list[Row]
    warnings: tuple[str, ...] = ()


class Routing:
    """find: the conductor. sources: of the replica's models by name, as configured. live: the model that a name was
    served with, None where it could not be opened. tell: is told of shadows' answers. folder: of the prediction log."""

    def __init__(
        self,
        find: Find,
        *,
        sources: Callable[[], Mapping[str, Mapping[str, Any]]],
        live: Callable[[str], Live | None],
        tell: Callable[[Observed], None],
        folder: Callable[[], str | None],
    ) -> None:
        self._find, self._sources, self._live, self._tell, self._folder = find, sources, live, tell, folder
        self._replica = uuid.uuid4().hex
        self._splits: Mapping[str, Split] = {}
        self._failed: dict[str, tuple[int, str]] = {}
        self._tallies: dict[tuple[str, int, str], Tally] = {}
        self._turns = Turns(secrets.randbelow(BUCKETS))
        self._counting, self._exchanging = threading.Lock(), threading.Lock()
        self._thread: threading.Thread | None = None

    def main(self, name: str) -> Live | None:
        """The version that stands for a name: the first of its arms that gets requests; None without a split."""
        split = self._splits.get(name)
        return None if split is None else split.main

    def version(self, name: str, version: str) -> Live | None:
        """The arm of this version, if it gets requests."""
        split = self._splits.get(name)
        return None if split is None else split.lives.get(version)

    def meet(self, live: Live, rows: list[Row], heads: Mapping[bytes, bytes], request: str) -> Met:
        """The version that this request meets. live: the name's own model. request: its id, empty without one.

        By its X-Routing-Key, else the key column of its first row, else the id that its client gave, else in turn.
        """
        split = self._splits.get(live.served.name)
        if split is None:
            return Met(live, rows)
        key, column = heads.get(KEY, b"").decode("latin-1"), split.plan.key
        warnings: tuple[str, ...] = ()
        if not key and column is not None:
            key = routing_key(rows[0], column)
            warnings = _several(rows, column)
        key = key or request
        bucket = bucket_of(key, live.served.name) if key else self._turns.bucket()
        met = split.lives[split.deal.arm(bucket)]
        if column is not None and column not in met.served.columns:
            rows = [{name: value for name, value in row.items() if name != column} for row in rows]
        return Met(met, rows, warnings)

    def count(self, served: Served, status: int, seconds: float, items: Sequence[Mapping[str, Any]]) -> None:
        """Takes note of a request that has met this version; called by the event loop alone."""
        split = self._splits.get(served.name)
        place = served.name, 0 if split is None else split.epoch, served.version or ""
        followed = items if split is not None and served.predictor.problem.kind != "clustering" else ()
        with self._counting:
            self._tallies.setdefault(place, Tally()).count(status, seconds, followed)

    def mirror(self, met: Live, rows: Sequence[Row], items: Sequence[Mapping[str, Any]], request: str) -> None:
        """Has a shadow asked too, where there is one."""
        split = self._splits.get(met.served.name)
        if split is not None and split.mirror is not None:
            champion = met.served.version == split.plan.arms[0].version
            split.mirror.offer(Mirrored(rows, items if champion else (), request))

    def told(self, name: str) -> dict[str, Any]:
        """As GET /api/v1/traffic/NAME tells it. Without a plan the counts are this replica's own."""
        self.exchange()
        conductor = self._find(create=False)
        told = None if conductor is None else conductor.told(name)
        if told is not None:
            return told
        source = self._sources()[name]
        version = str(source["version"] or "")
        with self._counting:
            tally = self._tallies.get((name, 0, version), Tally()) + Tally()
        return single(name, Source(str(source["uri"]), version), tally)

    def direct(self, name: str, plan: Plan) -> None:
        """Puts a plan in force, and returns when every replica follows it.

        Raises TrafficError where an arm cannot be opened, or answers another question; then nothing is changed, unless
        it is another replica that cannot: then the champion answers alone.
        """
        base = self._live(name)
        if base is None:
            raise TrafficError(f"{name!r} is not served here, so it has no traffic to share out.", status=404)
        opened = self._opened(name, plan, base)
        conductor = self._find(create=True)
        assert conductor is not None
        conductor.put(name, plan.to_json())
        until = time.monotonic() + PATIENCE
        self.exchange(opened)
        while not conductor.followed(name) and time.monotonic() < until:
            self.exchange(opened)
            time.sleep(0.05)
        state, why = conductor.state(name)
        if state == WITHDRAWN:
            raise TrafficError(why)

    def undirect(self, name: str) -> None:
        """Ends a name's plan: the model that it was served with answers alone."""
        conductor = self._find(create=False)
        if conductor is not None:
            conductor.drop(name)
            self.exchange()

    def exchange(self, opened: Mapping[str, Live] | None = None) -> None:
        """Tells the conductor what was counted, and does what it says. opened: models that are at hand, by URI.

        Where it cannot be reached, what was in force stays.
        """
        with self._exchanging:
            try:
                conductor = self._find(create=False)
                if conductor is None:
                    self._splits = {}
                    return
                self._follow(conductor.report(self._replica, self._report()), opened or {})
            except Exception as error:  # the border to another process
                log.warning("the conductor of the traffic cannot be reached: %s", error)

    def start(self) -> None:
        """Exchanges with the conductor from now on, in a thread of its own."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._work, name="traffic", daemon=True)
            self._thread.start()

    def _work(self) -> None:
        while True:
            time.sleep(PAUSE)
            self.exchange()

    def _report(self) -> dict[str, Any]:
        counted: dict[str, dict[int, dict[str, Any]]] = {}
        with self._counting:
            for (name, epoch, version), tally in self._tallies.items():
                if epoch:
                    counted.setdefault(name, {}).setdefault(epoch, {})[version] = tally.to_json()
        mirrors = {name: split.mirror for name, split in self._splits.items() if split.mirror is not None}
        return {
            "served": {name: source["uri"] for name, source in self._sources().items()},
            "following": {name: split.epoch for name, split in self._splits.items()},
            "failed": dict(self._failed),
            "counted": counted,
            "shadowed": {name: mirror.seen.to_json() for name, mirror in mirrors.items()},
            "log": self._folder(),
        }

    def _follow(self, orders: Mapping[str, Mapping[str, Any]], opened: Mapping[str, Live]) -> None:
        splits: dict[str, Split] = {}
        for name, order in orders.items():
            split, base = self._splits.get(name), self._live(name)
            if base is None or base.served.uri != order["plan"]["base"]:
                continue
            if split is not None and split.epoch == order["epoch"]:
                splits[name] = split
                continue
            try:
                splits[name] = self._split(name, order, base, opened)
                self._failed.pop(name, None)
            except TrafficError as error:
                self._failed[name] = order["epoch"], str(error)
                if split is not None:
                    splits[name] = split
        self._splits = splits
        firsts = {name: order["first"] for name, order in orders.items()}
        with self._counting:
            for place in [each for each in self._tallies if 0 < each[1] < firsts.get(each[0], each[1] + 1)]:
                del self._tallies[place]

    def _split(self, name: str, order: Mapping[str, Any], base: Live, opened: Mapping[str, Live]) -> Split:
        plan, before = Plan.from_json(order["plan"]), self._splits.get(name)
        lives = self._opened(name, plan, base, opened)
        mirror = None
        if plan.shadow is not None:
            same = before is not None and before.first == order["first"]
            kept = before.mirror if before is not None and same else None
            mirror = kept or Mirror(lives[plan.shadow.uri], plan.shadow.share, self._tell)
        arms = {arm.version: lives[arm.uri] for arm in plan.arms if arm.weight > 0}
        return Split(plan, order["epoch"], order["first"], Deal(order["runs"]), arms, mirror)

    def _opened(self, name: str, plan: Plan, base: Live, opened: Mapping[str, Live] | None = None) -> dict[str, Live]:
        """The plan's models by URI; those that are open already are not opened again."""
        known = {base.served.uri: base, **(opened or {})}
        split = self._splits.get(name)
        if split is not None:
            lives = [*split.lives.values(), *([split.mirror.live] if split.mirror else [])]
            known |= {live.served.uri: live for live in lives}
        found: dict[str, Live] = {}
        wanted: list[Source] = [arm for arm in plan.arms if arm.weight > 0]
        for source in (*wanted, *([plan.shadow] if plan.shadow else [])):
            if source.uri not in known:
                known[source.uri] = _open(name, source)
            found[source.uri] = known[source.uri]
            if question_of(found[source.uri].served) != plan.question:
                raise TrafficError(
                    f"version {source.version} answers another question than {base.served.uri}: "
                    f"kind, target and classes have to be the same."
                )
        return found


def routing_key(row: Row, column: str | None) -> str:
    """The key of a row: 3, 3.0 and "3" are one; empty where it has none."""
    return "" if column is None else text_of(row.get(column)) or ""


def question_of(served: Served) -> Question:
    """What a model answers."""
    problem, classes = served.predictor.problem, served.predictor.schema.classes
    told = tuple((str(label), text_of(label) or "") for label in classes) if problem.classified else ()
    return Question(problem.kind, problem.metric, problem.target, told)


def _open(name: str, source: Source) -> Live:
    try:
        served = open_model(name, uri=source.uri, version=source.version, folder=source.folder)
    except Exception as error:  # the border to a model's files
        raise TrafficError(f"version {source.version} of {name!r} cannot be opened: {error}") from error
    return Live(served, Batcher(served.score))


def _several(rows: Sequence[Row], column: str) -> tuple[str, ...]:
    """A warning where one request has rows of several keys."""
    first = rows[0].get(column)
    if all(row.get(column) == first for row in rows):
        return ()
    return (f"the rows have several values of {column!r}: the first one's version answered all. Send one a request.",)
