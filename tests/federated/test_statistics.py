"""What silos agree on, held against the same figures of the pooled rows."""

import numpy as np
import pytest

from federated.statistics import (
    categories_of,
    disagreeing,
    edges_of,
    histogram_of,
    join_categories,
    join_moments,
    moments_of,
    quantiles_of,
    target_sums_of,
)


def silos(columns: int = 4) -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    made = [rng.lognormal(mean=place, size=(30 + 40 * place, columns)) for place in range(5)]
    for rows in made:
        rows[rng.random(rows.shape) < 0.1] = np.nan
    return made


def test_moments_are_those_of_the_pooled_rows() -> None:
    parts, pooled = silos(), np.concatenate(silos())
    joined = join_moments([moments_of(rows) for rows in parts])
    assert joined.count.tolist() == np.isfinite(pooled).sum(axis=0).tolist()
    assert joined.missing.tolist() == np.isnan(pooled).sum(axis=0).tolist()
    assert joined.mean == pytest.approx(np.nanmean(pooled, axis=0), rel=1e-10)
    assert joined.deviation**2 == pytest.approx(np.nanvar(pooled, axis=0), rel=1e-10)


def test_moments_survive_a_large_offset() -> None:
    parts = [rows + 1e9 for rows in silos()]
    pooled = np.concatenate(parts)
    joined = join_moments([moments_of(rows) for rows in parts])
    assert joined.deviation == pytest.approx(np.nanstd(pooled, axis=0), rel=1e-6)


def test_a_column_with_few_values_tells_nothing() -> None:
    rows = np.full((20, 2), np.nan)
    rows[:, 0] = np.arange(20.0)
    rows[:4, 1] = 7.0
    told = moments_of(rows, least=5)
    assert told.count.tolist() == [20.0, 0.0]
    assert told.mean[1] == told.square[1] == told.missing[1] == 0.0
    counts = histogram_of(rows, edges_of(told.mean, told.deviation), least=5)
    assert counts.sum(axis=1).tolist() == [20, 0]


def test_quantiles_are_within_a_cell_of_the_pooled_ones() -> None:
    parts, pooled = silos(), np.concatenate(silos())
    moments = join_moments([moments_of(rows) for rows in parts])
    edges = edges_of(moments.mean, moments.deviation)
    counts = np.sum([histogram_of(rows, edges) for rows in parts], axis=0)
    assert counts.sum(axis=1).tolist() == moments.count.tolist()
    shares = np.array([0.05, 0.25, 0.5, 0.75, 0.95])
    told = quantiles_of(counts, edges, shares)
    for place in range(pooled.shape[1]):
        exact = np.nanquantile(pooled[:, place], shares, method="inverted_cdf")
        cell = np.searchsorted(edges[place], exact) - 1
        width = edges[place][cell + 1] - edges[place][cell]
        assert (np.abs(told[place] - exact) <= width * (1 + 1e-9)).all()


def test_a_histogram_with_a_least_count_holds_no_smaller_cell_and_keeps_the_middle() -> None:
    values = np.random.default_rng(2).normal(size=(200, 1))
    edges = edges_of(np.zeros(1), np.ones(1))
    counts = histogram_of(values, edges, least=5)
    assert counts.sum() == 200
    assert counts[counts > 0].min() >= 5
    told = quantiles_of(counts, edges, np.array([0.25, 0.5, 0.75]))[0]
    assert told == pytest.approx(np.quantile(values, [0.25, 0.5, 0.75]), abs=0.1)


def test_categories_are_counted_as_if_pooled_and_rare_ones_are_not_named() -> None:
    a = {"kind": np.array(["x"] * 6 + ["y"] * 2 + [None], dtype=object)}
    b = {"kind": np.array(["x"] * 1 + ["z"] * 7, dtype=object)}
    exact = join_categories([categories_of(a)[0], categories_of(b)[0]])
    assert exact == {"kind": {"x": 7, "y": 2, "z": 7}}
    counts, others = categories_of(a, least=5)
    assert counts == {"kind": {"x": 6}}
    assert others == {"kind": 0}  # two rows are too few to be told even as a rest
    assert categories_of({"kind": np.array(list("aabbccdddddd"), dtype=object)}, least=5) == (
        {"kind": {"d": 6}},
        {"kind": 6},
    )


def test_target_sums_are_those_of_the_pooled_rows() -> None:
    rng = np.random.default_rng(3)
    parts = [(rng.integers(-1, 4, n), rng.normal(size=n), rng.uniform(1, 2, n)) for n in (50, 80, 20)]
    joined = np.sum([target_sums_of(codes, y, weight, 4) for codes, y, weight in parts], axis=0)
    codes, y, weight = (np.concatenate(side) for side in zip(*parts, strict=True))
    assert joined[0] == pytest.approx([weight[codes == k].sum() for k in range(4)], rel=1e-10)
    means = [np.average(y[codes == k], weights=weight[codes == k]) for k in range(4)]
    assert joined[1] / joined[0] == pytest.approx(means, rel=1e-10)
    told = target_sums_of(np.array([0] * 6 + [1] * 2), np.arange(8.0), np.ones(8), 2, least=5)
    assert told.tolist() == [[6.0, 0.0], [15.0, 0.0]]


def test_other_units_are_seen_and_other_levels_are_not() -> None:
    rng = np.random.default_rng(4)
    rows = {f"silo {k}": np.column_stack([rng.normal(100, 20, 80), rng.normal(1950 + 20 * k, 3, 80)]) for k in range(5)}
    rows["metres"] = np.column_stack([rng.normal(100, 20, 80) / 10.76, rng.normal(1950, 3, 80)])
    moments = join_moments([moments_of(part) for part in rows.values()])
    edges = edges_of(moments.mean, moments.deviation)
    assert disagreeing({name: histogram_of(part, edges, 5) for name, part in rows.items()}, edges) == {"metres": [0]}
