"""What a synthesizer is given and what it hands back: a folder of plain files, the same for all. Needs only pandas."""

import json
import resource
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pandas as pd

ASKED, TRAIN, ROWS, TOLD = "asked.json", "train.parquet", "rows.parquet", "told.json"


@dataclass(frozen=True)
class Asked:
    """rows: to make. dates: columns that hold them; categories: columns of texts or truth values, all as texts."""

    rows: int
    seed: int
    dates: list[str]
    categories: list[str]

    def write(self, folder: Path, train: pd.DataFrame) -> None:
        """train: the rows to learn from, plain numbers, dates and texts."""
        folder.mkdir(parents=True, exist_ok=True)
        (folder / ASKED).write_text(json.dumps(asdict(self)), encoding="utf-8")
        train.to_parquet(folder / TRAIN, index=False)


def answer(folder: Path, made: Callable[[Asked, pd.DataFrame], tuple[Callable[[], pd.DataFrame], Any]]) -> None:
    """Runs one synthesizer on a folder. made: learns, and returns what draws the rows, and its version."""
    asked = Asked(**json.loads((folder / ASKED).read_text(encoding="utf-8")))
    began = spent()
    draw, version = made(asked, pd.read_parquet(folder / TRAIN))
    learned = spent()
    rows = draw()
    drawn = spent()
    objects = rows.copy()
    for name in asked.categories:
        texts = objects[name].astype(object)
        objects[name] = texts.where(texts.isna(), texts.astype(str)).where(texts.notna(), None)
    objects.to_parquet(folder / ROWS, index=False)
    told = {"fit CPU-s": learned - began, "sample CPU-s": drawn - learned, "version": str(version)}
    (folder / TOLD).write_text(json.dumps(told), encoding="utf-8")


def spent() -> float:
    """CPU-seconds of this process and of those it has waited for."""
    mine, theirs = resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN)
    return mine.ru_utime + mine.ru_stime + theirs.ru_utime + theirs.ru_stime


def folder_and(argument: str = "") -> tuple[Path, str]:
    """The command line of a peer's script: its folder, and the argument behind it."""
    return Path(sys.argv[1]), sys.argv[2] if len(sys.argv) > 2 else argument
