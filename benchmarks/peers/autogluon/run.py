"""AutoGluon (Erickson et al. 2020): python -m benchmarks.peers.autogluon.run FOLDER PRESET."""

import sys
import time
from pathlib import Path

from autogluon.tabular import TabularPredictor, __version__

from benchmarks.peers.job import Job

METRICS = {"roc_auc": "roc_auc", "log_loss": "log_loss", "rmse": "root_mean_squared_error"}


def main(folder: Path, preset: str) -> None:
    job, train, test = Job.read(folder)
    began = time.time()
    predictor = TabularPredictor(
        label=job.target,
        problem_type=job.kind,
        eval_metric=METRICS[job.metric],
        path=str(folder / "autogluon"),
        verbosity=1,
    )
    predictor.fit(train, presets=preset, time_limit=job.seconds, num_cpus=job.cores, num_gpus=0)
    fitted = time.time() - began
    told = predictor.predict(test) if job.kind == "regression" else job.in_order(predictor.predict_proba(test))
    job.answer(folder, told, began=began, fit_seconds=fitted, best=predictor.model_best, version=__version__)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
