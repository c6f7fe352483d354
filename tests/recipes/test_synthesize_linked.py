"""The recipe that makes linked tables: a file of each, every child with its parent; mistakes as sentences."""

import json
from pathlib import Path

import pandas as pd
import pytest

from framework.recipe import command
from recipes.synthesize_linked import SMOKE, main
from synthetic.linked.fitted import FittedTables

SCHOOLS = ["--tables", *SMOKE.tables, "--keys", *SMOKE.keys, "--links", *SMOKE.links, "--engine", "copula"]


def test_tables_are_written_saved_and_judged(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out, saved = tmp_path / "out", tmp_path / "saved"
    asked = [*SCHOOLS, "--scale", "0.25", "--without", "pupils.MEANSES", "--save", str(saved), "--out", str(out)]
    assert command(main, asked) == 0
    schools, pupils = (pd.read_parquet(out / f"{name}.parquet") for name in ("schools", "pupils"))
    assert len(schools) == 40
    assert pupils["School"].isin(schools["School"]).all()
    assert "MEANSES" not in pupils
    assert "MEANSES" in schools
    report = json.loads((out / "report.json").read_text())
    link = report["links"]["pupils.School → schools"]
    assert link["valid"] == 1.0
    assert link["cardinality"] > 0.7
    assert report["rows"] == {"schools": 40, "pupils": len(pupils)}
    assert "100% have their parent" in capsys.readouterr().out
    again = FittedTables.load(saved).sample(0.25, seed=0)
    pd.testing.assert_frame_equal(again["pupils"], pupils)
    assert sorted(path.name for path in out.iterdir()) == ["pupils.parquet", "report.json", "schools.parquet"]
    assert command(main, asked) == 2
    assert f"--save {saved} is there already" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        (["--tables", "schools"], "--tables 'schools' names no table. Write it as NAME=URI."),
        (["--tables", SMOKE.tables[0], SMOKE.tables[0]], "--tables has 'schools' twice"),
        (["--keys", "School"], "--keys 'School' names no column of a table. Write it as TABLE.COLUMN."),
        (["--links", "pupils.School"], "--links 'pupils.School' is no link. Write it as CHILD.COLUMN=PARENT."),
        (["--links", "pupils=schools"], "--links 'pupils=schools' names no column of a table"),
        (["--links", "pupils.School=school"], "there is no table 'school'"),
        (["--keys", "schools.Size"], "the key schools.Size is missing or there twice in some rows"),
        (["--without", "pupil.SES"], "there is no table 'pupil'"),
        (["--without", "pupils.Ses"], "table 'pupils' has no column 'Ses'"),
        (["--engine", "gan"], "the engine 'gan' cannot draw children given their parents"),
        (["--scale", "0"], "a scale of 0.0 leaves no row"),
    ],
    ids=lambda value: value[-1] if isinstance(value, list) else "",
)
def test_a_mistake_is_a_sentence(
    asked: list[str], told: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command(main, [*SCHOOLS, *asked, "--out", str(tmp_path / "out")]) == 2
    assert told in capsys.readouterr().err
    assert not list((tmp_path / "out").iterdir())
