"""Others' synthesizers, and one run of one of them: in an interpreter of its own, its rows in the table's types."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from benchmarks.peers.made_rows import ROWS, TOLD, Asked
from benchmarks.peers.tools import MARK, ROOT, end, environment


@dataclass(frozen=True)
class Peer:
    """module: run with a job's folder and `arguments`. env: the folder of its requirements; "": our own."""

    module: str
    arguments: tuple[str, ...] = ()
    env: str = ""


PEERS = {
    "mostlyai": Peer("benchmarks.peers.mostlyai.run", env="mostlyai"),
    "mostlyai_open": Peer("benchmarks.peers.mostlyai.run", ("open",), env="mostlyai"),
    "synthcity_ddpm": Peer("benchmarks.peers.synthcity.run", ("ddpm",), env="synthcity"),
    "synthcity_arf": Peer("benchmarks.peers.synthcity.run", ("arf",), env="synthcity"),
    "synthcity_tvae": Peer("benchmarks.peers.synthcity.run", ("tvae",), env="synthcity"),
    "sdv_gaussian_copula": Peer("benchmarks.peers.sdv_rows", ("GaussianCopulaSynthesizer",)),
    "sdv_ctgan": Peer("benchmarks.peers.sdv_rows", ("CTGANSynthesizer",)),
    "sdv_tvae": Peer("benchmarks.peers.sdv_rows", ("TVAESynthesizer",)),
}


def of_peer(name: str, train: pd.DataFrame, seed: int) -> tuple[pd.DataFrame | None, dict[str, Any]]:
    """The same of another's; None: it failed, with its last lines."""
    peer = PEERS[name]
    python = environment(peer.env) if peer.env else Path(sys.executable)
    mark = uuid.uuid4().hex[:8]
    folder = Path(tempfile.mkdtemp(prefix=f"p{mark}"))
    given = {key: value for key, value in os.environ.items() if key not in ("RAY_ADDRESS", "PYTHONDONTWRITEBYTECODE")}
    given |= {MARK: mark, "TMPDIR": str(folder), "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    given |= {"HF_HUB_OFFLINE": "1", "WANDB_MODE": "disabled"}
    try:
        plain, asked = told_plainly(train, seed)
        asked.write(folder, plain)
        command = [str(python), "-m", peer.module, str(folder), *peer.arguments]
        run = subprocess.run(command, cwd=folder, env=given, capture_output=True, text=True, start_new_session=True)
        if run.returncode or not (folder / ROWS).is_file():
            return None, {"failed": (run.stdout + run.stderr).strip().splitlines()[-8:]}
        told = json.loads((folder / TOLD).read_text(encoding="utf-8"))
        return as_learned(pd.read_parquet(folder / ROWS), train), told
    finally:
        end(mark)
        shutil.rmtree(folder, ignore_errors=True)


def told_plainly(train: pd.DataFrame, seed: int) -> tuple[pd.DataFrame, Asked]:
    """The rows as any library takes them: numbers, dates, and all else as texts."""
    plain, dates, categories = train.copy(), [], []
    for name, column in train.items():
        if pd.api.types.is_datetime64_any_dtype(column):
            dates.append(str(name))
        elif pd.api.types.is_bool_dtype(column) or not pd.api.types.is_numeric_dtype(column):
            categories.append(str(name))
            texts = column.astype(object)
            plain[name] = texts.where(texts.isna(), texts.astype(str)).where(texts.notna(), None)
    return plain, Asked(len(train), seed, dates, categories)


def as_learned(rows: pd.DataFrame, train: pd.DataFrame) -> pd.DataFrame:
    """A peer's rows in the types of those it learned from; a text that was in none of these is missing."""
    made: dict[str, Any] = {}
    for name, column in train.items():
        given = rows[name]
        if pd.api.types.is_datetime64_any_dtype(column):
            made[str(name)] = pd.to_datetime(given).astype(column.dtype)
        elif pd.api.types.is_numeric_dtype(column) and not pd.api.types.is_bool_dtype(column):
            numbers = pd.to_numeric(given, errors="coerce").astype(np.float64)
            whole = pd.api.types.is_integer_dtype(column) and not numbers.isna().any()
            made[str(name)] = numbers.round().astype(column.dtype) if whole else numbers
        else:
            values = {str(value): value for value in column.dropna().unique()}
            found = given.astype(object).map(values)
            kind = isinstance(column.dtype, pd.CategoricalDtype)
            made[str(name)] = found.astype(column.dtype) if kind or not found.isna().any() else found.astype(object)
    return pd.DataFrame(made)
