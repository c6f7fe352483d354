"""A silo's own steps, beside the same steps written out with torch's optimizers, batch by batch, weight by weight."""

import subprocess
import sys
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from federated import bench
from federated.engine import PlainSGD, engine, moments, optimizer, recall
from federated.job import LocalPlan
from federated.local_steps import BLOCK, LocalSteps, shuffled
from federated.net_weights import load, taken, travelling
from federated.strategies.fedavg import FedAvg
from framework.contenders.net_rows import loss_of
from framework.contenders.target import quantile_of
from framework.nets import build
from framework.nets.columns import Placed
from framework.training.rows import Rows
from tests.federated.portfolios import bench_of, job_of

SHAPES: dict[str, dict[str, Any]] = {
    "mlp": {"size": 4, "width": 16, "layers": 2, "dropout": 0.2},
    "tabm": {"size": 4, "width": 16, "layers": 1, "members": 3, "dropout": 0.2},
    "ft_transformer": {"width": 8, "blocks": 1, "heads": 2},
}
CARDS = [0, 4, 0]
SGD = LocalPlan(batch=32, rate=0.05, weight_decay=0.01, optimizer="sgd", clip=0.0)
ADAMW = LocalPlan(batch=32, rate=0.01, weight_decay=0.01, optimizer="adamw", clip=0.5)
LOSS = loss_of(0, "rmse")


def rows(count: int = 100) -> Rows:
    """Numbers with gaps, a category, answers, and weights that differ."""
    rng = np.random.default_rng(1)
    inputs = rng.normal(size=(count, 3)).astype(np.float32)
    inputs[:, 1], inputs[::7, 0] = rng.integers(0, 4, count), np.nan
    answers = np.nan_to_num(inputs).sum(axis=1)
    return Rows(*(torch.from_numpy(part) for part in (inputs, answers, np.linspace(0.5, 1.5, count, dtype=np.float32))))


def net(name: str = "mlp") -> torch.nn.Module:
    torch.manual_seed(0)
    return build(name, cards=CARDS, outputs=1, **SHAPES[name]).learn(rows().inputs.numpy())


def written_out(
    made: torch.nn.Module, plan: LocalPlan, pull: float, anchor: dict[str, np.ndarray], along: dict[str, np.ndarray]
) -> None:
    """Two epochs."""
    mover, order, held = optimizer(made, list(made.parameters()), plan), np.random.default_rng(5), rows()
    for _ in range(2):
        for places in torch.from_numpy(order.permutation(len(held))).split(plan.batch):
            part = held.take(places)
            mover.zero_grad()
            ((LOSS(made(part.inputs), part.answers) * part.weights).sum() / part.weights.sum()).backward()
            if plan.clip:
                torch.nn.utils.clip_grad_norm_(made.parameters(), plan.clip)
            for name, parameter in made.named_parameters():
                parameter.grad += pull * (parameter.detach() - torch.from_numpy(anchor[name]))
                parameter.grad += torch.from_numpy(along[name])
            mover.step()


@pytest.mark.parametrize("plan", [SGD, ADAMW], ids=["sgd", "adamw"])
@pytest.mark.parametrize("name", SHAPES)
def test_every_nets_steps_are_those_of_the_equation(name: str, plan: LocalPlan) -> None:
    ours, theirs = net(name), net(name)
    draws = np.random.default_rng(2)
    anchor, along = (
        {key: draws.normal(0, 0.1, part.shape).astype(np.float32) for key, part in ours.named_parameters()}
        for _ in range(2)
    )
    torch.manual_seed(7)  # of dropout
    written_out(theirs.train(), plan, 0.3, anchor, along)
    torch.manual_seed(7)
    steps = LocalSteps(ours.train(), LOSS, engine(ours, plan), clip=plan.clip, pull=0.3, towards=anchor, along=along)
    order = np.random.default_rng(5)
    assert sum(steps.make(shuffled(ours, rows(), order, plan.batch)) for _ in range(2)) == 2 * 4
    for key, part in theirs.named_parameters():
        assert np.abs(part.detach().numpy() - taken(travelling(ours))[key]).max() <= 1e-6, key


def test_every_row_is_in_one_batch_in_the_order_that_was_drawn() -> None:
    held = rows(BLOCK + 70)
    parts = list(shuffled(net(), held, np.random.default_rng(3), 96))
    order = np.random.default_rng(3).permutation(len(held))
    assert np.array_equal(np.concatenate([part.answers.numpy() for part in parts]), held.answers.numpy()[order])
    assert np.array_equal(np.concatenate([part.weights.numpy() for part in parts]), held.weights.numpy()[order])
    assert [len(part) for part in parts] == [96] * (len(held) // 96) + [len(held) % 96]


@pytest.mark.parametrize("members", [1, 3])
@pytest.mark.parametrize("metric", ["rmse", "pinball_90"])
def test_a_loss_and_its_slope_are_those_of_the_equation(metric: str, members: int) -> None:
    draws = np.random.default_rng(4)
    outputs = torch.from_numpy(draws.normal(size=(6, members, 1))).requires_grad_()
    answers = draws.normal(size=6)
    told = loss_of(0, metric)(outputs, torch.from_numpy(answers))
    told.sum().backward()
    missed = answers[:, None] - outputs.detach().numpy()[:, :, 0]
    share = quantile_of(metric)
    each, slope = missed**2, -2 * missed
    if share is not None:
        each, slope = np.maximum(share * missed, (share - 1) * missed), np.where(missed > 0, -share, 1 - share)
    assert told.detach().numpy() == pytest.approx(each.mean(axis=1), abs=1e-12)
    assert outputs.grad is not None
    assert outputs.grad.numpy()[:, :, 0] == pytest.approx(slope / members, abs=1e-12)


@pytest.mark.parametrize("name", SHAPES)
def test_rows_laid_out_once_make_the_same_steps_to_the_bit(name: str) -> None:
    ours, theirs = net(name).train(), net(name).train()
    laid = replace(rows(), inputs=ours.columns.placed(rows().inputs))
    for made, held in ((ours, laid), (theirs, rows())):
        torch.manual_seed(7)  # of dropout
        LocalSteps(made, LOSS, engine(made, ADAMW), clip=0.5).make(
            shuffled(made, held, np.random.default_rng(5), ADAMW.batch)
        )
    for key, part in taken(travelling(theirs)).items():
        assert np.array_equal(part, taken(travelling(ours))[key]), key


def test_a_silo_with_many_rows_lays_them_out_block_by_block(monkeypatch: pytest.MonkeyPatch) -> None:
    job = job_of(FedAvg(), rounds=1)
    once, start = bench_of(job)
    monkeypatch.setattr(bench, "BLOCK", len(once.train) - 1)
    blocks, _ = bench_of(job)
    assert isinstance(once._train.inputs, Placed)
    assert isinstance(blocks._train.inputs, torch.Tensor)
    changed, other = once.change(start), blocks.change(start)
    assert changed.steps == other.steps > 0
    for key, part in changed.groups["delta"].items():
        assert np.array_equal(part, other.groups["delta"][key]), key
    assert once.train_loss(start) == pytest.approx(blocks.train_loss(start), rel=1e-6)


def test_a_part_without_a_gradient_stays_where_it_is() -> None:
    moved, still = torch.nn.Parameter(torch.ones(2)), torch.nn.Parameter(torch.ones(3))
    moved.grad = torch.tensor([1.0, -2.0])
    PlainSGD([moved, still], 0.1, 0.5).step()
    assert moved.tolist() == pytest.approx([1 - 0.1 * (1 + 0.5), 1 - 0.1 * (-2 + 0.5)])
    assert still.tolist() == [1.0, 1.0, 1.0]


def test_an_engine_that_is_given_anothers_moments_goes_on_as_that_one() -> None:
    whole, first = net().eval(), net().eval()  # without dropout

    def step(made: torch.nn.Module, mover: Any) -> None:
        LocalSteps(made, LOSS, mover, clip=0.0).make([rows()])

    undisturbed, cut = engine(whole, ADAMW), engine(first, ADAMW)
    for _ in range(3):
        step(whole, undisturbed)
        step(first, cut)
    second = net().eval()
    load(second, taken(travelling(first)))
    successor = engine(second, ADAMW)
    recall(successor, second, moments(cut, first))
    step(whole, undisturbed)
    step(second, successor)
    for name, part in taken(travelling(whole)).items():
        assert np.array_equal(part, taken(travelling(second))[name]), name


def test_weights_go_out_and_back_with_the_figures_of_norms() -> None:
    made = torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.BatchNorm1d(3))
    with torch.no_grad():
        made.train()(torch.randn(8, 2))
    told = taken(travelling(made))
    assert {"0.weight", "0.bias", "1.weight", "1.bias", "1.running_mean", "1.running_var"} == set(told)
    sent = {name: np.frombuffer(part.tobytes(), part.dtype).reshape(part.shape) for name, part in told.items()}
    other = torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.BatchNorm1d(3))
    load(other, sent)  # arrays of a message: nobody may write into them, and the net does not
    with torch.no_grad():
        other[0].bias += 1
    assert all(np.array_equal(sent[name], told[name]) for name in told)
    assert np.array_equal(taken(travelling(other))["1.running_var"], told["1.running_var"])
    with pytest.raises(KeyError, match=r"1\.running_mean"):
        load(other, {name: part for name, part in sent.items() if name != "1.running_mean"})


def test_a_step_of_plain_sgd_does_not_wait_for_torchs_compiler_to_be_imported() -> None:
    script = (
        "import sys\n"
        "from tests.federated.test_local_steps import LOSS, SGD, LocalSteps, engine, net, rows\n"
        "before = 'torch._dynamo' in sys.modules\n"
        "made = net()\n"
        "assert LocalSteps(made, LOSS, engine(made, SGD), clip=1.0).make([rows()]) == 1\n"
        "assert (before, 'torch._dynamo' in sys.modules) == (False, False)\n"
    )
    told = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=240)
    assert told.returncode == 0, told.stderr
