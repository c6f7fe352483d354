"""The tables of federations: figures with their spread over seeds, and what was sent beside what it took."""

import numpy as np
import pytest

from benchmarks.federated import robust
from benchmarks.federated.robust import mean_of
from federated.strategies import FedAvg, Median


def test_a_mean_is_told_with_its_standard_error_where_it_has_one() -> None:
    scores = np.array([0.70, 0.74, 0.78])
    assert mean_of(scores) == f"0.740 ± {0.04 / np.sqrt(3):.3f}"
    assert mean_of(scores - 0.75, "+.3f") == "-0.010 ± 0.023"
    assert mean_of(scores[:1]) == "0.700"


def test_strategies_are_told_beside_the_mean_without_liars_seed_by_seed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def scored(split: object, strategy: object, times: float, rounds: int, seed: int) -> float:
        lost = 0.5 if times != 1.0 and isinstance(strategy, FedAvg) else 0.01
        return 0.7 + 0.1 * seed - (lost if times != 1.0 else 0.0)

    monkeypatch.setattr(robust, "r2", scored)
    monkeypatch.setattr(robust, "STRATEGIES", {"mean": FedAvg(), "median": Median()})
    monkeypatch.setattr(robust, "LIES", {"no liars": 1.0, "10 ×": 10.0})
    robust.main(["--rows", "20", "--seeds", "0", "1", "--apart", "0.3"])
    rows = [line for line in capsys.readouterr().out.splitlines() if line.startswith("| 0.3 apart")]
    honest = "0.750 ± 0.050 (+0.000 ± 0.000)"
    assert rows == [
        f"| 0.3 apart | mean | {honest} | 0.250 ± 0.050 (-0.500 ± 0.000) |",
        f"| 0.3 apart | median | {honest} | 0.740 ± 0.050 (-0.010 ± 0.000) |",
    ]
