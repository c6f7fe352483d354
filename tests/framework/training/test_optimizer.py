"""Which weights decay."""

import pytest
import torch

from framework.contenders.net import TableNet
from framework.nets import TABLE_NETS, build, build_series
from framework.training.optimizer import groups, optimizer
from framework.training.plan import Plan

CARDS = [0, 0, 5]


def nets() -> dict[str, torch.nn.Module]:
    shape = {"edges": 4, "width": 8, "layers": 1, "members": 2, "outputs": 1, "dropout": 0.0}
    series = {name: build_series(name, time=24, channels=2, horizon=3) for name in ("lstm", "patches", "tcn")}
    tables = {name: build(name, cards=CARDS, outputs=1) for name in TABLE_NETS}
    return {"neural": TableNet(cards=CARDS, **shape), **tables, **series}


@pytest.mark.parametrize("name", ["neural", *TABLE_NETS, "lstm", "patches", "tcn"])
def test_layers_decay_and_biases_norms_and_embeddings_do_not(name: str) -> None:
    net = nets()[name]
    decaying, still = groups(net, 0.1)
    assert (decaying["weight_decay"], still["weight_decay"]) == (0.1, 0.0)
    places = [id(part) for group in (decaying, still) for part in group["params"]]
    assert sorted(places) == sorted(id(part) for part in net.parameters())
    named = {id(part): path for path, part in net.named_parameters()}
    told = [named[id(part)] for part in still["params"]]
    assert not [path for path in told if path.endswith(("layers.0.weight", "head.weight", "body.0.weight"))]
    kept = [named[id(part)] for part in decaying["params"]]
    spared = ("bias", "table.weight", "gaps", "offset", "offsets", "scales", "position", "embeddings.0.weight")
    assert not [path for path in kept if path.endswith(spared)]


def test_a_step_without_gradient_shrinks_what_decays_and_nothing_else() -> None:
    net = build("ft_transformer", cards=CARDS, outputs=1)
    before = {path: part.detach().clone() for path, part in net.named_parameters()}
    for part in net.parameters():
        part.grad = torch.zeros_like(part)
    optimizer(net, Plan(looks=1, batch=8, learning_rate=0.1, weight_decay=0.5)).step()
    after = dict(net.named_parameters())
    torch.testing.assert_close(after["blocks.0.wide.weight"], before["blocks.0.wide.weight"] * 0.95)
    for path in ("tokens.weight", "tokens.table.weight", "blocks.0.norm_2.weight", "head.2.bias"):
        assert torch.equal(after[path], before[path])
