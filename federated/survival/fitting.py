"""What makes it happen, and how much sooner? A Cox model over portfolios that may not be pooled."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from federated.agreement import Agreement
from federated.channel import Direct, SigningChannel, end_hosts, start_hosts
from federated.dealt import check_hosts
from federated.exchange import Exchange
from federated.secure_aggregation.identity import found
from federated.source import Source
from federated.survival.job import Baseline, CoxJob
from federated.survival.model import CoxModel, SiloPart
from federated.survival.silo import CoxSilo
from federated.survival.solution import CoxError, CoxSolving, Found
from framework.data.column import ColumnKind

KINDS = ("number", "boolean", "category")


def cox(
    sources: Sequence[Source],
    *,
    duration: str,
    event: str,
    columns: Mapping[str, ColumnKind],
    outcomes: tuple[str, str] = ("0", "1"),
    baseline: Baseline = "silo",
    times: Sequence[float] = (),
    steps: int = 25,
    hosts: int = 2,
    quorum: float = 0.5,
    round_seconds: float = 600.0,
    deadline: float = float("inf"),
    audit: str | None = None,
    cpus: float = 1.0,
    secure: bool = False,
) -> CoxModel:
    """Hazard ratios of the columns, as all silos' rows in one table would give them: no row and no moment leaves.

    h(t | x) = h_0(t) exp(xᵀβ) (Cox 1972), ties as Breslow has them, by Newton's method on the sum of the silos' own
    gradients and curvatures.

    duration: the column of how long a row was seen, from 0; event: of whether it then happened; outcomes: how that
    column writes "not yet" and "it happened". columns: name → number, boolean or category, of what may hasten it.
    baseline: "silo": h_0 is each silo's own (a model stratified by silo), and sums over all its events leave it.
    "common": one for all, on `times`, which all are told: then sums over the rows at risk at each of these times leave
    a silo, as in WebDISCO (Lu et al. 2015), which is more; see federated/README.md.
    hosts: actors that hold the silos; 0: all in this process. quorum: the share of the silos that must stay, two at
    least. deadline: in seconds of time.time(). audit: the folder of the silos' audit files.
    secure: secure aggregation: the coordinator learns the total of the silos' sums, from the moments of their columns
    on, and no silo's own; three silos or more have to stay in each, and with a common baseline all of the first.

    Rows with a gap are left out. Raises CoxError for what cannot be asked, or where the rows do not determine a
    coefficient; FederationError when too few silos take part, with their reasons.
    """
    check_hosts(hosts)
    _check_silos([source.name for source in sources])
    job = job_of(
        duration=duration, event=event, columns=columns, outcomes=outcomes, baseline=baseline, times=times, steps=steps,
        secure=secure,
    )  # fmt: skip
    folder = Path(audit) if audit else None
    actors: list[Any] = []
    identities = found(source.name for source in sources) if secure else {}
    channel: SigningChannel = Direct(sources, folder, identities, kind=CoxSilo)
    if hosts:
        from cluster.connect import connect

        connect()
        channel, actors = start_hosts(
            sources, hosts=hosts, folder=folder, cpus=cpus, identities=identities, kind=CoxSilo
        )
    try:
        return cox_over(channel, job, quorum=quorum, round_seconds=round_seconds, deadline=deadline)
    finally:
        end_hosts(actors)


def cox_over(
    channel: SigningChannel,
    job: CoxJob,
    *,
    quorum: float = 0.5,
    round_seconds: float = 600.0,
    deadline: float = float("inf"),
) -> CoxModel:
    """As `cox`, over silos that a channel reaches, wherever they are: `CoxSilo`s that dialled in too."""
    _check_silos(channel.silos)
    least = max(2, round(quorum * len(channel.silos)))
    exchange = Exchange(channel, round_seconds, deadline, job)
    exchange.preparation, rows = Agreement(exchange, job, quorum=least, units=True).reach(channel.registry)
    solving = CoxSolving(exchange, job, exchange.preparation, rows, least, channel.registry)
    return _model(solving, solving.found(), rows, channel.silos)


def job_of(
    *,
    duration: str,
    event: str,
    columns: Mapping[str, ColumnKind],
    outcomes: tuple[str, str] = ("0", "1"),
    baseline: Baseline = "silo",
    times: Sequence[float] = (),
    steps: int = 25,
    secure: bool = False,
) -> CoxJob:
    """What silos are asked, in the words of `cox`. Raises CoxError for what cannot be asked."""
    if not columns or {duration, event} & set(columns) or duration == event:
        raise CoxError(
            f"columns={list(columns)} must name what may hasten the event, and neither duration={duration!r} nor "
            f"event={event!r}, which are two."
        )
    if strange := {name: kind for name, kind in columns.items() if kind not in KINDS}:
        raise CoxError(f"{strange} are no columns of a Cox model, which takes: {', '.join(KINDS)}.")
    if steps < 1 or len(set(outcomes)) != 2:
        raise CoxError(f"steps={steps} must be 1 or more, and outcomes={outcomes} two different texts.")
    grid = np.asarray(times, dtype=np.float64)
    if baseline == "common" and not (len(grid) and np.isfinite(grid).all() and (np.diff(grid, prepend=0.0) > 0).all()):
        raise CoxError(f"times={list(times)} must be moments above 0, rising, for the baseline that silos share.")
    if baseline == "silo" and len(grid):
        raise CoxError("times= are of the baseline that silos share: pass baseline='common', or no times.")
    return CoxJob(event, outcomes, duration, tuple(columns.items()), steps, tuple(map(float, grid)), secure=secure)


def _check_silos(names: Sequence[str]) -> None:
    if len(set(names)) < max(2, len(names)):
        raise CoxError(f"a federation takes two silos or more, each of its own name; these are {list(names)}.")


def _model(solving: CoxSolving, found: Found, rows: Mapping[str, int], names: Sequence[str]) -> CoxModel:
    """In the columns' own units."""
    design, exchange, job = solving.design, solving.exchange, solving.job
    silos = {silo: _part(found, silo, rows[silo]) for silo in found.silos}
    return CoxModel(
        design.schema,
        design.centre,
        found.beta / design.spread,
        np.linalg.inv(found.hessian) / np.outer(design.spread, design.spread),
        found.likelihood,
        found.start,
        silos,
        {name: _why(exchange, name) for name in names if name not in silos},
        found.events,
        _concordance(found.pairs),
        "common" if job.times else "silo",
        found.steps,
        np.array(job.times),
        found.hazard,
        tuple(map(str, exchange.happenings)),
    )


def _part(found: Found, silo: str, rows: int) -> SiloPart:
    sums = found.ranked.get(silo)
    if sums is None:
        return SiloPart(rows, None, found.likelihoods.get(silo), None)
    return SiloPart(rows, int(sums["events"][0]), found.likelihoods.get(silo), _concordance(sums["pairs"]))


def _why(exchange: Exchange, silo: str) -> str:
    told = [happening.why or happening.what for happening in exchange.happenings if happening.silo == silo]
    return exchange.refused.get(silo) or (told[-1] if told else "it did not answer.")


def _concordance(pairs: np.ndarray) -> float | None:
    won, tied, every = (float(count) for count in pairs)
    return (won + 0.5 * tied) / every if every else None
