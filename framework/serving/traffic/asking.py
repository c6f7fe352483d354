"""Who answers the rows of an A/B test: a server with a split, or both models in this process."""

import json
import time
import urllib.request
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any, Protocol, Self

from framework.monitoring.outcomes import OutcomeLog
from framework.monitoring.prediction_log import PredictionLog
from framework.serving.observing import Observed
from framework.serving.request import Row
from framework.serving.traffic.buckets import bucket_of, deal
from framework.serving.traffic.conducted import RUNNING
from framework.serving.traffic.control import share_out, traffic
from framework.serving.traffic.online import Standing
from framework.serving.traffic.routing import routing_key
from framework.serving.traffic.settling import settled
from framework.serving.traffic.versions import Pair

SECONDS = 120.0  # until a test that has decided is acted on


class Asking(Protocol):
    """Asks each row under its id, and posts what came true by the same ids, into one log."""

    def ask(self, rows: Sequence[Row], ids: Sequence[str]) -> None: ...
    def tell(self, outcomes: Mapping[str, Any]) -> None: ...

    def settle(self, found: Standing) -> str:
        """What became of a test that has decided, in a sentence."""
        ...

    def __enter__(self) -> Self: ...
    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


class Simulated:
    """Both models in this process; rows meet them as they would on a server."""

    def __init__(self, pair: Pair, log: str) -> None:
        self._pair = pair
        self._deal = deal(pair.plan.weights)
        self._log, self._outcomes = PredictionLog(log, seconds=0.05), OutcomeLog(log, seconds=0.05)

    def ask(self, rows: Sequence[Row], ids: Sequence[str]) -> None:
        name, column = self._pair.champion.name, self._pair.plan.key
        for row, id in zip(rows, ids, strict=True):
            arm = self._deal.arm(bucket_of(routing_key(row, column) or id, name))
            served = self._pair.champion if arm == self._pair.champion.version else self._pair.challenger
            features = {key: value for key, value in row.items() if key in served.columns}
            (answer,) = served.score([[features]])
            if isinstance(answer, Exception):
                raise answer
            items = answer["predictions"]
            self._log.observe(Observed(name, served.version, [row], items, 0.0, 200, time.time(), id))

    def tell(self, outcomes: Mapping[str, Any]) -> None:
        self._outcomes.post([{"request": id, "outcome": value} for id, value in outcomes.items()])

    def settle(self, found: Standing) -> str:
        return settled(self._pair.plan, found)[1]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._log.close()
        self._outcomes.close()


class Online:
    """A server of the champion with a split; it is taken down at the end.

    log: its observer that writes the log. promote: whether the test that the server keeps may move the alias.
    """

    def __init__(self, pair: Pair, log: Sequence[Mapping[str, Any]], *, promote: bool, port: int | None) -> None:
        self._pair, self._log, self._promote, self._port = pair, log, promote, port

    def ask(self, rows: Sequence[Row], ids: Sequence[str]) -> None:
        for row, id in zip(rows, ids, strict=True):
            self._endpoint.predict(row, request=id)

    def tell(self, outcomes: Mapping[str, Any]) -> None:
        body = json.dumps([{"request": id, "outcome": value} for id, value in outcomes.items()]).encode()
        headers = {"content-type": "application/json"}
        if self._endpoint.token:
            headers["authorization"] = f"Bearer {self._endpoint.token}"
        url = f"{self._endpoint.url.partition('/api/')[0]}/api/v1/outcomes"
        urllib.request.urlopen(urllib.request.Request(url, body, headers), timeout=SECONDS).close()

    def settle(self, found: Standing) -> str:
        """As the server's own test does it; its looks come every few seconds."""
        until = time.monotonic() + SECONDS
        told = traffic(self._pair.champion.name)
        while told["state"] == RUNNING and time.monotonic() < until:
            time.sleep(0.2)
            told = traffic(self._pair.champion.name)
        return str(told["why"]) or "the server's own test has not decided yet"

    def __enter__(self) -> Self:
        from framework.serving.endpoint import serve

        plan = self._pair.plan
        self._endpoint = serve(plan.base, port=self._port, observers=self._log)
        arms = {arm.version: arm.weight for arm in plan.arms}
        asked: dict[str, Any] = {"key": plan.key, "effect": plan.effect, "alpha": plan.alpha}
        share_out(self._pair.champion.name, arms, promote_automatically=self._promote, **asked)
        return self

    def __exit__(self, *_: object) -> None:
        self._endpoint.stop()
