"""The equations of `federated.average`, evaluated on numbers."""

import numpy as np
import pytest

from federated.average import clipped, krum_scores, median, norm, nova, plain_mean, trimmed_mean, weighted_mean
from federated.update import SiloError, Update


def updates(*deltas: list[float], rows: tuple[float, ...] = (), steps: tuple[int, ...] = ()) -> list[Update]:
    return [
        Update(f"silo {k}", rows[k] if rows else 1.0, steps[k] if steps else 1, {"delta": {"w": np.array(delta)}})
        for k, delta in enumerate(deltas)
    ]


def test_a_mean_counts_each_silo_by_its_rows() -> None:
    mean = weighted_mean(updates([1.0, 2.0], [4.0, 8.0], rows=(1.0, 3.0)))["w"]
    assert mean == pytest.approx([(1 * 1 + 3 * 4) / 4, (1 * 2 + 3 * 8) / 4], abs=1e-15)
    assert mean.dtype == np.float64
    assert plain_mean(updates([1.0, 2.0], [4.0, 8.0], rows=(1.0, 3.0)))["w"] == pytest.approx([2.5, 5.0])


def test_a_mean_is_numpys_on_random_numbers() -> None:
    rng = np.random.default_rng(0)
    deltas, rows = rng.normal(size=(7, 20)), rng.integers(1, 90, 7).astype(float)
    given = updates(*deltas.tolist(), rows=tuple(rows))
    assert weighted_mean(given)["w"] == pytest.approx(np.average(deltas, axis=0, weights=rows), abs=1e-12)
    assert median(given)["w"] == pytest.approx(np.median(deltas, axis=0), abs=1e-15)


def test_a_trimmed_mean_is_scipys() -> None:
    from scipy.stats import trim_mean

    deltas = np.random.default_rng(1).normal(size=(9, 5))
    assert trimmed_mean(updates(*deltas.tolist()), 0.25)["w"] == pytest.approx(trim_mean(deltas, 0.25), abs=1e-14)


def test_krum_sums_the_distances_to_the_nearest() -> None:
    points = [[0.0], [1.0], [2.0], [4.0], [100.0]]  # K - f - 2 = 2 nearest
    assert krum_scores(updates(*points), 1).tolist() == [1 + 4, 1 + 1, 1 + 4, 4 + 9, 96**2 + 98**2]
    with pytest.raises(SiloError, match="needs 7 updates, and 5 came"):
        krum_scores(updates(*points), 2)


def test_nova_takes_each_silos_mean_step() -> None:
    # One silo made 10 steps of 1, the other 1 step of 1: both pull by the same mean step.
    step = nova(updates([10.0], [1.0], rows=(1.0, 3.0), steps=(10, 1)))["w"]
    effective = 0.25 * 10 + 0.75 * 1
    assert step == pytest.approx([effective * (0.25 * 10 / 10 + 0.75 * 1 / 1)], abs=1e-14)
    assert nova(updates([3.0], [5.0], rows=(1.0, 3.0), steps=(4, 4)))["w"] == pytest.approx([4.5])  # as FedAvg


def test_a_clipped_update_has_at_most_that_norm() -> None:
    update = updates([3.0, 4.0])[0]
    assert norm(clipped(update, 1.0).delta) == pytest.approx(1.0)
    assert clipped(update, 1.0).delta["w"] == pytest.approx([0.6, 0.8])
    assert clipped(update, 9.0).delta["w"].tolist() == [3.0, 4.0]


@pytest.mark.parametrize("combine", [weighted_mean, plain_mean, median, nova])
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_what_is_not_finite_is_refused_by_the_silos_name(combine: object, value: float) -> None:
    with pytest.raises(SiloError, match=r"'silo 1' sent delta with values that are not finite, in 'w'"):
        combine(updates([1.0], [value], [2.0]))  # type: ignore[operator]


def test_other_shapes_are_refused_by_the_silos_name() -> None:
    with pytest.raises(SiloError, match=r"'silo 1' sent delta of another model: 'w'"):
        weighted_mean(updates([1.0], [1.0, 2.0]))
    with pytest.raises(SiloError, match="no silo sent an update"):
        weighted_mean([])
    with pytest.raises(SiloError, match="'silo 0' says it learned 1 step"):
        weighted_mean(updates([1.0], rows=(0.0,)))
