"""From files larger than memory to a Split: nothing is held but a sample, and the rows to choose by and to test on."""

import hashlib
import json
import logging
import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from framework.data import files
from framework.data.answer_key import Seen
from framework.data.cut import TEST, TRAIN, VALID, Cut
from framework.data.data_error import DataError
from framework.data.frame import Fold, Frame
from framework.data.load import given_fields, load
from framework.data.parquet import Footers, footers
from framework.data.passes import count, gather
from framework.data.quality import Quality, assess
from framework.data.schema import Schema, survey
from framework.data.shards import Shards
from framework.data.split import Split
from framework.problem import Kind, Problem

log = logging.getLogger(__name__)

SMALL_BYTES = 512 * 2**20  # of rows in memory; below, one process does better than any number of them
TEXT_BYTES = 128 * 2**20  # of a delimited file that is small; its rows take some times as much


def stream(
    source: Any,
    problem: Problem | None = None,
    *,
    target: str | None = None,
    kind: Kind | None = None,
    metric: str | None = None,
    name: str | None = None,
    silo: str | None = None,
    group: str | None = None,
    time: str | None = None,
    series: str | None = None,
    horizon: int | None = None,
    weight: str | None = None,
    ignored: Sequence[str] = (),
    ahead: Sequence[str] = (),
    seed: int = 0,
    test: float = 0.2,
    valid: float = 0.2,
    sample: int = 100_000,
    most: int = 200_000,
    folder: str | Path | None = None,
    always: bool = False,
) -> Split:
    """The rows of files as a Split whose rows to learn from stay in the files; `load` for what fits in memory.

    source: Parquet or delimited files by path, glob, folder or `s3://`. Delimited ones are written as Parquet once, by
        Ray Data, into `folder` (which every worker must reach; by default one of this machine's temporary folders).
        Anything else, and files that make less than half a gigabyte in memory unless `always`, go to `load`.
    sample: rows of `fold.train`, off which the columns are learned. most: rows of `fold.valid` and of `test`, each.
    Which row goes where is told by a hash of its place, or of its group's value. Two looks are taken here, over the
    target and group columns, and over all, block by block by pyarrow: every Ray Data execution costs seconds.
    Raises DataError, ProblemError or SchemaError as `load` does; DataError for a question that needs rows in order.
    """
    given = given_fields(
        problem, target=target, kind=kind, metric=metric, name=name, silo=silo, group=group, time=time, series=series,
        horizon=horizon, weight=weight, ignored=tuple(ignored) or None, ahead=tuple(ahead) or None,
    )  # fmt: skip
    if not (0 < test < 1 and 0 <= valid < 1):
        raise DataError(f"test={test:g} and valid={valid:g} are shares: 0 < test < 1, 0 ≤ valid < 1.")
    found = _files(source, folder, always)
    if found is None:
        return load(source, problem, **given, seed=seed, test=test, valid=valid)
    system, told = found
    roles = _roles(problem, given, told)
    tested_share = _share(test, told.rows, most)
    cut = Cut(seed, tested_share, _share(valid, told.rows * (1 - tested_share), most))
    pieces, seen = count(system, told, cut, target=str(roles.target), group=roles.group)
    question = problem or _inferred(seen, told, given)
    _check_unordered(question)
    key = seen.key(question)
    shards = Shards(pieces, system, question, Schema((), key.classes), key, cut, told.names)
    if not len(shards):
        raise DataError(f"{source} has {seen.rows} rows with an answer, and none of them fell to learning. Use `load`.")
    tables = gather(
        system, told, cut, target=str(question.target), group=question.group,
        shares={TRAIN: sample / len(shards), VALID: 1.0, TEST: 1.0}, ignored=set(question.ignored),
    )  # fmt: skip
    schema, left_out = survey(shards.raw(tables[TRAIN]), question)
    shards = replace(shards, schema=replace(schema, classes=key.classes))
    limits = {TRAIN: sample, VALID: most, TEST: most}
    train, chosen, tested = (_first(shards.frame(tables.pop(part)), limits[part]) for part in limits)
    if not len(tested):
        raise DataError(f"{source} has too few rows with an answer ({seen.rows}) for a test by hash. Use `load`.")
    how = "grouped by hash" if question.group else "random by hash"
    quality = _judged(train, shards, left_out, told.rows - seen.rows, seen.rows)
    decided = [told.digest, shards.schema.to_json(), how, test, valid, most, seed]
    fingerprint = hashlib.sha256(json.dumps(decided, default=str).encode()).hexdigest()
    split = Split(
        Fold(question, shards.schema, train, chosen, shards), tested, how, seed, fingerprint, quality, str(source)
    )
    log.info(
        "%s: %s, %s on %r; split %s: %d to learn (%d of them in memory), %d to choose, %d to test",
        source, question.kind, question.metric, question.target, how, len(shards), len(train), len(chosen), len(tested),
    )  # fmt: skip
    return split


def _files(source: Any, folder: str | Path | None, always: bool) -> tuple[Any, Footers] | None:
    """The Parquet files of a source, staged where they are none; None for what `load` reads better."""
    from framework.streamed import SCHEMES

    uri = str(source)
    if not isinstance(source, str | Path) or uri.startswith(SCHEMES):
        return None
    system, paths = files.s3(uri) if uri.startswith("s3://") else files.local(uri.removeprefix("file://"))
    kinds = {files.suffix_of(path) for path in paths}
    if kinds <= {".csv", ".tsv"}:
        if not always and sum(info.size or 0 for info in system.get_file_info(paths)) < TEXT_BYTES:
            return None
        from framework.data.staged import staged

        system, paths = files.local(str(staged(uri, system, paths, folder=folder)))
    elif kinds != {".parquet"}:
        return None
    told = footers(system, paths)
    if not told.rows:
        raise DataError(f"{source} has columns but no row. A table needs rows to learn from.")
    return (system, told) if always or told.bytes >= SMALL_BYTES else None


def _roles(problem: Problem | None, given: Mapping[str, Any], told: Footers) -> Problem:
    """The problem, or one of the same columns before its kind is known. Raises what is wrong with its columns."""
    if problem is None:
        if given.get("target") is None or given.get("kind") in ("forecast", "clustering"):
            raise DataError(
                f"{'clusters' if given.get('kind') != 'forecast' else 'forecasts'} need all rows in one place; these "
                f"files are too large for that. Pass a target and another kind, or a sample of the rows to `load`."
            )
        same = {key: value for key, value in given.items() if key not in ("kind", "metric", "name")}
        problem = Problem(name=str(given["target"]), kind="regression", **same)
    _check_unordered(problem)
    problem.check_columns(told.names)
    return problem


def _check_unordered(problem: Problem) -> None:
    if problem.kind in ("forecast", "clustering") or problem.time is not None or problem.target is None:
        what = f"kind={problem.kind!r}" if problem.time is None else f"time={problem.time!r}"
        raise DataError(
            f"{what} needs all rows in one place, in order; these files are too large for that. Leave the time column "
            f"out, or pass a sample of the rows to `load`."
        )


def _share(share: float, rows: float, most: int) -> float:
    """A share of the rows that hardly ever makes more than `most` of them: four standard deviations below."""
    return min(share, max(1.0, most - 4 * math.sqrt(most)) / max(1.0, rows)) if share else 0.0


def _inferred(seen: Seen, told: Footers, given: dict[str, Any]) -> Problem:
    """The problem that all of the target's values ask."""
    asked = dict(given)
    target = str(asked.pop("target"))
    look = seen.look()
    others = [name for name in told.names if name != target]
    return Problem.infer(pd.DataFrame({target: look, **dict.fromkeys(others)}), target, **asked)


def _first(frame: Frame, most: int) -> Frame:
    return frame if len(frame) <= most else frame.take(np.arange(most))


def _judged(sample: Frame, shards: Shards, left_out: Mapping[str, str], dropped: int, rows: int) -> Quality:
    """The quality report of the sample, with the counts of all rows."""
    remarks = [("reading", f"looked at on a sample of {len(sample):,} rows")]
    if dropped:
        remarks.append(("dropped", f"{dropped:,} row{'s'[: dropped != 1]} without {shards.problem.target!r} dropped"))
    told = assess(
        sample, problem=shards.problem, schema=shards.schema, left_out=left_out, remarks=remarks, seed=shards.cut.seed
    )
    classes = {str(label): count for label, count in zip(shards.key.classes, shards.key.counts, strict=True)}
    return replace(told, rows=rows, classes=classes)
