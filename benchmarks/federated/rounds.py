"""Seconds of a round and of the start, the same net, rows, epochs and order of rows in all, interleaved.

python -m benchmarks.federated rounds --silos 10 --rounds 20 --pairs 3 --peers flower tff_local

ours, one process | ours, Ray, 1 host | ours, Ray, 2 hosts: `Coordinator` over silos in this process, or in actors.
flower: its simulation with two client actors. tff_local: `build_weighted_fed_avg` in TFF's own local runtime.
"""

import argparse
import json
import os
import shutil
import statistics
import subprocess
import tempfile
import uuid
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.federated.ours import measured
from benchmarks.federated.portfolios import LAYERS, WIDTH, plain, portfolios
from benchmarks.peers.federation import LAST, TOLD, Asked
from benchmarks.peers.tools import MARK, ROOT, end, environment
from cluster.build import blueprint
from cluster.connect import connect
from cluster.wire import Arrays
from federated.agreement import Agreement
from federated.channel import Direct
from federated.dealt import deal
from federated.exchange import Exchange
from federated.job import Job
from federated.net_weights import fresh
from federated.preparation import Preparation
from federated.source import Held
from framework.data.load import load
from framework.nets import build

PEERS = {"flower": ("benchmarks.peers.flower.run", "2"), "tff_local": ("benchmarks.peers.tff_local.run",)}
LATE = 900.0  # seconds after which a peer's run is given up
TORCH = {  # our net's names → those that peers are told, in the order of its layers
    "trunk.embedded.numbers.slope": "slope",
    "trunk.embedded.numbers.offset": "offset",
    **{
        f"trunk.layers.{3 * place}.{part}": f"body.{2 * place}.{part}"
        for place in range(LAYERS)
        for part in ("weight", "bias")
    },
    "head.weight": f"body.{2 * LAYERS}.weight",
    "head.bias": f"body.{2 * LAYERS}.bias",
}


def rounds(silos: int, rows: int, count: int, pairs: int, peers: list[str]) -> dict[str, list[dict[str, Any]]]:
    """What every side told in every pair; a peer's "apart": how far its last weights are from ours."""
    fold = load(portfolios(silos, rows), target="y", silo="silo").fold
    sources, job = deal(fold), plain(fold, count)
    pythons = {name: blueprint("tff").python if name == "tff_local" else environment(name) for name in peers}
    told: dict[str, list[dict[str, Any]]] = {}
    for _ in range(pairs):
        for name, hosts in (("ours, one process", 0), ("ours, Ray, 1 host", 1), ("ours, Ray, 2 hosts", 2)):
            facts, weights = measured(sources, job, hosts)
            told.setdefault(name, []).append(facts)
        for name in peers:
            told.setdefault(name, []).append(peer(name, str(pythons[name]), sources, job, weights))
        for name, sides in told.items():
            print(f"  {name}: {line(sides[-1:])}", flush=True)
    return told


def peer(name: str, python: str, sources: list[Held], job: Job, ours: Arrays) -> dict[str, Any]:
    """One run of a peer, in a process of its own, on the rows as our net has them behind its first layer."""
    mark = uuid.uuid4().hex[:8]
    folder = Path(tempfile.mkdtemp(prefix=f"p{mark}"))  # short: Ray keeps its sockets in it
    given = {key: value for key, value in os.environ.items() if key not in ("RAY_ADDRESS", "PYTHONDONTWRITEBYTECODE")}
    given |= {MARK: mark, "RAY_TMPDIR": str(folder), "TMPDIR": str(folder), "PYTHONPATH": str(ROOT)}
    given |= {"OMP_NUM_THREADS": "1", "FLWR_TELEMETRY_ENABLED": "0", "FLWR_HOME": str(folder / "flwr")}
    module, *arguments = PEERS[name]
    try:
        write(folder, sources, job)
        log = folder / "log.txt"
        with log.open("w") as stream:
            command = [python, "-m", module, str(folder), *arguments]
            run = subprocess.run(
                command, cwd=folder, env=given, stdout=stream, stderr=stream, start_new_session=True, timeout=LATE
            )
        if run.returncode or not (folder / TOLD).is_file():
            raise SystemExit(f"{name} failed:\n" + "\n".join(log.read_text(errors="replace").splitlines()[-20:]))
        facts: dict[str, Any] = json.loads((folder / TOLD).read_text(encoding="utf-8"))
        last = dict(np.load(folder / LAST))
        facts["apart"] = max(float(np.abs(ours[mine].ravel() - last[its].ravel()).max()) for mine, its in TORCH.items())
        return facts
    finally:
        end(mark)
        shutil.rmtree(folder, ignore_errors=True)


def write(folder: Path, sources: list[Held], job: Job) -> None:
    """The job as peers read it."""
    exchange = Exchange(Direct(sources), float("inf"), float("inf"), job)
    preparation, _ = Agreement(exchange, job, quorum=2, units=True).reach()
    rows: Arrays = {}
    for source in sources:
        for prefix, frame in zip(("", "valid "), source.rows(job), strict=True):
            held = preparation.encoder.rows(frame)
            rows[f"{prefix}X|{source.name}"] = behind_columns(preparation, job, held.inputs)
            rows[f"{prefix}y|{source.name}"] = held.answers.numpy()
    first = fresh(job, preparation, job.seed * 1009)
    names = [source.name for source in sources]
    plan = job.plan
    asked = Asked(names, job.rounds, plan.epochs, plan.batch, plan.rate, job.seed, WIDTH, LAYERS)
    asked.write(
        folder,
        rows,
        {its: np.ascontiguousarray(first[mine]).reshape(shape_of(mine, first)) for mine, its in TORCH.items()},
    )


def shape_of(name: str, first: Arrays) -> tuple[int, ...]:
    """Our vectors of one number each are plain numbers to the peers."""
    shape = first[name].shape
    return shape[:1] if name.startswith("trunk.embedded") else shape


def behind_columns(preparation: Preparation, job: Job, inputs: Any) -> np.ndarray:
    """Numbers standardised and softly clipped, as our net does with no weight: peers are given them so."""
    net = build(job.net, cards=preparation.encoder.cards, outputs=1, **job.shape).learn(preparation.quantiles)
    z, _, _ = net.columns(inputs)
    return np.ascontiguousarray(z.numpy())


def line(sides: list[dict[str, Any]]) -> str:
    """A row of the table: medians over the pairs, of the rounds after the first."""
    each = [statistics.median(side["rounds"]) for side in sides]
    cells = [statistics.median(side[key] for side in sides) for key in ("ready", "first", "cpu")]
    apart = max((side.get("apart", 0.0) for side in sides), default=0.0)
    return f"{cells[0]:.2f} | {cells[1]:.2f} | {statistics.median(each):.3f} | {cells[2]:.3f} | {apart:.1e}"


def main(words: list[str]) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--silos", type=int, default=10)
    parser.add_argument("--rows", type=int, default=625, help="of each silo; a part is kept for tests and validation")
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--pairs", type=int, default=3)
    parser.add_argument("--peers", nargs="*", choices=list(PEERS), default=list(PEERS))
    asked = parser.parse_args(words)
    connect()
    told = rounds(asked.silos, asked.rows, asked.rounds, asked.pairs, asked.peers)
    print(f"\n{asked.silos} silos of {asked.rows} rows, {asked.rounds} rounds of 1 epoch, medians of {asked.pairs}")
    print(f"load {os.getloadavg()[0]:.1f}\n")
    print("| | ready, s | first round, s | a round, s | CPU-s a round | weights apart |\n|---|---|---|---|---|---|")
    for name, sides in told.items():
        print(f"| {name} | {line(sides)} |")
