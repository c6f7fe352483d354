"""mljar-supervised (Płońska & Płoński 2021) in its Compete mode: python -m benchmarks.peers.mljar.run FOLDER."""

import sys
import time
from pathlib import Path

from supervised import AutoML, __version__

from benchmarks.peers.job import Job

METRICS = {"roc_auc": "auc", "log_loss": "logloss", "rmse": "rmse"}
TASKS = {"binary": "binary_classification", "multiclass": "multiclass_classification", "regression": "regression"}


def main(folder: Path) -> None:
    job, train, test = Job.read(folder)
    began = time.time()
    learner = AutoML(
        results_path=str(folder / "mljar"),
        mode="Compete",
        ml_task=TASKS[job.kind],
        eval_metric=METRICS[job.metric],
        total_time_limit=int(job.seconds),
        explain_level=0,
        n_jobs=job.cores,
        random_state=job.seed,
        verbose=0,
    )
    learner.fit(train.drop(columns=job.target), train[job.target])
    fitted = time.time() - began
    if job.kind == "regression":
        told = learner.predict(test)
    else:
        everything = learner.predict_all(test)
        named = [name for name in everything if name.startswith("prediction_")]
        told = job.in_order(everything[named].rename(columns=lambda name: name.removeprefix("prediction_")))
    models = len(learner.get_leaderboard())
    job.answer(folder, told, began=began, fit_seconds=fitted, models=models, version=__version__)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
