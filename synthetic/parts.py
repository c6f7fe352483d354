"""More rows than one process should see: a folder of Parquet files, a shard each, by Ray Data.

Each worker writes what it draws, so that no row passes through this process. The rows are those that
`sharded.write_rows` writes.
"""

import logging
import shutil
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from cluster.user_error import UserError
from framework.plain import WriteError, write_json
from synthetic.arrow_schema import arrow_of, schema_of
from synthetic.fitted import Fitted, SamplingError
from synthetic.manifest import Manifest
from synthetic.sharded import SHARD_ROWS, digest, row_keys, shard, shard_counts

MANIFEST = "manifest.json"


def write_parts(
    fitted: Fitted,
    folder: Path | str,
    *,
    rows: int,
    seed: int = 0,
    conditions: Mapping[str, Any] | None = None,
    workers: int = 1,
    copies_of: pd.DataFrame | None = None,
    shard_rows: int = SHARD_ROWS,
) -> Manifest:
    """Writes `rows` rows into a new folder, one that all nodes see, as `part-00000.parquet` and so on, and last of all
    `manifest.json`: a folder without it is not whole.

    workers: shards drawn at once; all else as `write_rows` has it. Raises what `Fitted.sample` does; SamplingError
    where most rows are copies; WriteError, also for a folder that is there and holds something. Nothing is left then.
    """
    import ray
    import ray.data

    from cluster.connect import connect

    home, asked = Path(folder).resolve(), dict(conditions or {})
    if home.exists() and (not home.is_dir() or any(home.iterdir())):
        raise WriteError(f"{home} is there already. Pass a folder that is not.")
    fitted.sample(0, asked, seed=seed)  # what cannot be asked is told before a worker starts
    keys = None if copies_of is None else np.unique(row_keys(copies_of[list(fitted.table.names)]))
    jobs = [{"shard": number, "rows": count} for number, count in enumerate(shard_counts(rows, shard_rows))]
    draw = partial(_part, fitted=fitted, folder=home, seed=seed, conditions=asked, keys=keys)
    try:
        home.mkdir(parents=True, exist_ok=True)
        connect()
        logging.getLogger("ray.data").setLevel(logging.ERROR)
        ray.data.DataContext.get_current().enable_progress_bars = False
        at_once = ray.data.TaskPoolStrategy(size=workers)
        drawn = ray.data.from_items(jobs, override_num_blocks=len(jobs)).map(draw, compute=at_once)
        told = sorted(drawn.take_all(), key=lambda each: int(each["shard"]))
        if failed := [each["failed"] for each in told if each["failed"]]:
            raise SamplingError(failed[0])
    except BaseException as error:
        shutil.rmtree(home, ignore_errors=True)
        if isinstance(error, OSError):
            raise WriteError(f"{home} cannot be written ({error.strerror or error}). Pass another folder.") from error
        raise
    shards = tuple({key: each[key] for key in ("shard", "rows", "copies_dropped", "sha256")} for each in told)
    dropped = sum(int(each["copies_dropped"]) for each in told)
    manifest = Manifest(home.name, rows, seed, shard_rows, dropped, asked, shards, fitted.facts)
    write_json(home / MANIFEST, manifest.to_json())
    return manifest


def _part(
    job: dict[str, Any],
    *,
    fitted: Fitted,
    folder: Path,
    seed: int,
    conditions: Mapping[str, Any],
    keys: np.ndarray | None,
) -> dict[str, Any]:
    """Draws and writes one shard, on a worker; its line of the manifest. A mistake comes home as text."""
    import pyarrow.parquet as pq

    number, nothing = int(job["shard"]), {"rows": 0, "copies_dropped": 0, "sha256": ""}
    try:
        frame, copies = shard(fitted, number, int(job["rows"]), seed=seed, conditions=conditions, keys=keys)
        pq.write_table(arrow_of(frame, schema_of(fitted.table)), folder / f"part-{number:05d}.parquet")
    except (UserError, OSError) as error:
        return {"shard": number, "failed": str(error), **nothing}
    told = {"rows": len(frame), "copies_dropped": copies, "sha256": digest(frame)}
    return {"shard": number, "failed": "", **told}
