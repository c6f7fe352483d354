"""FLAML (Wang et al. 2021): python -m benchmarks.peers.flaml.run FOLDER."""

import sys
import time
from pathlib import Path

import pandas as pd
from flaml import AutoML, __version__

from benchmarks.peers.job import Job


def main(folder: Path) -> None:
    job, train, test = Job.read(folder)
    began = time.time()
    learner = AutoML()
    learner.fit(
        train.drop(columns=job.target),
        train[job.target],
        task="regression" if job.kind == "regression" else "classification",
        metric=job.metric,
        time_budget=job.seconds,
        n_jobs=job.cores,
        seed=job.seed,
        verbose=0,
    )
    fitted = time.time() - began
    if job.kind == "regression":
        told = learner.predict(test)
    else:
        told = job.in_order(pd.DataFrame(learner.predict_proba(test), columns=[str(each) for each in learner.classes_]))
    job.answer(folder, told, began=began, fit_seconds=fitted, best=learner.best_estimator, version=__version__)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
