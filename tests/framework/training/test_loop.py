"""The training loop does the same alone and together, from the start and from a checkpoint."""

import copy
import math
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.datasets import load_diabetes

from framework.contender import Context
from framework.contenders.watch import Watch
from framework.data.frame import Frame, Truth
from framework.training.batches import Batches, Shuffled, Streamed
from framework.training.checkpoint import STATE, flaw, pack, read_state, seal, unpack, write_state
from framework.training.crew import Alone, State
from framework.training.failure import TrainingError
from framework.training.loop import train_together
from framework.training.plan import Plan
from framework.training.pulse import fingerprint
from framework.training.rows import Rows

PLAN = Plan(looks=3, batch=64, learning_rate=0.01, weight_decay=0.01, seed=5)


def rows_of(frame: Frame) -> Rows:
    inputs = torch.from_numpy(frame.X.to_numpy(dtype=np.float32))
    weights = np.ones(len(frame)) if frame.weight is None else frame.weight
    return Rows(inputs, torch.tensor(frame.y, dtype=torch.float32), torch.tensor(weights, dtype=torch.float32))


def diabetes() -> Frame:
    """442 patients; the answer standardised, weights that differ."""
    data = load_diabetes(as_frame=True)
    X = (data.data - data.data.mean()) / data.data.std()
    y = ((data.target - data.target.mean()) / data.target.std()).to_numpy()
    return Frame(pd.DataFrame(X.to_numpy()), Truth(y=y, weight=np.linspace(0.5, 1.5, len(y))))


TRAIN = diabetes().take(np.arange(0, 350))
VALID = rows_of(diabetes().take(np.arange(350, 442)))


def net(dropout: float = 0.0) -> torch.nn.Module:
    layers = [torch.nn.Linear(10, 16), torch.nn.ReLU(), torch.nn.Dropout(dropout), torch.nn.Linear(16, 1)]
    made = torch.nn.Sequential(*layers)
    draw = torch.Generator().manual_seed(1)  # ranks are threads here: the common generator is drawn from by all
    with torch.no_grad():
        for part in made.parameters():
            part.copy_(torch.rand(part.shape, generator=draw) * 0.5 - 0.25)
    return made


def squared(outputs: torch.Tensor, answers: torch.Tensor) -> torch.Tensor:
    return (outputs[:, 0] - answers) ** 2


class Saved(Alone):
    """A crew of one that keeps its checkpoints in memory."""

    def __init__(self, state: State | None = None) -> None:
        self.losses: list[float] = []
        super().__init__("cpu", lambda step, told: self.losses.extend(told.values()))
        self.state = copy.deepcopy(state)
        self.states: list[State] = []

    def report(self, step: int, metrics: dict[str, float], state: Callable[[], State] | None) -> None:
        super().report(step, metrics, None)
        if state is not None:
            self.states.append(copy.deepcopy(state()))

    def resume(self) -> State | None:
        return self.state


class Threads:
    """Ranks as threads of this process: what they sum, and their gradients, meet in memory."""

    def __init__(self, size: int) -> None:
        self.size, self.meeting = size, threading.Barrier(size, timeout=240)
        self.told: list[Any] = [None] * size

    def crew(self, rank: int, state: State | None = None) -> "ThreadCrew":
        return ThreadCrew(self, rank, state)


class ThreadCrew(Saved):
    def __init__(self, group: Threads, rank: int, state: State | None) -> None:
        super().__init__(state)
        self.group, self.rank, self.size = group, rank, group.size

    def join(self, net: torch.nn.Module, optimizer: torch.optim.Optimizer) -> Any:
        self.net = net
        return net, optimizer

    def average(self, optimizer: torch.optim.Optimizer) -> None:
        for part in self.net.parameters():
            assert part.grad is not None
            part.grad = self.total(part.grad) / self.size

    def total(self, values: torch.Tensor) -> torch.Tensor:
        self.group.told[self.rank] = values.clone()
        self.group.meeting.wait()
        summed = torch.stack(self.group.told).sum(dim=0)
        self.group.meeting.wait()
        return summed


def trained(
    crew: Alone,
    plan: Plan = PLAN,
    *,
    frame: Frame = TRAIN,
    stream: bool = False,
    dropout: float = 0.0,
    patience: int = 0,
) -> tuple[torch.Tensor, int]:
    """All weights of a net that this crew trained, in one vector, and its looks."""
    made = net(dropout)
    many: dict[str, Any] = {"batch": plan.batch, "seed": plan.seed, "crew": crew}
    batches: Batches = Streamed(frame, rows_of, **many) if stream else Shuffled(rows_of(frame), **many)
    watch = Watch(Context(), patience)
    looks = train_together(made, batches, valid=VALID, crew=crew, plan=plan, watch=watch, loss=squared, run="diabetes")
    return torch.cat([part.detach().flatten() for part in made.parameters()]), looks


def together(size: int, plan: Plan = PLAN, *, state: State | None = None, stream: bool = False) -> torch.Tensor:
    """What `size` ranks learn; all of them the same."""
    group, learned, failed = Threads(size), {}, []

    def rank(number: int) -> None:
        try:
            learned[number] = trained(group.crew(number, state), plan, stream=stream)[0]
        except Exception as error:
            failed.append(error)
            group.meeting.abort()

    workers = [threading.Thread(target=rank, args=(number,)) for number in range(size)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    if failed:
        raise failed[0]
    for other in range(1, size):
        assert torch.equal(learned[0], learned[other])
    return learned[0]


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("size", [2, 3])
def test_ranks_together_learn_what_one_learns_alone(size: int, stream: bool) -> None:
    alone, _ = trained(Saved(), stream=stream)
    torch.testing.assert_close(together(size, stream=stream), alone, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("stream", [False, True])
def test_it_goes_on_where_it_was_on_another_number_of_ranks(stream: bool) -> None:
    whole = Saved()
    plan = replace(PLAN, checkpoint_steps=4)
    expected, _ = trained(whole, plan, stream=stream)
    middle = whole.states[1]
    assert middle["place"]["batch"] > 0, "a checkpoint within an epoch"
    again, _ = trained(Saved(middle), plan, stream=stream)
    assert torch.equal(again, expected)
    torch.testing.assert_close(together(2, plan, state=middle, stream=stream), expected, atol=1e-5, rtol=1e-5)


def test_dropout_goes_on_with_the_same_random_numbers() -> None:
    plan, whole = replace(PLAN, checkpoint_steps=4), Saved()
    with torch.random.fork_rng():
        torch.manual_seed(7)
        expected, _ = trained(whole, plan, dropout=0.5)
    with torch.random.fork_rng():
        torch.manual_seed(8)
        again, _ = trained(Saved(whole.states[0]), plan, dropout=0.5)
    assert torch.equal(again, expected)


def test_a_finished_training_is_not_trained_again() -> None:
    whole = Saved()
    expected, looks = trained(whole, patience=2)
    crew = Saved(whole.states[-1])
    again, same = trained(crew, patience=2)
    assert torch.equal(again, expected)
    assert same == looks
    assert crew.losses == []
    longer = Saved(whole.states[-1])
    trained(longer, replace(PLAN, looks=5))
    assert len(longer.losses) == 2


def test_checkpoints_of_another_run_are_refused() -> None:
    whole = Saved()
    trained(whole)
    with pytest.raises(TrainingError, match="of another training run"):
        trained(Saved({**whole.states[-1], "run": "boston"}))


def test_a_batch_in_pieces_is_the_same_batch() -> None:
    alone, _ = trained(Saved())
    pieces, _ = trained(Saved(), replace(PLAN, accumulate=4))
    torch.testing.assert_close(pieces, alone, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("size", [1, 2])
def test_a_loss_that_is_not_finite_stops_all_ranks_with_its_step_and_batch(size: int) -> None:
    frame = diabetes()
    answers = np.where(np.arange(350) == 100, np.inf, TRAIN.y)
    broken = replace(TRAIN, truth=replace(frame.truth.take(np.arange(350)), y=answers))
    order = torch.randperm(350, generator=torch.Generator().manual_seed(5)).tolist()
    place = order.index(100)
    step = place // 64 + 1
    batch = order[(step - 1) * 64 : step * 64]
    half = len(batch) // 2
    guilty = 0 if size == 1 or place % 64 < half else 1
    mine = batch if size == 1 else batch[:half] if guilty == 0 else batch[half:]
    expected = f"(batch {fingerprint(rows_of(broken).take(torch.tensor(mine)))} on rank {guilty})"
    group, crews = Threads(size), []

    def rank(number: int) -> None:
        crew = group.crew(number)
        try:
            trained(crew, replace(PLAN, checkpoint_steps=1), frame=broken)
        except TrainingError as error:
            crews.append((crew, str(error)))

    workers = [threading.Thread(target=rank, args=(number,)) for number in range(size)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert len(crews) == size
    for crew, told in crews:
        assert f"not finite at step {step} {expected}" in told
        assert len(crew.states) == step - 1
        for state in crew.states:
            assert all(torch.isfinite(part).all() for part in state["net"].values())


def test_the_learning_rate_warms_up_and_falls_as_a_cosine() -> None:
    plan = replace(PLAN, warm_up=10, schedule="cosine", learning_rate=2.0)
    assert [plan.rate(step, 110) for step in (0, 4, 9)] == [0.2, 1.0, 2.0]
    for step in (10, 35, 60, 110):
        assert plan.rate(step, 110) == pytest.approx(2.0 * (1 + math.cos(math.pi * (step - 10) / 100)) / 2)
    assert replace(plan, schedule="constant").rate(90, 110) == 2.0
    engine = torch.optim.SGD(net().parameters(), lr=2.0)
    reference = torch.optim.lr_scheduler.CosineAnnealingLR(engine, T_max=100)
    for step in range(10, 40):
        assert plan.rate(step, 110) == pytest.approx(reference.get_last_lr()[0])
        engine.step()
        reference.step()


def test_what_answers_is_the_moving_mean_of_the_weights() -> None:
    crew = Saved()
    plan = replace(PLAN, looks=1, checkpoint_steps=1)
    trained(crew, plan)
    mean = {name: part.double() for name, part in net().state_dict().items()}
    for step, state in enumerate(crew.states, start=1):
        m = min(plan.memory, (1 + step) / (10 + step))
        for name, part in state["net"].items():
            mean[name] = m * mean[name] + (1 - m) * part.double()
            torch.testing.assert_close(state["mean"][name].double(), mean[name], atol=1e-6, rtol=1e-5)
    without = Saved()
    weights, _ = trained(without, replace(plan, memory=0.0))
    assert torch.equal(weights, torch.cat([part.flatten() for part in without.states[-1]["net"].values()]))


def test_half_precision_and_compilation_are_taken_where_the_device_gains() -> None:
    cpu = torch.device("cpu")
    assert not PLAN.half(cpu)
    assert not PLAN.compiled(cpu)
    assert PLAN.compiled(torch.device("cuda"))
    exact, half = Saved(), Saved()
    trained(exact)
    trained(half, replace(PLAN, precision="bfloat16"))
    assert half.losses != exact.losses
    assert half.losses == pytest.approx(exact.losses, rel=0.05)


def test_it_learns() -> None:
    crew = Saved()
    trained(crew, replace(PLAN, looks=30), patience=5)
    assert min(crew.losses) < 0.75 * squared(net()(VALID.inputs), VALID.answers).mean().item()


def test_a_stream_gives_every_row_once_an_epoch_in_another_order_each_time() -> None:
    marked = replace(TRAIN, X=TRAIN.X.assign(**{"0": np.arange(350.0)}))
    marked.X[0] = np.arange(350.0)

    def seen(epoch: int, size: int) -> list[list[int]]:
        steps: list[list[int]] = [[] for _ in range(5)]
        for rank in range(size):
            stream = Streamed(marked, rows_of, batch=64, seed=0, crew=Threads(size).crew(rank))
            assert stream.steps == 5
            for step, part in enumerate(stream.epoch(epoch)):
                steps[step] += part.rows.inputs[:, 0].int().tolist()
        return steps

    first = seen(0, 1)
    assert sorted(row for step in first for row in step) == list(range(350))
    assert first != seen(1, 1)
    assert [sorted(step) for step in seen(0, 5)] == [sorted(step) for step in first]


def test_a_checkpoint_that_is_not_whole_is_known(tmp_path: Path) -> None:
    assert "never finished" in str(flaw(tmp_path))
    write_state(tmp_path, {"net": {"w": torch.arange(3)}, "place": {"step": 4}})
    seal(tmp_path)
    assert flaw(tmp_path) is None
    unpack(pack(tmp_path), copied := tmp_path.parent / (tmp_path.name + "-copy"))
    assert flaw(copied) is None
    assert read_state(copied)["place"] == {"step": 4}
    assert torch.equal(read_state(copied)["net"]["w"], torch.arange(3))
    with (tmp_path / STATE).open("r+b") as file:
        file.seek(20)
        file.write(b"?")
    assert f"its file {STATE} is not what was written" in str(flaw(tmp_path))
    (copied / STATE).unlink()
    assert f"its file {STATE} does not open" in str(flaw(copied))
