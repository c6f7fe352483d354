"""The target's owner: it matches ids with each party, trains the net with them, and alone knows the answers."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from cluster.wire import Arrays
from federated.vertical.half import LOOKING, Half, seeded
from federated.vertical.holding import Answers, Holding
from federated.vertical.leak import LabelLeak, label_leak
from federated.vertical.links import Links
from federated.vertical.party import rows_of
from federated.vertical.plan import NetPlan, PartyJob, Schedule, VerticalError
from framework.contender import Context, OutOfTimeError
from framework.contenders.native import Native
from framework.contenders.net_rows import NetRows
from framework.contenders.target import Target

if TYPE_CHECKING:
    import torch

SPARE_SHARE = 0.1  # of the time, kept for what follows the last step
BLOCK = 4096  # rows that are answered at once


@dataclass(frozen=True)
class Trained:
    """bottoms: party → its net, the owner's own first; means: party → its mean embedding of the rows learned from.

    rows: what the outputs mean. learned: the rows learned from; common: all that every party has. epochs: after which
    it was best. scores: the loss on the rows to stop by after each epoch, nan without any. leaks: party → what its
    gradients of the first epoch told of the rows' classes; for two classes alone.
    """

    rows: NetRows
    top: Arrays = field(repr=False)
    bottoms: dict[str, Arrays] = field(repr=False)
    means: dict[str, np.ndarray] = field(repr=False)
    learned: int
    common: int
    epochs: int
    scores: list[float] = field(repr=False)
    leaks: dict[str, LabelLeak]


class Owner:
    """jobs: what is asked of each party. classes: how many the target has, 0 for a quantity. agreed: as `Party` has
    it."""

    def __init__(
        self,
        holding: Holding,
        answers: Answers,
        links: Links,
        jobs: Mapping[str, PartyJob],
        *,
        classes: int = 0,
        agreed: Sequence[str] | None = None,
    ) -> None:
        self._holding, self._answers, self._links, self._jobs = holding, answers, links, dict(jobs)
        self._classes, self._agreed = classes, agreed
        self._places: dict[str, np.ndarray] = {}  # party → where the common rows stand in the list agreed with it

    def train(self, net: NetPlan, schedule: Schedule, *, metric: str, context: Context) -> Trained:
        """Raises VerticalError naming the party that refuses or fails, OutOfTimeError before the first epoch's end."""
        import torch

        from federated.vertical.nets import Top
        from framework.training.optimizer import groups

        spare = SPARE_SHARE * context.remaining() if math.isfinite(context.deadline) else 0.0
        rows = self._match()
        learn, stop = (np.flatnonzero(np.isin(rows, part)) for part in (self._answers.learn, self._answers.stop))
        if not len(learn):
            raise VerticalError("no row to learn from is known to all parties. Do their ids mean the same?")
        for party, job in self._jobs.items():
            places = {"places": {"learn": self._places[party][learn]}}
            self._links.ask(party, "prepare", "prepared", facts={"job": job.to_facts()}, groups=places)
        own = Half(self._holding, rows, learn, net)
        y, weight = self._answers.y[rows], np.ones(len(rows))
        if self._answers.weight is not None:
            weight = self._answers.weight[rows]
        target = Target() if self._classes else Target.learn(y[learn], weight[learn])
        encoder = NetRows(Native(self._holding.schema), target, self._classes)
        loss = encoder.loss(metric)
        answers = torch.from_numpy(y if self._classes else target.forward(y).astype(np.float32))
        weights = torch.from_numpy(weight.astype(np.float32))
        with seeded(self._holding.seed, self._holding.name, "top"):
            top = Top(1 + len(self._jobs), encoder.outputs, net)
        engine = torch.optim.AdamW(groups(top, net.weight_decay), lr=net.rate)

        def missed(embeddings: "list[torch.Tensor]", batch: np.ndarray) -> "torch.Tensor":
            part = torch.from_numpy(batch)
            return (loss(top(embeddings), answers[part]) * weights[part]).sum() / weights[part].sum()

        order = np.random.default_rng(schedule.seed)
        best, best_epoch, best_top, step = math.inf, 0, _copy(top), 0
        scores: list[float] = []
        sent: dict[str, list[tuple[np.ndarray, np.ndarray]]] = {party: [] for party in self._jobs}
        for epoch in range(1, schedule.epochs + 1):
            for batch in _parts(order.permutation(learn), schedule.batch):
                if context.remaining() <= spare:
                    break
                told = [torch.from_numpy(each.copy()).requires_grad_() for each in self._embed(own, batch, step)]
                engine.zero_grad(set_to_none=True)
                missed(told, batch).backward()
                engine.step()
                gradients = [each.grad.numpy() for each in told]
                self._descend(own, gradients, step)
                if epoch == 1 and self._classes == 2:
                    for party, gradient in zip(self._jobs, gradients[1:], strict=True):
                        sent[party].append((gradient, y[batch]))
                step += 1
            else:
                score = math.nan
                if len(stop):
                    with torch.inference_mode():
                        score = float(missed([torch.from_numpy(each) for each in self._seen(own, stop)], stop))
                scores.append(score)
                context.report(epoch, valid_loss=score)
                if not score >= best:  # without rows to stop by, the last is the best
                    best, best_epoch, best_top = score, epoch, _copy(top)
                    self._tell(own, "keep")
                if not schedule.patience or epoch - best_epoch < schedule.patience:
                    continue
            break
        if not best_epoch:
            raise OutOfTimeError("the time was over before the end of the first epoch. Give it more minutes.")
        self._tell(own, "restore")
        means = [each.mean(axis=0) for each in self._seen(own, learn)]
        nets = {party: self._links.ask(party, "disclose", "bottom").groups["weights"] for party in self._jobs}
        return Trained(
            encoder,
            {name: part.numpy() for name, part in best_top.items()},
            {self._holding.name: own.weights(), **nets},
            dict(zip([self._holding.name, *self._jobs], means, strict=True)),
            len(learn),
            len(rows),
            best_epoch,
            scores,
            {party: label_leak(batches) for party, batches in sent.items() if batches},
        )

    def _match(self) -> np.ndarray:
        """The owner's rows that all parties have too, in the order of their ids."""
        agreed = None if self._agreed is None else sorted(self._agreed)
        found = {party: self._links.match(party, self._holding) if agreed is None else agreed for party in self._jobs}
        common = set(self._holding.ids if agreed is None else agreed).intersection(*found.values())
        for party, ids in found.items():
            self._places[party] = np.array([place for place, each in enumerate(ids) if each in common], dtype=np.int64)
        return rows_of(self._holding, list(common))

    def _embed(self, own: Half, batch: np.ndarray, step: int = LOOKING) -> list[np.ndarray]:
        """The embeddings of these common rows, the owner's first. step: of training; LOOKING: none is learned from."""
        told = [own.embed(batch, step)]
        facts = {"learning": step != LOOKING}
        for party, job in self._jobs.items():
            places = {"places": {"rows": self._places[party][batch]}}
            answer = self._links.ask(party, "embed", "embedding", step=max(0, step), facts=facts, groups=places)
            array = answer.groups["embedding"]["rows"]
            if array.shape != (len(batch), job.net.embedding) or not np.isfinite(array).all():
                raise VerticalError(f"party {party!r} told embeddings that are not finite, or of another shape.")
            told.append(array.astype(np.float32))
        return told

    def _seen(self, own: Half, rows: np.ndarray) -> list[np.ndarray]:
        """The embeddings of many rows, from which nothing is learned."""
        blocks = [self._embed(own, block) for block in _parts(rows, BLOCK)]
        return [np.concatenate(each) for each in zip(*blocks, strict=True)]

    def _descend(self, own: Half, gradients: list[np.ndarray], step: int) -> None:
        own.descend(gradients[0], step)
        for party, gradient in zip(self._jobs, gradients[1:], strict=True):
            self._links.ask(party, "descend", "ready", step=step, groups={"gradient": {"rows": gradient}})

    def _tell(self, own: Half, kind: str) -> None:
        """All parties keep their nets as the best so far, or go back to them."""
        (own.keep if kind == "keep" else own.restore)()
        for party in self._jobs:
            self._links.ask(party, kind, "ready")


def _parts(rows: np.ndarray, size: int) -> Iterator[np.ndarray]:
    return (rows[begin : begin + size] for begin in range(0, len(rows), size))


def _copy(net: "torch.nn.Module") -> "dict[str, torch.Tensor]":
    return {name: part.detach().clone() for name, part in net.state_dict().items()}
