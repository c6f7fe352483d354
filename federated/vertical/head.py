"""The owner's part above all embeddings: the top net, its optimizer and the loss by the answers."""

from typing import TYPE_CHECKING

import numpy as np

from cluster.wire import Arrays
from federated.net_weights import taken
from federated.vertical.half import seeded
from federated.vertical.holding import Holding
from federated.vertical.kept import Kept
from federated.vertical.plan import NetPlan
from framework.contenders.net_rows import NetRows

if TYPE_CHECKING:
    import torch


class Head:
    """The top net over the embeddings of `parties`, the owner among them."""

    def __init__(
        self,
        holding: Holding,
        rows: NetRows,
        y: np.ndarray,
        weight: np.ndarray,
        parties: int,
        plan: NetPlan,
        metric: str,
    ) -> None:
        """rows: what the outputs mean. y: class codes or values of the common rows, weight: how much each counts, both
        shape (rows,). metric: what the loss is to serve."""
        import torch

        from federated.vertical.nets import Top
        from framework.training.optimizer import groups

        answers = y if rows.classes else rows.target.forward(y).astype(np.float32)
        self._answers, self._weights = torch.from_numpy(answers), torch.from_numpy(weight.astype(np.float32))
        self._loss = rows.loss(metric)
        with seeded(holding.seed, holding.name, "top"):
            self._net = Top(parties, rows.outputs, plan)
        self._engine = torch.optim.AdamW(groups(self._net, plan.weight_decay), lr=plan.rate)
        self.kept = Kept(self._net, self._engine)

    def learn(self, told: list[np.ndarray], batch: np.ndarray) -> list[np.ndarray]:
        """One step of the optimizer. told: the embeddings of these common rows, one array for each party. Returns the
        gradient by each, in its shape."""
        import torch

        embeddings = [torch.from_numpy(each.copy()).requires_grad_() for each in told]
        self._engine.zero_grad(set_to_none=True)
        self._missed(embeddings, batch).backward()
        self._engine.step()
        return [np.asarray(each.grad.numpy()) for each in embeddings]

    def loss(self, told: list[np.ndarray], batch: np.ndarray) -> float:
        """The mean loss of these rows."""
        import torch

        with torch.inference_mode():
            return float(self._missed([torch.from_numpy(each) for each in told], batch))

    def weights(self) -> Arrays:
        return taken(self._net.state_dict().items())

    def _missed(self, embeddings: "list[torch.Tensor]", batch: np.ndarray) -> "torch.Tensor":
        import torch

        part = torch.from_numpy(batch)
        weights = self._weights[part]
        return (self._loss(self._net(embeddings), self._answers[part]) * weights).sum() / weights.sum()
