"""H2O AutoML (LeDell & Poirier 2020): python -m benchmarks.peers.h2o_automl.run FOLDER. Needs Java."""

import os
import socket
import sys
import time
from pathlib import Path

import h2o
import pandas as pd
from h2o.automl import H2OAutoML

from benchmarks.peers.job import Job

METRICS = {"roc_auc": "AUC", "log_loss": "logloss", "rmse": "RMSE"}
TYPES = {"number": "real", "category": "enum", "date": "time", "text": "string"}


def main(folder: Path) -> None:
    job, train, test = Job.read(folder)
    (folder / "ice").mkdir()
    h2o.init(
        nthreads=job.cores,
        max_mem_size="6G",
        port=free_port(),
        name=f"peers-{os.getpid()}",
        ice_root=str(folder / "ice"),
        bind_to_localhost=True,
        start_h2o=True,
        verbose=False,
    )
    try:
        h2o.no_progress()
        types = {name: TYPES[kind] for name, kind in job.columns.items()}
        answer = {job.target: "real" if job.kind == "regression" else "enum"}
        rows, asked = uploaded(train, folder / "train.csv", types | answer), uploaded(test, folder / "test.csv", types)
        began = time.time()
        learner = H2OAutoML(
            max_runtime_secs=int(job.seconds), seed=job.seed, sort_metric=METRICS[job.metric], verbosity=None
        )
        learner.train(x=list(job.columns), y=job.target, training_frame=rows)
        fitted = time.time() - began
        told = learner.leader.predict(asked).as_data_frame(use_multi_thread=True)
        predicted = told["predict"] if job.kind == "regression" else job.in_order(told.drop(columns="predict"))
        job.answer(
            folder, predicted, began=began, fit_seconds=fitted, best=learner.leader.model_id, version=h2o.__version__
        )
    finally:
        h2o.cluster().shutdown()


def uploaded(table: pd.DataFrame, path: Path, types: dict[str, str]) -> h2o.H2OFrame:
    table.to_csv(path, index=False)
    return h2o.upload_file(str(path), col_types=types)


def free_port() -> int:
    """The first of two ports that nobody listens on: H2O takes a pair."""
    while True:
        with socket.socket() as first:
            first.bind(("127.0.0.1", 0))
            port = first.getsockname()[1]
        with socket.socket() as second:
            if port < 65535 and second.connect_ex(("127.0.0.1", port + 1)):
                return int(port)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
