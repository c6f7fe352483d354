"""The last state of a federation in a file: what a coordinator that was lost is gone on with by the next one."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

from cluster.wire import Arrays, Facts
from federated.exchange import Exchange, FederationError, Happening
from federated.job import AnyJob
from federated.message import Message
from federated.preparation import Preparation
from federated.strategies import Server


@dataclass(frozen=True)
class State:
    """round: the last that counts. rows: of each silo that takes part. facts, groups: what else its keeper needs; a
    group named "preparation" is the checkpoint's own."""

    round: int
    preparation: Preparation
    rows: dict[str, int]
    facts: Facts
    groups: dict[str, Arrays] = field(repr=False)


class Checkpoint:
    """path: of the file; None: nothing is written. exchange: its happenings and bytes are kept, and taken up again."""

    def __init__(self, path: Path | None, job: AnyJob, exchange: Exchange) -> None:
        self._path, self._exchange = path, exchange
        self._job = json.loads(json.dumps(job.to_facts()))

    def keep(self, state: State) -> None:
        """All that a successor needs, written whole or not at all."""
        if self._path is None:
            return
        prepared, groups = state.preparation.to_message()
        facts = {
            "job": self._job,
            "preparation": prepared,
            "rows": state.rows,
            "happenings": [asdict(happening) for happening in self._exchange.happenings],
            "bytes": [self._exchange.sent, self._exchange.received],
            "state": state.facts,
        }
        whole = Message("checkpoint", round=state.round, facts=facts, groups={**groups, **state.groups})
        whole.write(self._path)

    def taken_up(self) -> State | None:
        """What was kept; None where nothing was. Raises FederationError for what another job has kept."""
        if self._path is None or not self._path.exists():
            return None
        kept = Message.from_bytes(self._path.read_bytes())
        if kept.facts["job"] != self._job:
            raise FederationError(
                f"{self._path} is the checkpoint of another job: its columns, model, strategy or settings differ. Name "
                f"a fresh folder, or ask for the same as before."
            )
        self._exchange.happenings = [Happening(**happening) for happening in kept.facts["happenings"]]
        self._exchange.sent, self._exchange.received = kept.facts["bytes"]
        preparation = Preparation.from_message(kept.facts["preparation"], kept.groups)
        self._exchange.preparation = preparation
        return State(kept.round, preparation, kept.facts["rows"], kept.facts["state"], kept.groups)


def grouped(servers: Mapping[str, Server | None]) -> dict[str, Arrays]:
    """Servers by name as the groups of a state; without those that are none."""
    groups: dict[str, Arrays] = {}
    for name, server in servers.items():
        if server is not None:
            groups |= {f"{name}|": server.weights, **{f"{name}|{kept}": part for kept, part in server.kept.items()}}
    return groups


def servers_of(groups: Mapping[str, Arrays]) -> dict[str, Server]:
    """What `grouped` has put together."""
    parts: dict[str, dict[str, Arrays]] = {}
    for key, arrays in groups.items():
        name, between, kept = key.partition("|")
        if between:
            parts.setdefault(name, {})[kept] = arrays
    return {name: Server(held.pop(""), held) for name, held in parts.items()}
