"""Our side, as anybody runs it, `recipes.contest` then `recipes.predict`: python -m benchmarks.peers.ours FOLDER."""

import json
import subprocess
import sys
import time
from dataclasses import fields
from pathlib import Path

import pandas as pd

from benchmarks.peers.job import TEST, TRAIN, Job
from recipes.contest import Config

TEST_SHARE = 0.01  # the rows to be answered are outside; what the contest keeps back of its own would be wasted


def main(folder: Path) -> None:
    job, _, _ = Job.read(folder)
    began = time.time()
    out = folder / "contest"
    command = ["--data", str(folder / TRAIN), "--target", job.target, "--kind", job.kind, "--metric", job.metric]
    command += ["--minutes", str(job.seconds / 60), "--seed", str(job.seed), "--workers", str(job.cores)]
    if "test_share" in {field.name for field in fields(Config)}:
        command += ["--test-share", str(TEST_SHARE)]
    subprocess.run([sys.executable, "-m", "recipes.contest", *command, "--out", str(out)], check=True)
    fitted = time.time() - began
    answers = folder / "answers.parquet"
    predict = ["--model", str(out / "model"), "--data", str(folder / TEST), "--out", str(answers)]
    subprocess.run([sys.executable, "-m", "recipes.predict", *predict], check=True)
    told = pd.read_parquet(answers)
    if job.kind == "regression":
        predicted = told["prediction"].to_numpy()
    else:
        labelled = told.filter(like="proba_").rename(columns=lambda name: name.removeprefix("proba_"))
        predicted = job.in_order(labelled)
    board = json.loads((out / "leaderboard.json").read_text(encoding="utf-8"))
    entries = {row["name"]: row["validation_score"] for row in board["entries"]}
    job.answer(folder, predicted, began=began, fit_seconds=fitted, best=board["winner"]["name"], entries=entries)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
