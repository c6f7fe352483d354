"""Predictions for a whole file, however large: rows stream through the model and out into one file, in their order.

Those of a small file in this process; those of a larger one through Ray Data.
"""

import io
import json
import logging
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import pandas as pd
import pyarrow as pa

from cluster.connect import connect
from cluster.user_error import UserError
from framework.data.source import read
from framework.predictor import Predictor
from framework.streamed import Streamed, streamed

SUFFIXES = (".csv", ".parquet")
FEW_BYTES = 4 * 2**20  # of rows that are answered here before Ray has even started
BATCH = 8_192  # rows in one call of the model
BLOCK_BYTES = 32 * 2**20  # what Ray Data aims at for one block: a few are in memory at a time
TOLD = 20  # distinct warnings that are kept
NOTE = "__note"  # the column in which a batch sends home its warnings, or its error


class ScoringError(UserError):
    """Rows that cannot be scored, or answers that cannot be written."""


@dataclass(frozen=True)
class Scored:
    """A file of answers. warnings: the first distinct ones."""

    path: Path
    rows: int
    warnings: tuple[str, ...]


class Writer(Protocol):
    """Where answers are appended."""

    def write_table(self, answers: pa.Table) -> None: ...

    def close(self) -> None: ...


class CsvWriter:
    """Answers appended to a CSV file, quoted only where they must be."""

    def __init__(self, path: Path, shape: pa.Schema) -> None:
        self._stream = path.open("w", encoding="utf-8", newline="")
        pd.DataFrame(columns=shape.names).to_csv(self._stream, index=False)

    def write_table(self, answers: pa.Table) -> None:
        answers.to_pandas().to_csv(self._stream, index=False, header=False)

    def close(self) -> None:
        self._stream.close()


def score(model: Path | str, data: str, out: Path | str) -> Scored:
    """Writes one answer for each row of `data`, in the same order: `prediction`, and `proba_<class>` for every class,
    or `prediction_low` and `prediction_high` where the model tells intervals.

    model: a model folder. data: what `source.read` takes; .csv, .tsv and .parquet files are streamed, so that they may
    be larger than memory. out: a .csv or .parquet file, there whole or not at all.
    Raises ModelFolderError, DataError, SchemaError or ScoringError; then `out` is untouched.
    """
    path = Path(out)
    check_out(path)
    predictor = Predictor.open(model)
    source = streamed(data)
    part = path.with_name(path.name + ".part")
    warnings: dict[str, None] = {}
    rows = 0
    writer = _writer(part, path.suffix.lower(), answer_schema(predictor))
    try:
        for answers in _answers(predictor, Path(model), data, source):
            for note in answers.column(NOTE).drop_null().to_pylist():
                told = json.loads(note)
                if told["error"]:
                    raise ScoringError(f"{data}: {told['error']} (Its rows are counted from row {rows + 1} on.)")
                warnings |= dict.fromkeys(told["warnings"])
            writer.write_table(answers.drop_columns(NOTE))
            rows += len(answers)
        writer.close()
        if not rows:
            raise ScoringError(f"{data} has no row. There is nothing to predict.")
        part.replace(path)
    finally:
        writer.close()
        part.unlink(missing_ok=True)
    return Scored(path, rows, tuple(warnings)[:TOLD])


def check_out(path: Path) -> None:
    """Raises ScoringError when answers cannot be written there."""
    if path.suffix.lower() not in SUFFIXES:
        raise ScoringError(f"--out {path} ends in {path.suffix!r}; answers are written as .csv or .parquet.")
    if path.is_dir():
        raise ScoringError(f"--out {path} is a folder. Pass the name of a file.")


def answer_schema(predictor: Predictor) -> pa.Schema:
    """The columns of the answers, the same in every batch whatever its rows."""
    kind = predictor.problem.kind
    if not predictor.problem.classified:
        ends = ("prediction_low", "prediction_high") if predictor.band is not None else ()
        value = pa.int64() if kind == "clustering" else pa.float64()
        return pa.schema([("prediction", value), *((name, pa.float64()) for name in ends)])
    classes = predictor.schema.classes
    label = pa.array(list(classes)).type
    return pa.schema([("prediction", label), *((f"proba_{name}", pa.float64()) for name in classes)])


class Scorer:
    """A predictor inside a Ray Data actor."""

    def __init__(self, packed: list[Any]) -> None:
        import ray

        with tempfile.TemporaryDirectory() as folder:
            with zipfile.ZipFile(io.BytesIO(ray.get(packed[0]))) as archive:
                archive.extractall(folder)
            self.predictor = Predictor.open(folder)

    def __call__(self, batch: pa.Table) -> pa.Table:
        return scored(self.predictor, batch.to_pandas(ignore_metadata=True, date_as_object=False))


def scored(predictor: Predictor, raw: pd.DataFrame) -> pa.Table:
    """The answers to a batch, and in the first row of the column NOTE what is to be said about them.

    Rows that do not fit the schema come home as a note too: an exception would lose its kind and its place on the way.
    """
    shape = answer_schema(predictor)
    try:
        answers, warnings = predictor.predict(raw, strict=False)
    except UserError as error:
        nothing = {name: pa.nulls(1, kind) for name, kind in zip(shape.names, shape.types, strict=True)}
        return pa.table({**nothing, NOTE: [json.dumps({"error": str(error), "warnings": []})]})
    table = pa.Table.from_pandas(answers, schema=shape, preserve_index=False)
    note = json.dumps({"error": "", "warnings": warnings[:TOLD]}) if warnings else None
    notes = pa.array([note, *[None] * (len(table) - 1)], pa.string()) if len(table) else pa.array([], pa.string())
    return table.append_column(NOTE, notes)


def _answers(predictor: Predictor, folder: Path, data: str, source: Streamed | None) -> Iterator[pa.Table]:
    """The batches of answers, in the order of the rows."""
    if source is None:
        frame = read(data)
        for start in range(0, len(frame), BATCH):
            yield scored(predictor, frame.iloc[start : start + BATCH].reset_index(drop=True))
        return
    predictor.schema.conform(pd.DataFrame(columns=list(source.columns), dtype=object), strict=False)  # none is missing
    wanted = [name for name in source.columns if name in predictor.schema.names]
    if source.bytes <= FEW_BYTES:
        try:
            for block in source.blocks(wanted):
                yield scored(predictor, block.to_pandas(date_as_object=False))
        except (pa.ArrowInvalid, OSError) as error:
            source.diagnose()
            raise ScoringError(f"{data} cannot be read to its end: {str(error).splitlines()[0]}") from error
        return
    import ray

    session = connect()
    with _streaming():
        answers = source.dataset(wanted).map_batches(
            Scorer,
            fn_constructor_args=([ray.put(_packed(folder))],),
            batch_size=BATCH,
            batch_format="pyarrow",
            zero_copy_batch=True,
            concurrency=max(1, int(session.cpus) - 1),  # reading needs a CPU too
            num_cpus=1,
        )
        try:
            yield from answers.iter_batches(batch_size=None, batch_format="pyarrow", prefetch_batches=1)
        except ray.exceptions.RayError as error:
            source.diagnose()
            lines = [line for line in str(error).splitlines() if line.strip()]
            raise ScoringError(f"{data} cannot be scored to its end: {lines[-1].strip()}") from error


@contextmanager
def _streaming() -> Iterator[None]:
    """Ray Data in order, in small blocks, and silent."""
    from ray.data import DataContext

    logging.getLogger("ray.data").setLevel(logging.CRITICAL)
    context = DataContext.get_current()
    before = (context.execution_options.preserve_order, context.target_max_block_size, context.enable_progress_bars)
    context.execution_options.preserve_order = True
    context.target_max_block_size = BLOCK_BYTES
    context.enable_progress_bars = False
    try:
        yield
    finally:
        context.execution_options.preserve_order, context.target_max_block_size, context.enable_progress_bars = before


def _writer(part: Path, suffix: str, shape: pa.Schema) -> Writer:
    try:
        part.parent.mkdir(parents=True, exist_ok=True)
        if suffix == ".csv":
            return CsvWriter(part, shape)
        from pyarrow.parquet import ParquetWriter

        opened: Writer = ParquetWriter(part, shape)
        return opened
    except OSError as error:
        raise ScoringError(f"{part.parent} cannot be written to ({error.strerror}). Pass another --out.") from error


def _packed(folder: Path) -> bytes:
    """A model folder as one archive: the actors may run on other machines."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_STORED) as archive:
        for path in sorted(folder.rglob("*")):
            archive.write(path, path.relative_to(folder))
    return packed.getvalue()
