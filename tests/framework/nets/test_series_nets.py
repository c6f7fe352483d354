"""The nets for series: shapes, and what their equations say."""

import numpy as np
import pytest
import torch

from framework.nets import SERIES_NETS, NetError, build_series
from framework.nets.tcn import TCN, Causal, enough

each = pytest.mark.parametrize("name", SERIES_NETS)


def windows(batch: int = 5, time: int = 24, channels: int = 3) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(0).normal(size=(batch, time, channels)).astype(np.float32))


@each
@pytest.mark.parametrize("static", [0, 2])
@pytest.mark.parametrize("time", [1, 7, 24])
def test_a_window_has_an_answer_for_every_step_ahead(name: str, static: int, time: int) -> None:
    torch.manual_seed(0)
    net = build_series(name, time=time, channels=3, horizon=6, static=static, width=8)
    about = torch.randn(5, static) if static else None
    told = net(windows(time=time), about)
    assert told.shape == (5, 6)
    told.square().mean().backward()
    assert all(part.grad is not None and part.grad.isfinite().all() for part in net.parameters())
    net.eval()
    one = net(windows(time=time)[:1], None if about is None else about[:1])
    assert torch.allclose(one, net(windows(time=time), about)[:1], atol=1e-6)
    if about is not None:
        assert not torch.allclose(net(windows(time=time), about + 1), net(windows(time=time), about), atol=1e-3)


def test_an_unknown_series_net_is_told() -> None:
    assert len(SERIES_NETS) >= 3
    with pytest.raises(NetError, match=r"'patch'.*'patches'"):
        build_series("patch", time=4, channels=1, horizon=1)


@pytest.mark.parametrize("name", ["patches", "tcn"])
def test_a_compiler_sees_one_graph_of_windows(name: str) -> None:
    """torch's compiler takes an LSTM only in parts."""
    net = build_series(name, time=24, channels=3, horizon=6, width=8).eval()
    assert torch.allclose(torch.compile(net, fullgraph=True, backend="eager")(windows()), net(windows()), atol=1e-6)


def test_lstm_is_its_equations() -> None:
    torch.manual_seed(0)
    net = build_series("lstm", time=24, channels=3, horizon=6, width=4).eval()
    told = {name: part.detach().numpy().astype(np.float64) for name, part in net.named_parameters()}
    W, U = told["cells.weight_ih_l0"], told["cells.weight_hh_l0"]
    offset = told["cells.bias_ih_l0"] + told["cells.bias_hh_l0"]
    x, h, c = windows().numpy().astype(np.float64), np.zeros((5, 4)), np.zeros((5, 4))
    for t in range(24):
        i, f, g, o = np.split(x[:, t] @ W.T + h @ U.T + offset, 4, axis=1)
        i, f, o = (1 / (1 + np.exp(-gate)) for gate in (i, f, o))
        c = f * c + i * np.tanh(g)
        h = o * np.tanh(c)
    assert np.allclose(net(windows()).detach().numpy(), h @ told["head.weight"].T + told["head.bias"], atol=1e-6)


@pytest.mark.parametrize("dilation", [1, 3])
def test_a_causal_convolution_is_its_equation(dilation: int) -> None:
    torch.manual_seed(0)
    layer = Causal(3, 2, kernel=3, dilation=dilation)
    W, offset = layer.convolution.weight.detach().numpy(), layer.convolution.bias.detach().numpy()
    x = windows().numpy().transpose(0, 2, 1)
    expected = np.tile(offset[:, None], (5, 1, 24))
    for t in range(24):
        for i in range(3):
            if (past := t - dilation * (2 - i)) >= 0:
                expected[:, :, t] += x[:, :, past] @ W[:, :, i].T
    assert np.allclose(layer(torch.from_numpy(x)).detach().numpy(), expected, atol=1e-6)


def test_a_changed_future_changes_nothing_in_the_past() -> None:
    torch.manual_seed(0)
    net = build_series("tcn", time=24, channels=3, horizon=6).eval()
    before, after = windows(), windows()
    after[:, 15:] += 5
    assert torch.equal(net.steps(before)[:, :15], net.steps(after)[:, :15])
    assert not torch.allclose(net.steps(before)[:, 15], net.steps(after)[:, 15])


def test_the_last_step_sees_as_far_back_as_it_says() -> None:
    torch.manual_seed(0)
    net = TCN(time=40, channels=1, horizon=1, width=16, blocks=3, kernel=3).double().eval()
    assert net.sees == 1 + 2 * 2 * 7 == 29
    x = torch.randn(8, 40, 1, dtype=torch.float64)
    for back, matters in ((28, True), (29, False)):
        other = x.clone()
        other[:, 39 - back] += 3
        assert torch.equal(net(other), net(x)) is not matters
    assert [enough(time, 3) for time in (1, 5, 6, 13, 14, 29)] == [1, 1, 2, 2, 3, 3]


@pytest.mark.parametrize(("time", "length", "stride"), [(24, 8, 4), (25, 8, 3), (5, 16, 8), (336, 16, 8)])
def test_patches_are_cut_as_in_the_paper(time: int, length: int, stride: int) -> None:
    net = build_series("patches", time=time, channels=1, horizon=1, width=8, length=length, stride=stride)
    x = windows(time=time, channels=1)
    padded = torch.nn.ReplicationPad1d((0, stride))(x.transpose(1, 2))
    assert torch.equal(net.cut(x), padded.unfold(-1, min(time, length), stride)[:, 0])
    assert net.cut(x).shape[1] == net.count
    if (time, length, stride) == (336, 16, 8):
        assert net.count == 42  # PatchTST/42


@each
def test_it_learns_to_go_on_with_a_wave(name: str) -> None:
    torch.manual_seed(0)
    start = torch.rand(256, 1) * 12
    wave = torch.sin(2 * torch.pi * (start + torch.arange(30)) / 12)
    net = build_series(name, time=24, channels=1, horizon=6, width=16)
    engine = torch.optim.AdamW(net.parameters(), lr=0.01)
    for _ in range(60):
        loss = (net(wave[:192, :24, None]) - wave[:192, 24:]).square().mean()
        engine.zero_grad()
        loss.backward()
        engine.step()
    with torch.no_grad():
        error = (net.eval()(wave[192:, :24, None]) - wave[192:, 24:]).square().mean()
    assert error < 0.05  # the wave's variance is 0.5
