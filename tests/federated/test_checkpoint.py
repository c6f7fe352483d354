"""By which terms silos take part, and what a coordinator leaves to the next one."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from federated import strategies
from federated.channel import Direct
from federated.checkpoint import Checkpoint, State
from federated.dealt import able, deal
from federated.exchange import Exchange, FederationError
from federated.policy import Policy
from federated.rounds import Terms
from tests.federated.portfolios import agreed, filed, fold_of, job_of


def test_a_quorum_is_a_share_of_the_silos_that_can_take_part() -> None:
    sources = deal(fold_of()[0])
    small = [replace(sources[0], policy=Policy(minimum_rows=10_000)), *sources[1:]]
    assert able(small) == [source.name for source in sources[1:]]
    assert [Terms.among(small, share).quorum for share in (0.1, 0.5, 0.75, 1.0)] == [2, 2, 3, 4]
    given = Terms.among(sources, 1.0, round_seconds=5.0, deadline=9.0, patience=3)
    assert given == Terms(5, 5.0, 9.0, 3)


def exchange_of(job: object) -> Exchange:
    return Exchange(Direct(filed()), 600.0, float("inf"), job)  # type: ignore[arg-type]


def test_what_is_kept_is_taken_up_and_a_part_of_it_never(tmp_path: Path) -> None:
    job, path = job_of(strategies.FedAvg(), rounds=3), tmp_path / "deep" / "state.bin"
    first = exchange_of(job)
    first.note(2, "owner 1", "late", "no answer")
    first.sent, first.received = 5, 7
    keeper = Checkpoint(path, job, first)
    assert keeper.taken_up() is None
    weights = {"w": np.arange(6, dtype=np.float32).reshape(2, 3)}
    keeper.keep(State(2, agreed(), {"owner 1": 48}, {"scores": [0.5]}, {"server|": weights}))
    path.with_suffix(".part").write_bytes(b"cut off while it was written")
    second = exchange_of(job)
    state = Checkpoint(path, job, second).taken_up()
    assert state is not None
    assert (state.round, state.rows, state.facts) == (2, {"owner 1": 48}, {"scores": [0.5]})
    assert np.array_equal(state.groups["server|"]["w"], weights["w"])
    assert np.array_equal(state.preparation.quantiles, agreed().quantiles)
    assert second.preparation is state.preparation
    assert (second.happenings, second.sent, second.received) == (first.happenings, 5, 7)
    other = job_of(strategies.FedAvg(), rounds=4)
    with pytest.raises(FederationError, match=r"state\.bin is the checkpoint of another job"):
        Checkpoint(path, other, exchange_of(other)).taken_up()


def test_without_a_path_nothing_is_written() -> None:
    job = job_of(strategies.FedAvg(), rounds=3)
    keeper = Checkpoint(None, job, exchange_of(job))
    keeper.keep(State(1, agreed(), {}, {}, {}))
    assert keeper.taken_up() is None
