"""What stands between a silo's rows and its noisy answers: it draws noise, keeps the ledger and says when to stop."""

import hashlib
import hmac
import os
import secrets
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
import pandas as pd

from federated.message import Message
from federated.policy import Policy, PolicyError
from federated.privacy.noisy_statistics import counted, first_edges, named
from federated.privacy.plan import NAMING, Plan, planned
from framework.privacy.accountant import Spend, epsilon_of
from framework.privacy.ledger import LEDGER, Charge, Ledger

if TYPE_CHECKING:
    import torch

    from federated.job import Job
    from federated.preparation import Preparation
    from federated.privacy.noisy_steps import NoisySteps
    from framework.data.frame import Frame

SECRET = "secret.bin"
WITHOUT = "Take a net without them: LayerNorm or GroupNorm for BatchNorm, or one of mlp, tabm, ft_transformer."
Purpose = Literal["statistics", "training"]


class BudgetError(PolicyError):
    """A question whose answer would cost more than a silo gives; the sentence leaves it."""


class Guard:
    """Noise is a function of a secret that never leaves the silo, of its rows, of the job and of the question. Asked
    the same again, of the same rows, a silo answers the same bytes and pays once; anything else has noise of its own.

    folder: of the silo's own, for its ledger and secret; None: both are gone with the process.
    """

    def __init__(self, job: "Job", silo: str, policy: Policy, train: "Frame", folder: Path | None) -> None:
        """Raises PolicyError where the silo's policy has no room for all that is planned."""
        self.silo, self.policy = silo, policy
        self.plan: Plan = planned(job, len(train))
        self.ledger = Ledger(folder / LEDGER if folder else None)
        self._secret = _secret(folder)
        asked = Message("job", facts=job.to_facts()).to_bytes()
        self.job = hashlib.sha256(asked).hexdigest()[:16]
        self._context = hashlib.sha256(asked + _digest(train)).digest()
        ahead = [*self.plan.spent(self.plan.rounds)]
        others = [each.spend for each in self.ledger.charges(days=policy.days) if each.job != self.job]
        self._check_policy([*others, *ahead])

    def pay(self, purpose: Purpose, question: bytes, steps: int = 1) -> np.ndarray:
        """Charges an answer before it is made; six 32-bit numbers, of which its noise is drawn.

        Raises BudgetError where the job's budget or the policy's is used up.
        """
        key = hmac.new(self._secret, self._context + purpose.encode() + question, hashlib.sha256).digest()
        code = hashlib.sha256(b"question" + key).hexdigest()[:32]
        with self.ledger.writing() as ledger:
            if not ledger.paid(code):
                spend = self._spend(purpose, steps)
                of_job = [each for each in ledger.charges(job=self.job) if each.purpose == purpose]
                most = self.plan.steps if purpose == "training" else self.plan.questions
                if sum(each.spend.steps for each in of_job) + steps > most:
                    raise BudgetError(
                        f"silo {self.silo!r} has spent what ε = {self.plan.privacy.epsilon:g} allows on {purpose}, and "
                        f"answers no more."
                    )
                self._check_policy([*(each.spend for each in ledger.charges(days=self.policy.days)), spend])
                ledger.charge(Charge(round(time.time(), 3), self.job, purpose, code, spend))
        return np.frombuffer(key, dtype=np.uint32)

    def categories(self, columns: Mapping[str, np.ndarray], asked: Message) -> dict[str, dict[str, int]]:
        """`noisy_statistics.named`, paid for; nothing where there are none."""
        if not columns:
            return {}
        delta = NAMING * self.plan.privacy.delta
        return named(columns, noise=self.plan.statistics, delta=delta, draw=self._noise(asked))

    def counts(self, matrix: np.ndarray, asked: Message, *, measured: int) -> np.ndarray:
        """`noisy_statistics.counted` on the cells that were asked for, paid for; without any, on the first ones."""
        edges = asked.groups["cells"]["edges"] if "cells" in asked.groups else first_edges(matrix.shape[1])
        if edges.shape[0] != matrix.shape[1] or (np.diff(edges, axis=1) < 0).any():
            raise BudgetError(f"silo {self.silo!r} was asked to count in cells that are none.")
        return counted(matrix, edges, measured=measured, noise=self.plan.statistics, draw=self._noise(asked))

    def steps(self, net: "torch.nn.Module", name: str, preparation: "Preparation") -> "NoisySteps":
        """How this net learns. Raises PrivacyError where rows see one another in it."""
        from federated.privacy.noisy_steps import NoisySteps
        from framework.privacy.dp_sgd import check_net

        check_net(net, name, WITHOUT)
        facts, groups = preparation.to_message()
        return NoisySteps(self, Message("prepared", facts={**facts, "run": ""}, groups=groups).to_bytes())

    def _noise(self, asked: Message) -> np.random.Generator:
        key = self.pay("statistics", asked.to_bytes())
        return np.random.Generator(np.random.Philox(np.random.SeedSequence(key.tolist())))

    @property
    def covers_statistics(self) -> bool:
        return self.plan.questions > 0

    def _spend(self, purpose: Purpose, steps: int) -> Spend:
        if purpose == "training":
            return Spend(self.plan.noise, self.plan.rate, steps)
        each = self.plan.agreed[0]  # the naming of categories costs δ, here dealt to all questions alike
        return Spend(each.noise, steps=steps, delta=each.delta * steps / each.steps)

    def _check_policy(self, spends: list[Spend]) -> None:
        most = self.policy.epsilon
        if most is None:
            return
        cost = epsilon_of(spends, self.policy.delta)
        if cost > most:
            raise BudgetError(
                f"silo {self.silo!r} gives ε = {most:g} in {self.policy.days} days (δ = {self.policy.delta:g}), and "
                f"with this it would be {cost:.3g}. Ask for less, or later."
            )


def _secret(folder: Path | None) -> bytes:
    """32 bytes that the silo alone knows, the same for its successors."""
    if folder is None:
        return secrets.token_bytes(32)
    path = folder / SECRET
    if not path.exists():
        part = path.with_suffix(f".{os.getpid()}")
        with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
            file.write(secrets.token_bytes(32))
            file.flush()
            os.fsync(file.fileno())
        os.replace(part, path)
    return path.read_bytes()


def _digest(rows: "Frame") -> bytes:
    told = hashlib.sha256(pd.util.hash_pandas_object(rows.X, index=False).to_numpy().tobytes())
    told.update(np.ascontiguousarray(rows.y).tobytes())
    if rows.weight is not None:
        told.update(np.ascontiguousarray(rows.weight).tobytes())
    return told.digest()
