"""Epoch after epoch: embeddings in, gradients out, until no party gains; and back to what was kept if one is lost."""

import logging
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from cluster.wire import Arrays
from federated.vertical.half import LOOKING, Half
from federated.vertical.head import Head
from federated.vertical.links import Links, LostPartyError
from federated.vertical.plan import Schedule, VerticalError
from federated.vertical.question import finite
from framework.contender import Context, OutOfTimeError

log = logging.getLogger(__name__)

SPARE_SHARE = 0.1  # of the time, kept for what follows the last step
BLOCK = 4096  # rows that are answered at once
RETURNS = 3  # of one party whose process was lost, as often as Ray starts it anew


@dataclass(frozen=True)
class Mark:
    """How far the training was when all parties had kept their nets, which are the best so far.

    score: the loss on the rows to stop by. order: the state of the generator that rows are drawn in turn by.
    """

    epoch: int
    score: float
    step: int
    order: Mapping[str, Any]


def _nothing() -> None:
    """There is nothing to be done."""


class Training:
    """places: party → where the common rows stand in the list agreed with it. learn, stop: of the common rows.

    scores: after each epoch, nan without rows to stop by. happenings: who was lost, when. gradients: party → those of
    the first epoch with the rows they are of, batch by batch. means, bottoms: see `Trained`; the owner's mean first.
    """

    def __init__(
        self,
        links: Links,
        own: Half,
        head: Head,
        places: Mapping[str, np.ndarray],
        learn: np.ndarray,
        stop: np.ndarray,
        *,
        embedding: int,
    ) -> None:
        self._links, self._own, self._head = links, own, head
        self._places, self._embedding = dict(places), embedding
        self._learn, self._stop = learn, stop
        self._lost = dict.fromkeys(places, 0)
        self.scores: list[float] = []
        self.happenings: list[str] = []
        self.gradients: dict[str, list[tuple[np.ndarray, np.ndarray]]] = {}
        self.means: list[np.ndarray] = []
        self.bottoms: dict[str, Arrays] = {}
        self.mark = Mark(0, math.inf, 0, {})

    def run(self, schedule: Schedule, context: Context, spare: float) -> None:
        """Trains, and leaves all nets at their best. spare: seconds before the deadline that no step is made in.

        A party whose process was lost goes back, with all others, to what they kept after the best epoch: the epochs
        since are made again by the same draws, and the model is that of a training in which nothing was lost.
        Raises OutOfTimeError before the first epoch's end, LostPartyError for a party that has nothing to go back to.
        """
        order = np.random.default_rng(schedule.seed)
        self._keep(Mark(0, math.inf, 0, order.bit_generator.state))
        while True:
            try:
                self._epochs(schedule, context, spare, order)
                if not self.mark.epoch:
                    raise OutOfTimeError("the time was over before the end of the first epoch. Give it more minutes.")
                self._go_back()
                self.means = [each.mean(axis=0) for each in self._seen(self._learn)]
                self.bottoms = self._disclosed()
                return
            except LostPartyError as lost:
                self._return(lost)

    def _epochs(self, schedule: Schedule, context: Context, spare: float, order: np.random.Generator) -> None:
        """From the mark on, as many as are planned, gain and fit into the time."""
        order.bit_generator.state = self.mark.order
        step = self.mark.step
        for epoch in range(self.mark.epoch + 1, schedule.epochs + 1):
            if epoch == 1:
                self.gradients = {party: [] for party in self._places}
            batches = list(_parts(order.permutation(self._learn), schedule.batch))
            if not self._steps(batches, step, lambda: context.remaining() <= spare, first=epoch == 1):
                return
            step += len(batches)
            score = self._head.loss(self._seen(self._stop), self._stop) if len(self._stop) else math.nan
            if epoch > len(self.scores):  # not made again
                self.scores.append(score)
                context.report(epoch, valid_loss=score)
            if not score >= self.mark.score:  # without rows to stop by, the last is the best
                self._keep(Mark(epoch, score, step, order.bit_generator.state))
            if schedule.patience and epoch - self.mark.epoch >= schedule.patience:
                return

    def _steps(self, batches: list[np.ndarray], step: int, over: Callable[[], bool], *, first: bool) -> bool:
        """A step of all optimizers by each batch, unless the time is over before one; whether it was not.

        Parties are sent their gradients with the next question, so that each step takes one call to each host: they
        answer while the owner does the same on its own part.
        """
        own: Callable[[], None] = _nothing
        for number, batch in enumerate(batches, start=step):
            if over():
                return False
            gradients = self._head.learn(self._embed(batch, number, own), batch)
            sent = dict(zip(self._places, gradients[1:], strict=True))
            asked = {party: {"gradient": {"rows": each}} for party, each in sent.items()}
            self._links.post("descend", "ready", asked, step=number)
            own = partial(self._own.descend, gradients[0], number)
            if first:
                for party, gradient in sent.items():
                    self.gradients[party].append((gradient, batch))
        own()
        return True

    def _embed(
        self, batch: np.ndarray, step: int = LOOKING, meanwhile: Callable[[], None] = _nothing
    ) -> list[np.ndarray]:
        """The embeddings of these common rows, the owner's first. step: of training; LOOKING: none is learned from.
        meanwhile: done by the owner before its own, when the others have been asked."""
        asked = {party: {"places": {"rows": places[batch]}} for party, places in self._places.items()}
        facts = {"learning": step != LOOKING}
        waiting = self._links.send("embed", "embedding", asked, step=max(0, step), facts=facts)
        meanwhile()
        told, shape = [self._own.embed(batch, step)], (len(batch), self._embedding)
        for party, answer in self._links.answers(waiting).items():
            with np.errstate(over="ignore"):  # what is too large is not finite then
                array = answer.groups["embedding"].get("rows", np.empty(0)).astype(np.float32)
            if array.shape != shape or not finite(array):
                raise VerticalError(
                    f"party {party!r} told embeddings that are not finite, or of another shape: {array.shape}, "
                    f"{int((~np.isfinite(array)).sum())} of them not finite, where {shape} was asked for. Ask whose it "
                    f"is, or leave the party out."
                )
            told.append(array)
        return told

    def _seen(self, rows: np.ndarray) -> list[np.ndarray]:
        """The embeddings of many rows, from which nothing is learned."""
        blocks = [self._embed(block) for block in _parts(rows, BLOCK)]
        return [np.concatenate(each) for each in zip(*blocks, strict=True)]

    def _disclosed(self) -> dict[str, Arrays]:
        """The parties' nets, for a model that answers without them."""
        answers = self._links.ask_each("disclose", "bottom", {party: {} for party in self._places})
        nets = {party: answer.groups["weights"] for party, answer in answers.items()}
        for party, net in nets.items():
            if wrong := [name for name, array in net.items() if not finite(array)]:
                raise VerticalError(f"party {party!r} disclosed a net whose {wrong[0]!r} is not finite.")
        return nets

    def _keep(self, mark: Mark) -> None:
        """All keep their nets. The mark moves once all have: before, all can still go back to the one before."""
        self._own.kept.keep(mark.epoch)
        self._head.kept.keep(mark.epoch)
        self._tell("keep", mark.epoch)
        self.mark = mark

    def _go_back(self) -> None:
        """All go back to what they kept at the mark."""
        self._own.kept.restore(self.mark.epoch)
        self._head.kept.restore(self.mark.epoch)
        self._tell("restore", self.mark.epoch)

    def _return(self, lost: LostPartyError) -> None:
        """All go back, the party that was lost among them. Raises LostPartyError where it cannot, or does so often."""
        party = lost.party
        self._lost[party] += 1
        if self._lost[party] > RETURNS:
            raise LostPartyError(party, lost.kind, f"{lost.why}, which is once more than {RETURNS} times")
        self._go_back()
        self.happenings.append(
            f"party {party!r} was lost at {lost.kind!r} ({lost.why}) and went on from what it kept after epoch "
            f"{self.mark.epoch}"
        )
        log.info("vertical: %s", self.happenings[-1])

    def _tell(self, kind: str, epoch: int) -> None:
        self._links.ask_each(kind, "ready", {party: {} for party in self._places}, step=epoch)


def _parts(rows: np.ndarray, size: int) -> Iterator[np.ndarray]:
    return (rows[begin : begin + size] for begin in range(0, len(rows), size))
