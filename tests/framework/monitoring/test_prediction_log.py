"""What is logged of a request, what never is, and how it is read back."""

from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from framework.monitoring.outcomes import Outcome, OutcomeLog, outcomes, outcomes_of
from framework.monitoring.parts import LogError
from framework.monitoring.performance import joined
from framework.monitoring.prediction_log import PredictionLog, logged_models, logging_to, predictions
from framework.serving.observing import Observed, observers_of

ROW = {"island": "Biscoe", "mass": 5_500, "name": "a person's"}
ITEM = {"prediction": "Gentoo", "probabilities": {"Adelie": 0.1, "Gentoo": 0.9}}
SEEN = Observed("birds", "3", [ROW, {**ROW, "mass": None}], [ITEM, ITEM], 0.02, 200, 1000.0, "r1")


def write(folder: Path, *seen: Observed, **options: object) -> None:
    log = PredictionLog(folder, **options)
    for each in seen:
        log.observe(each)
    log.close()


def test_every_row_is_logged_with_its_answer_and_read_back(tmp_path):
    refused = replace(SEEN, rows=[ROW], items=(), status=422, request="r2", at=1001.0)
    write(tmp_path, SEEN, refused)
    logged = predictions(tmp_path, "birds")
    assert logged.frame["request"].tolist() == ["r1", "r1", "r2"]
    assert logged.frame["status"].tolist() == [200, 200, 422]
    assert logged.requests["rows"].tolist() == [2, 1]
    assert logged.requests["seconds"].tolist() == [0.02, 0.02]
    assert logged.answered["row"].tolist() == [0, 1]
    assert logged.answered["prediction"].tolist() == ["Gentoo", "Gentoo"]
    assert logged.probabilities().iloc[0].to_dict() == {"Adelie": 0.1, "Gentoo": 0.9}
    assert logged.features()["mass"].tolist()[0] == 5_500
    assert pd.isna(logged.features()["mass"][1])
    assert logged.frame["at"][0] == pd.Timestamp(1000, unit="s", tz="UTC")
    assert logged_models(tmp_path) == ["birds"]


def test_columns_opted_out_are_nowhere_in_the_files(tmp_path):
    write(tmp_path, SEEN, without=["name"])
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert files
    assert not any(b"person" in path.read_bytes() or b"x.name" in path.read_bytes() for path in files)
    assert list(predictions(tmp_path, "birds").features()) == ["island", "mass"]


def test_a_share_of_the_requests_is_logged_the_same_ones_by_every_replica(tmp_path):
    many = [replace(SEEN, request=f"r{place}") for place in range(2_000)]
    write(tmp_path / "a", *many, share=0.25)
    write(tmp_path / "b", *many, share=0.25)
    first, second = (set(predictions(tmp_path / part, "birds").frame["request"]) for part in "ab")
    assert first == second
    assert 400 < len(first) < 600
    kept = predictions(tmp_path / "a", "birds").answered
    assert len(kept) == 2 * len(first)  # all rows of a request, or none


def test_a_time_and_a_version_are_read_by_themselves_and_a_name_is_no_path(tmp_path):
    later = [replace(SEEN, model="../odd name", version=str(place), at=1000.0 + place, request=f"r{place}")
             for place in range(5)]  # fmt: skip
    write(tmp_path, *later)
    assert logged_models(tmp_path) == ["../odd name"]
    assert not (tmp_path.parent / "odd name").exists()
    assert len(predictions(tmp_path, "../odd name", since=1001.0, until=1003.0).requests) == 2
    assert len(predictions(tmp_path, "../odd name", version="4").requests) == 1
    assert len(predictions(tmp_path, "../odd name", since=2000.0).answered) == 0
    assert len(predictions(tmp_path, "../odd name", since=2000.0).requests) == 0
    with pytest.raises(LogError, match=r"nothing of model 'birds'; it has: \.\./odd name"):
        predictions(tmp_path, "birds")


def test_requests_without_an_id_are_logged_one_by_one(tmp_path):
    write(tmp_path, *[replace(SEEN, request="")] * 3)
    assert len(predictions(tmp_path, "birds").requests) == 3


def test_a_request_that_is_sent_again_counts_as_two_and_its_last_answer_meets_the_outcome(tmp_path):
    failed = replace(SEEN, items=(), status=503, at=999.0)
    again = replace(SEEN, items=[{**ITEM, "prediction": "Adelie"}] * 2, at=1001.0)
    write(tmp_path, failed, SEEN, again)
    logged = predictions(tmp_path, "birds")
    assert logged.requests["status"].tolist() == [503, 200, 200]
    log = OutcomeLog(tmp_path)
    log.post([Outcome("r1", "Gentoo")])
    log.close()
    assert joined(logged, outcomes(tmp_path))["prediction"].tolist() == ["Adelie"]


def test_the_servers_configuration_makes_the_log(tmp_path):
    (log,) = observers_of([logging_to(tmp_path / "log", without=["name"])])
    log.observe(SEEN)
    log.close()
    assert len(predictions(tmp_path / "log", "birds").answered) == 2
    for options in ({"share": 0.0}, {"share": 2.0}):
        with pytest.raises(LogError, match="share is"):
            logging_to(tmp_path, **options)
    (tmp_path / "file").write_text("")
    with pytest.raises(LogError, match="cannot be made"):
        logging_to(tmp_path / "file")


def test_outcomes_are_joined_by_request_and_row_and_a_later_one_counts(tmp_path):
    write(tmp_path, SEEN, replace(SEEN, request="r2"))
    log = OutcomeLog(tmp_path)
    assert log.post([Outcome("r1", "Adelie"), {"request": "r1", "row": 1, "outcome": "Gentoo"}]) == 2
    log.post([{"request": "r1", "outcome": "Gentoo"}, {"request": "unknown", "outcome": 1.0}])
    log.close()
    came = outcomes(tmp_path)
    assert len(came) == 3
    assert came.set_index("request")["outcome"]["unknown"] == "1"
    both = joined(predictions(tmp_path, "birds"), came)
    assert both[["request", "row", "outcome"]].to_numpy().tolist() == [["r1", 0, "Gentoo"], ["r1", 1, "Gentoo"]]


def test_outcomes_come_from_a_table_too(tmp_path):
    pd.DataFrame({"request": ["r1", "r1", "r2"], "row": [0, 1, 0], "outcome": [1.0, None, 3.5]}).to_csv(
        tmp_path / "came.csv", index=False
    )
    assert outcomes_of(str(tmp_path / "came.csv"))[["request", "row", "outcome"]].to_numpy().tolist() == [
        ["r1", 0, "1"],
        ["r2", 0, "3.5"],
    ]
    pd.DataFrame({"id": ["r1"], "outcome": [1]}).to_csv(tmp_path / "other.csv", index=False)
    with pytest.raises(LogError, match="no column 'request'"):
        outcomes_of(str(tmp_path / "other.csv"))


@pytest.mark.parametrize(
    ("posted", "said"),
    [
        ({"request": "", "outcome": 1}, "outcome 2 has request ''"),
        ({"request": "r", "outcome": None}, "outcome 2 is None"),
        ({"request": "r", "outcome": " "}, "outcome 2 is ' '"),
        ({"request": "r", "outcome": [1]}, "outcome 2 is \\[1\\]"),
        ({"request": "r", "outcome": 1, "row": -1}, "outcome 2 has row -1"),
        ({"request": "r", "outcome": 1, "rows": 1}, "outcome 2 has 'rows'"),
        ("r", "outcome 2 is no object"),
    ],
)
def test_outcomes_that_are_none_are_refused_all_together(tmp_path, posted, said):
    log = OutcomeLog(tmp_path)
    with pytest.raises(LogError, match=said):
        log.post([{"request": "r1", "outcome": 1}, posted])
    log.close()
    assert len(outcomes(tmp_path)) == 0
