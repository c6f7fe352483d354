"""A forecast by one net for all series, which reads a window of the past and tells all steps ahead at once."""

import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np

from cluster.resources import Resources
from framework.contender import Context, Model
from framework.contenders.effect import Effect
from framework.contenders.history import History
from framework.contenders.sequence_model import SequenceModel
from framework.contenders.target import quantile_of
from framework.contenders.watch import Watch
from framework.contenders.windows import CHANNELS, Windows
from framework.data.frame import Fold
from framework.problem import Kind
from framework.search_space import Real, Settings, Space, Whole

if TYPE_CHECKING:
    import torch

    from framework.training.loop import Loss
    from framework.training.rows import Rows

LEAST_WINDOWS = 16
LEAST_STEPS = 8  # from look to look; a few windows are gone through as often as that takes
LONGEST = 512  # steps of a window
SQUARED = ("rmse", "r2", "adjusted_r2")


@dataclass(frozen=True)
class Sequence:
    """An LSTM, a Transformer on patches or a temporal convolutional net over windows of each series' past.

    What it stops early by are the last origins of the training rows; then it learns once more from all of them, so
    that the validation rows stay unseen. Where no look at them was better than the seasonal naive forecast, it is that.
    What columns known ahead add is taken out of the past before, by a regression, and put back into the forecast.
    window: steps of the past; 0: two seasons, or two horizons if longer. windows: at most. looks: at the last origins,
    after each epoch, or after some steps where that is longer; patience: looks without gain before it stops.
    """

    net: Literal["lstm", "patches", "tcn"] = "lstm"
    window: int = 0
    width: int = 48
    dropout: float = 0.1
    windows: int = 20_000
    batch: int = 128
    learning_rate: float = 0.003
    weight_decay: float = 0.01
    looks: int = 100
    patience: int = 10
    chosen: bool = False  # what early stopping found is in `looks` already
    name: str = ""
    cpus: float = 1.0
    gpus: float = 0.0
    kinds: ClassVar[frozenset[Kind]] = frozenset({"forecast"})
    imports: ClassVar[tuple[str, ...]] = ("framework.contenders.windows", "framework.training.loop")
    pooled: ClassVar[bool] = True
    # Ranges: Lim et al. 2021 (temporal fusion transformer), appendix A, to this net's widths.
    space: ClassVar[Space] = {
        "learning_rate": Real(0.0003, 0.01, log=True),
        "width": Whole(16, 128, log=True),
        "dropout": Real(0.0, 0.5),
    }
    portfolio: ClassVar[tuple[Settings, ...]] = (
        {"learning_rate": 0.001, "width": 64, "dropout": 0.1},
        {"learning_rate": 0.003, "width": 24, "dropout": 0.3},
        {"learning_rate": 0.01, "width": 32, "dropout": 0.1},
    )

    def __post_init__(self) -> None:
        if not self.name:
            object.__setattr__(self, "name", f"sequence/{self.net}")

    @property
    def resources(self) -> Resources:
        return Resources(cpus=self.cpus, gpus=self.gpus)

    def fit(self, fold: Fold, context: Context) -> SequenceModel:
        import torch

        torch.set_num_threads(context.threads)
        learned, horizon = History.learn(fold), fold.problem.horizon
        effect = Effect.learn(learned)
        history = effect.without(learned)
        length = self.window or min(LONGEST, max(2 * history.season, 2 * horizon, 8))
        windows = Windows(history, length, 2 * horizon)
        metric, looks = fold.problem.metric, self.looks
        everything = windows.pairs(most=self.windows, since=None, until=0, seed=context.seed)
        if len(everything[0]) < LEAST_WINDOWS:
            looks = 0
        elif not self.chosen:
            early = windows.pairs(most=self.windows, since=None, until=horizon, seed=context.seed)
            late = windows.pairs(most=self.windows // 4, since=horizon, until=0, seed=context.seed)
            if len(early[0]) >= LEAST_WINDOWS and len(late[0]):
                half = replace(context, deadline=time.time() + context.remaining() / 2)
                _, looks = self._train(windows, early, late, metric, half, looks)
        if not looks:
            return SequenceModel(windows, None, {}, 0, effect)
        nothing = tuple(part[:0] for part in everything)
        net, looks = self._train(windows, everything, nothing, metric, context, looks)
        return SequenceModel(windows, net, {"name": self.net, **self._shape(windows)}, looks, effect)

    def settled(self, model: Model) -> "Sequence":
        return replace(self, looks=model.looks, chosen=True) if isinstance(model, SequenceModel) else self

    def _shape(self, windows: Windows) -> dict[str, Any]:
        shape = {"time": windows.length, "channels": CHANNELS, "horizon": windows.steps}
        return {**shape, "width": self.width, "dropout": self.dropout}

    def _train(
        self,
        windows: Windows,
        train_pairs: tuple[np.ndarray, ...],
        valid_pairs: tuple[np.ndarray, ...],
        metric: str,
        context: Context,
        looks: int,
    ) -> tuple["torch.nn.Module", int]:
        """The net and its looks; 0 of them where the naive forecast was better on the validation pairs."""
        import torch

        from framework.nets import build_series
        from framework.training.loop import train

        device = "cuda" if context.gpus > 0 else "cpu"
        times = -(-LEAST_STEPS * self.batch // len(train_pairs[0]))
        often = tuple(np.tile(part, times) for part in train_pairs)
        rows, valid = (_rows(windows, pairs, metric, device) for pairs in (often, valid_pairs))
        watch, loss = Watch(context, self.patience), _loss(metric)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(context.seed)
            net = build_series(self.net, **self._shape(windows))
            torch.nn.init.zeros_(net.head.weight)  # it starts as the naive forecast
            torch.nn.init.zeros_(net.head.bias)
            net = net.to(device)
            found = train(
                net,
                rows,
                valid,
                watch,
                loss=loss,
                looks=looks,
                batch=self.batch,
                learning_rate=self.learning_rate,
                weight_decay=self.weight_decay,
                seed=context.seed,
            )
        if len(valid) and watch.best is not None:
            floor = loss(torch.zeros_like(valid.answers), valid.answers)
            if float((floor * valid.weights).sum() / valid.weights.sum()) <= watch.best:
                found = 0
        return net.cpu().eval(), found


def _rows(windows: Windows, pairs: tuple[np.ndarray, ...], metric: str, device: str) -> "Rows":
    """Windows as a loop takes them; each weighs what its error will weigh in the forecast's metric."""
    import torch

    from framework.training.rows import Rows

    codes, origins, stops = pairs
    scale = windows.scale(codes, origins)
    if metric == "mase":
        weight = scale / windows.history.error[codes]
    elif metric in SQUARED:
        weight = scale**2
    elif metric in ("smape", "mape"):
        mean = np.abs(windows.history.mean(codes, origins, windows.length))
        weight = scale / np.maximum(mean, windows.history.error[codes])
    else:
        weight = scale
    weight = np.clip(weight / weight.mean(), 0.01, 20.0) if len(weight) else weight
    arrays = (windows.past(codes, origins), windows.ahead(codes, origins, stops), weight.astype(np.float32))
    return Rows(*(torch.from_numpy(np.ascontiguousarray(array)).to(device) for array in arrays))


def _loss(metric: str) -> "Loss":
    """A window's mean loss over the steps that have an answer."""
    import torch

    quantile = None if metric in SQUARED else quantile_of(metric) or 0.5

    def missed(outputs: "torch.Tensor", answers: "torch.Tensor") -> "torch.Tensor":
        there = ~answers.isnan()
        error = torch.where(there, answers - outputs, 0.0)
        each = error**2 if quantile is None else torch.maximum(quantile * error, (quantile - 1) * error)
        return each.sum(dim=1) / there.sum(dim=1).clamp_min(1)

    return missed
