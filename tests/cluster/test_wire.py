import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cluster.wire import WireError, pack, unpack

ARRAYS = {
    **{
        dtype: np.arange(6).astype(dtype)
        for dtype in ("bool", "i1", "u2", "i4", "i8", "u8", "f2", "f4", "f8", "c8", "c16", ">f8", "<M8[ns]", "<m8[s]")
    },
    "gaps": np.array([1.0, np.nan, -np.inf]),
    "no date": np.array(["2026-01-01", "NaT"], dtype="datetime64[D]"),
    "text": np.array(["", "Zürich", "東京 🏠"]),
    "bytes": np.array([b"a", b"bcd"]),
    "record": np.array([(1, 2.5)], dtype=[("room", "i4"), ("rent", "f8")]),
    "one number": np.array(3.5),
    "no rows": np.empty((0, 7), dtype=np.float32),
    "turned": np.arange(12.0).reshape(3, 4).T,
    "every other": np.arange(12)[::2],
    "file": np.arange(3),
    "dense/kernel:0": np.ones((2, 3, 4)),
}


@pytest.mark.parametrize("name", ARRAYS)
def test_an_array_comes_back_as_it_was(name: str) -> None:
    arrays, facts = unpack(pack({name: ARRAYS[name]}, {}))
    back = arrays[name]
    assert (list(arrays), facts) == ([name], {})
    assert (back.dtype, back.shape) == (ARRAYS[name].dtype, ARRAYS[name].shape)
    assert back.tobytes() == ARRAYS[name].tobytes()


@pytest.mark.parametrize(
    "array",
    [
        np.array(["a", None], dtype=object),
        np.array([(1, [2])], dtype=[("a", "i4"), ("b", "O")]),
        np.array(["a"], dtype=np.dtypes.StringDType()),
    ],
)
def test_an_array_of_objects_is_refused_by_name(array: np.ndarray) -> None:
    with pytest.raises(WireError, match=r"'tenants'.*pickle"):
        pack({"rents": np.arange(3), "tenants": array}, {})


@given(
    st.dictionaries(
        st.text(),
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
            lambda deeper: st.lists(deeper) | st.dictionaries(st.text(), deeper),
            max_leaves=8,
        ),
    )
)
def test_facts_come_back_equal(facts: dict[str, object]) -> None:
    assert unpack(pack({}, facts)) == ({}, facts)


def test_numpys_scalars_become_pythons() -> None:
    facts = unpack(pack({}, {"loss": np.float32(0.5), "rounds": np.int64(7), "best": [np.bool_(True)], "gap": np.nan}))[
        1
    ]
    assert facts.pop("gap") != 0
    assert facts == {"loss": 0.5, "rounds": 7, "best": [True]}
    assert type(facts["rounds"]) is int


def test_a_fact_that_json_does_not_hold_is_named() -> None:
    with pytest.raises(WireError, match=r"'weights'.*ndarray.*among the arrays"):
        pack({}, {"rounds": 3, "weights": {"a": np.arange(3)}})


def test_bytes_cut_short_are_told() -> None:
    data, text = pack({"rows": np.arange(1000)}, {})
    with pytest.raises(ValueError, match="no whole"):
        unpack((data[: len(data) // 2], text))
