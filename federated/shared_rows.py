"""Silos that send made-up rows instead of updates: pooled, they train any contender, once and without rounds."""

import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, ClassVar, Protocol

import numpy as np
import pandas as pd

from cluster.resources import Resources
from cluster.user_error import UserError
from cluster.wire import Facts
from federated.border import folder_name
from federated.dealt import deal
from federated.handout import Handout, packed, unpacked
from federated.message import Message
from federated.policy import USUAL, Policy, PolicyError
from federated.source import Held
from framework.contender import Contender, Context, Model
from framework.contenders.linear import Linear
from framework.data.frame import Fold, Frame, Truth
from framework.privacy.accountant import PrivacyError
from framework.privacy.allowance import Allowance
from framework.problem import Kind

log = logging.getLogger(__name__)

ANSWER = "the answer"
ALONE = Linear()
KEPT = 0.15  # of the pooled rows, that the contender stops by
SHARE = 0.7  # of the time, for the silos


class SharedRowsError(UserError):
    """No silo has handed out rows."""


class Maker(Protocol):
    """Makes rows up from a silo's own, inside of the silo. `synthetic.shared.StandIn` is one."""

    def make(
        self, table: pd.DataFrame, others: pd.DataFrame, rows: int, context: Context
    ) -> tuple[pd.DataFrame, Facts]:
        """So many rows, with the table's columns, and what may be told of them: engine, licence, leaks, how many
        attacks on them found the rows learned from, and epsilon, where they were made with differential privacy and
        paid from the context's allowance. others: rows of the silo that are not to be learned from."""
        ...


@dataclass(frozen=True)
class SharedRows:
    """`contender`, fit on made-up rows of all silos of the problem's silo column: no real row leaves its silo, nor
    plays any other part in the fit. Silos are made to share one process or one cluster: the boundary is logical.

    maker: of the rows. share: rows handed out for each that a silo learns from. A silo whose rows are found to leak
    keeps them, and one with fewer rows than its policy asks for makes none. There is no sum of rows that masks could
    hide them in: a silo whose policy asks for secure aggregation keeps its own, and says so. hosts: processes of Ray
    that silos work in, one after the other; 0: the fit's own process. audit: a folder where each silo writes what left
    it; none by default.
    """

    maker: Maker
    contender: Contender = ALONE
    share: float = 1.0
    policy: Policy = USUAL
    hosts: int = 0
    audit: str | None = None
    name: str = "shared rows"
    kinds: ClassVar[frozenset[Kind]] = frozenset({"binary", "multiclass", "regression"})
    pooled: ClassVar[bool] = False

    @property
    def resources(self) -> Resources:
        return Resources(workers=self.hosts, apart=True) if self.hosts else self.contender.resources

    def fit(self, fold: Fold, context: Context) -> Model:
        """Raises DealError where there are no silos, SharedRowsError where none of them hands out rows."""
        sources = deal(fold, self.policy)
        answers = [Message.from_bytes(sent) for sent in self._asked(sources, context)]
        tables = [unpacked(each) for each in answers if each.kind == "synthetic"]
        for each in answers:
            if each.kind != "synthetic":
                why = each.facts.get("reason") or f"silo {each.silo!r} failed ({each.facts.get('type')})"
                context.remark(f"{self.name}: {why}")
        if not tables:
            raise SharedRowsError(f"{self.name}: none of {len(sources)} silos has handed out rows; see the remarks.")
        pool = _pooled(tables, fold)
        order = np.random.default_rng(context.seed).permutation(len(pool))
        cut = round(KEPT * len(pool))
        context.remark(f"{self.name}: {len(pool):,} made-up rows of {len(tables)} silos")
        valid, train = (pool.take(np.sort(part)) for part in (order[:cut], order[cut:]))
        return self.contender.fit(replace(fold, train=train, valid=valid, shards=None), context)

    def settled(self, model: Model) -> "SharedRows":
        return self

    def _asked(self, sources: Sequence[Held], context: Context) -> list[bytes]:
        """What each silo sent."""
        left, folder = SHARE * context.remaining(), Path(self.audit) if self.audit else None
        given = [(self.maker, self.share, folder, context.seed + place) for place in range(len(sources))]
        seconds = left / -(-len(sources) // max(1, self.hosts))
        if not self.hosts:
            return [handed_out(source, *told, seconds=seconds) for source, told in zip(sources, given, strict=True)]
        import ray

        from cluster.connect import connect

        connect()
        far = ray.remote(max_retries=0, num_cpus=1)(handed_out)
        sent: list[bytes] = []
        for begin in range(0, len(sources), self.hosts):
            now = slice(begin, begin + self.hosts)
            pairs = zip(sources[now], given[now], strict=True)
            tickets = {source.name: far.remote(ray.put(source), *told, seconds=seconds) for source, told in pairs}
            sent += [_taken(silo, ticket) for silo, ticket in tickets.items()]
        return sent


def _taken(silo: str, ticket: Any) -> bytes:
    """What a silo sent; that it was lost, where its process was."""
    import ray

    try:
        return bytes(ray.get(ticket))
    except ray.exceptions.RayError as error:
        return Message("failure", silo, facts={"type": type(error).__name__}).to_bytes()


def handed_out(source: Held, maker: Maker, share: float, folder: Path | None, seed: int, *, seconds: float) -> bytes:
    """What a silo sends, whichever way that ends; run where its rows are. No exception leaves: its text could hold a
    value."""
    out = Handout(source.name, folder)
    try:
        least = source.policy.minimum_rows
        if len(source.train) < least:
            raise PolicyError(f"silo {source.name!r} has fewer than {least} rows to learn from, and takes no part.")
        if source.policy.secure:
            raise PolicyError(
                f"silo {source.name!r} takes part in secure aggregation alone, and made-up rows are never summed: they "
                f"would leave it as they are."
            )
        deadline = time.time() + seconds
        with TemporaryDirectory(prefix="shared-") as work:
            own = str(folder / folder_name(source.name)) if folder else None
            policy = source.policy
            allowance = Allowance(own, policy.epsilon, policy.delta, policy.days)
            context = Context(seed=seed, deadline=deadline, folder=Path(work), allowance=allowance)
            rows = max(1, round(share * len(source.train)))
            made, facts = maker.make(_table(source.train), _table(source.valid), rows, context)
        if policy.epsilon is not None and "epsilon" not in facts:
            raise PolicyError(
                f"silo {source.name!r} gives ε = {policy.epsilon:g} in {policy.days} days, and keeps rows that "
                f"{facts['engine']} made without differential privacy, which has no ε for its rows."
            )
        if facts["leaks"]:
            raise PolicyError(f"silo {source.name!r} keeps its rows: {facts['leaks']} attack(s) told what they are of.")
        return out("synthetic", {**facts, "rows": len(made)}, packed(made))
    except (PolicyError, PrivacyError) as error:
        return out("refusal", {"reason": str(error)})
    except Exception as error:  # the silo's own border
        log.exception("silo %r could not make rows", source.name)
        return out("failure", {"type": type(error).__name__})


def _table(frame: Frame) -> pd.DataFrame:
    """The columns, and after them the answers: codes of classes as texts."""
    table = frame.X.copy(deep=False)
    table[ANSWER] = frame.y.astype(str).astype(object) if frame.truth.classes else frame.y
    return table


def _pooled(tables: Sequence[pd.DataFrame], fold: Fold) -> Frame:
    """All silos' rows as the fold has its own: dtypes, categories in their order, answers coded."""
    whole = pd.concat(tables, ignore_index=True)
    X = fold.train.X
    columns = {name: whole[name].astype(X[name].dtype) for name in X.columns}
    truth = Truth(
        y=whole[ANSWER].to_numpy().astype(fold.train.y.dtype),
        features=fold.train.truth.features,
        classes=fold.train.truth.classes,
    )
    return Frame(pd.DataFrame(columns), truth)
