"""Forecasts by an LSTM of Keras, trained by TensorFlow Federated over silos that hold their own series."""

from collections import Counter
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar, Literal

import numpy as np

from cluster.resources import Resources
from cluster.wire import Arrays, Facts
from federated.dealt import check_hosts, deal, names_in, silo_column
from federated.federated_average import FederatedAverage
from federated.policy import USUAL, Policy, PolicyError
from federated.secure_aggregation.identity import found
from federated.strategies.fedavg import FedAvg
from federated.tff_call import TFFError, check_summed, trained
from federated.window_weights import weigh_alike, weight_of
from framework.contender import Context, Model
from framework.contenders.effect import Effect
from framework.contenders.history import History
from framework.contenders.planned import Planned
from framework.contenders.sequence import LONGEST, SQUARED
from framework.contenders.sequence_model import SequenceModel
from framework.contenders.windows import CHANNELS, Windows
from framework.data.frame import Fold
from framework.problem import Kind

if TYPE_CHECKING:
    import torch

LEAST_WINDOWS = 16  # of a silo that takes part


@dataclass(frozen=True)
class FederatedSequence:
    """One LSTM for all series, trained where they are: each silo makes windows of its own series' past and scales each
    by itself, so that no value of any series is needed to prepare another's. Silos agree on the steps of time: how long
    they are, and the season, as most have them; and on what a window weighs on average. One with other steps is left
    out, and a remark says so.

    A forecast starts from a series' latest values. So the model holds each silo's own history, as it holds parts that
    are fitted to one silo, and a silo with `Policy(personal=False)` takes no part. What is handed on to anybody else is
    the net. Where no round is better than the seasonal naive forecast on the silos' last origins, it is that.

    window: steps of the past; 0: two seasons, or two horizons if longer. windows: of a silo, at most.
    aggregator … rate: as in `FederatedTFF`; columns known ahead are not looked at.
    secure: secure aggregation, of "mean" alone: the coordinator learns the weighted mean of the silos' updates and
    scores, and the sums that tell the mean weight of a window, and no silo's own; three silos or more have to stay in
    each. How long a silo's steps and its season are is told as it is, and so is how many windows it has.
    """

    window: int = 0
    width: int = 32
    windows: int = 4000
    aggregator: Literal["mean", "robust", "compressed"] = "mean"
    server: Literal["sgd", "adam", "yogi"] = "adam"
    server_rate: float = 0.01
    rounds: int = 60
    patience: int = 15
    epochs: int = 2
    batch: int = 32
    rate: float = 0.1
    hosts: int = 1
    policy: Policy = USUAL
    secure: bool = False
    name: str = "federated lstm"
    cpus: float = 1.0  # of each host
    kinds: ClassVar[frozenset[Kind]] = frozenset({"forecast"})
    imports: ClassVar[tuple[str, ...]] = ("torch", "framework.contenders.windows")
    pooled: ClassVar[bool] = False

    @property
    def resources(self) -> Resources:
        return Resources(cpus=self.cpus, workers=self.hosts, apart=True)

    def fit(self, fold: Fold, context: Context) -> SequenceModel:
        """Raises DealError where there are no silos, TFFError where fewer than two have windows to learn from,
        FederationError where too few stay in a sum."""
        from cluster.connect import connect

        check_hosts(self.hosts, least=1)
        if self.secure:
            check_summed(self.aggregator)
        connect()
        horizon, metric = fold.problem.horizon, fold.problem.metric
        histories = self._histories(fold, context)
        season = Counter(history.season for history in histories.values()).most_common(1)[0][0]
        length = self.window or min(LONGEST, max(2 * season, 2 * horizon, 8))
        views = {
            silo: Windows(replace(history, season=season), length, 2 * horizon) for silo, history in histories.items()
        }
        rows = {silo: self._rows(windows, metric, horizon, context.seed) for silo, windows in views.items()}
        least = max(LEAST_WINDOWS, self.policy.minimum_count)
        rows = {silo: arrays for silo, arrays in rows.items() if len(arrays["y"]) >= least}
        for silo in sorted(set(views) - set(rows)):
            context.remark(f"{self.name}: silo {silo!r} has fewer than {least} windows, and takes no part")
        if len(rows) < 2:
            raise TFFError(f"{len(rows)} silo(s) have {least} windows or more; a federation takes 2.")
        identities = found(rows) if self.secure else {}
        weigh_alike(rows, identities, least=self.policy.minimum_count, seed=context.seed)
        weights, facts = trained(
            rows,
            self._settings(2 * horizon, metric, context.seed),
            context,
            hosts=self.hosts,
            cpus=self.cpus,
            rounds=self.rounds,
            patience=self.patience,
            least=max(1, self.policy.minimum_count) if self.patience else 0,
            identities=identities,
        )
        silos = np.isin(names_in(fold, silo_column(fold), valid=False), list(histories))
        taking = replace(fold, train=fold.train.take(np.flatnonzero(silos)))
        history = replace(_unplanned(History.learn(taking)), season=season)
        shape = {"time": length, "channels": CHANNELS, "horizon": 2 * horizon, "width": self.width, "dropout": 0.0}
        net = _net(weights, shape) if facts["rounds"] else None
        named = {"name": "lstm", **shape} if net is not None else {}
        windows = Windows(history, length, 2 * horizon)
        return SequenceModel(windows, net, named, facts["rounds"], Effect.learn(history))

    def settled(self, model: Model) -> "FederatedSequence":
        return replace(self, rounds=max(1, model.looks), patience=0) if isinstance(model, SequenceModel) else self

    def _settings(self, steps: int, metric: str, seed: int) -> Facts:
        names = ("width", "aggregator", "server", "server_rate", "epochs", "batch", "rate")
        plain: Facts = {"keras": "", "classes": 0, "outputs": steps, "squared": metric in SQUARED, "seed": seed}
        return {**{name: getattr(self, name) for name in names}, **plain}

    def _histories(self, fold: Fold, context: Context) -> dict[str, History]:
        """Of each silo that takes part, learned from its own rows."""
        job = FederatedAverage(strategy=FedAvg(), rounds=self.rounds, secure=self.secure).job(fold, context.seed)
        found: dict[str, History] = {}
        for source in deal(fold, self.policy):
            try:
                self.policy.check(job, silo=source.name, rows=len(source.train))
                if not self.policy.personal:
                    raise PolicyError(f"silo {source.name!r} lets no history of its own be part of a model.")
            except PolicyError as error:
                context.remark(f"{self.name}: {error}")
                continue
            found[source.name] = _unplanned(History.learn(replace(fold, train=source.train, valid=source.valid)))
        if not found:
            raise TFFError("no silo takes part in the forecast: each of them refuses by its policy.")
        calendars = {silo: history.calendar for silo, history in found.items()}
        steps = {silo: (each.months, float(f"{each.spacing:.2g}")) for silo, each in calendars.items()}
        usual = Counter(steps.values()).most_common(1)[0][0]
        for silo in [silo for silo, step in steps.items() if step != usual]:
            context.remark(f"{self.name}: silo {silo!r} has other steps of time than most, and takes no part")
            del found[silo]
        return found

    def _rows(self, windows: Windows, metric: str, horizon: int, seed: int) -> Arrays:
        """A silo's windows as they are opened over there: to learn from, and its last origins to stop by."""
        learned = horizon if self.patience else 0  # once the rounds are known, all windows are learned from
        early = windows.pairs(most=self.windows, since=None, until=learned, seed=seed)
        late = windows.pairs(most=self.windows // 4, since=horizon, until=0, seed=seed)
        arrays: Arrays = {}
        for prefix, (codes, origins, stops) in (("", early), ("valid ", late)):
            weight = weight_of(windows, codes, origins, metric).astype(np.float32)
            arrays[f"{prefix}X"] = windows.past(codes, origins)
            arrays[f"{prefix}y"] = np.column_stack([windows.ahead(codes, origins, stops), weight])
        return arrays


def _unplanned(history: History) -> History:
    return replace(history, planned=Planned(), plans=None)


def _net(weights: list[np.ndarray], shape: Facts) -> "torch.nn.Module":
    """The framework's own LSTM with the weights that Keras has learned; both have i, f, g, o in this order."""
    import torch

    from framework.nets import build_series

    kernel, recurrent, bias, head, offset = (torch.from_numpy(np.array(part)) for part in weights)
    net = build_series("lstm", **shape)
    cells = {"weight_ih_l0": kernel.T, "weight_hh_l0": recurrent.T, "bias_ih_l0": bias, "bias_hh_l0": 0 * bias}
    named = {f"cells.{name}": part for name, part in cells.items()}
    net.load_state_dict({**named, "head.weight": head.T, "head.bias": offset})
    return net.eval()
