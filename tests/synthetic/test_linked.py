"""Linked tables: every link names a row that is there, parents have as many children, and children take after them."""

import subprocess
import sys
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from framework.contender import Context
from framework.data.data_error import DataError
from synthetic.ar import AR
from synthetic.copula import Copula
from synthetic.fitted import SynthesizerStoreError
from synthetic.gan import GAN
from synthetic.linked.fitted import FittedTables
from synthetic.linked.likeness import linked_likeness
from synthetic.linked.linked import Linked
from synthetic.linked.schema import Link, LinkError, Schema

ROOT = Path(__file__).parents[2]
ORDERED = Link("line", "order", "order")
BOUGHT = Link("line", "product", "product")
SCHEMA = Schema(
    keys={"region": "name", "customer": "id", "order": "id", "product": "code"},
    links=(
        Link("customer", "region", "region"), Link("order", "customer", "customer"), ORDERED, BOUGHT,
        Link("review", "customer", "customer"), Link("review", "product", "product"),
    ),
)  # fmt: skip


@cache
def shop() -> dict[str, pd.DataFrame]:
    """Six tables, four deep; a line belongs to an order and to a product."""
    random = np.random.default_rng(0)

    def under(parents: pd.DataFrame, means: np.ndarray) -> np.ndarray:
        return np.repeat(np.arange(len(parents)), random.poisson(means))

    region = pd.DataFrame({"name": [f"R{n}" for n in range(40)], "rich": random.random(40) < 0.5})
    at = under(region, np.full(40, 6.0))
    rich = region["rich"].to_numpy()[at]
    customer = pd.DataFrame({"region": region["name"].to_numpy()[at], "id": np.arange(500, 500 + len(at)),
                             "income": np.round(random.normal(30 + 20 * rich, 6), 1),
                             "tier": np.where(random.random(len(at)) < 0.2 + 0.6 * rich, "gold", "plain")})  # fmt: skip
    at = under(customer, np.where(customer["tier"] == "gold", 5.0, 1.0))
    order = pd.DataFrame({"id": np.arange(len(at)), "customer": customer["id"].to_numpy()[at],
                          "paid": np.round(customer["income"].to_numpy()[at] * random.uniform(0.5, 1.5, len(at)), 2),
                          "day": pd.Timestamp("2024-01-01") + pd.to_timedelta(random.integers(0, 90, len(at)), "D"),
                          })  # fmt: skip
    product = pd.DataFrame({"code": [f"P{n}" for n in range(50)], "luxury": np.arange(50) % 2 == 0})
    at = under(order, np.full(len(order), 1.5))
    paid = order["paid"].to_numpy()[at]
    luxury = random.random(len(at)) < np.where(paid > 45, 0.9, 0.1)
    line = pd.DataFrame({"order": order["id"].to_numpy()[at], "product": product["code"].to_numpy()[
        2 * random.integers(0, 25, len(at)) + ~luxury], "amount": random.poisson(2, len(at)) + 1})  # fmt: skip
    at = under(customer, np.full(len(customer), 1.0))
    review = pd.DataFrame({"customer": customer["id"].to_numpy()[at],
                           "product": product["code"].to_numpy()[random.integers(0, 50, len(at))]})  # fmt: skip
    return {"line": line, "review": review, "order": order, "customer": customer, "product": product, "region": region}


@cache
def fitted() -> FittedTables:
    return Linked(SCHEMA, Copula()).fit(shop(), Context(seed=1))


@cache
def drawn() -> dict[str, pd.DataFrame]:
    return fitted().sample(seed=2)


def test_every_key_is_there_once_and_every_link_names_a_row() -> None:
    for name, key in SCHEMA.keys.items():
        assert drawn()[name][key].is_unique
    for link in SCHEMA.links:
        assert drawn()[link.child][link.column].isin(drawn()[link.parent][SCHEMA.keys[link.parent]]).all()
    assert set(drawn()) == set(shop())
    for name, rows in drawn().items():
        assert list(rows.columns) == list(shop()[name].columns)
        assert rows.dtypes.tolist() == shop()[name].dtypes.tolist()


def test_parents_have_as_many_children() -> None:
    told = linked_likeness(SCHEMA, shop(), drawn())
    assert set(told) == set(SCHEMA.links)
    for link, alike in told.items():
        assert alike.valid == 1.0, link
        assert alike.cardinality > 0.75, link
    assert min(alike.cardinality for link, alike in told.items() if len(shop()[link.parent]) > 100) > 0.9


def test_children_take_after_their_parents() -> None:
    links = SCHEMA.links[:2]
    real = {name: shop()[name] for name in ("region", "customer", "order")}
    schema = Schema({name: SCHEMA.keys[name] for name in real}, links)
    made = Linked(schema, AR(width=48, epochs=20)).fit(real, Context(seed=1)).sample(2.0, seed=1)
    told = linked_likeness(schema, real, made)
    assert all(alike.correlation > 0.72 for alike in told.values())
    mixed = made["customer"].assign(region=np.random.default_rng(0).permutation(made["customer"]["region"]))
    shuffled = linked_likeness(schema, real, {**made, "customer": mixed})[links[0]]
    assert shuffled.correlation < told[links[0]].correlation - 0.08
    means = [
        tables["customer"].merge(tables["region"], left_on="region", right_on="name").groupby("rich")["income"].mean()
        for tables in (real, made)
    ]
    assert means[0][True] - means[0][False] > 15
    assert means[1][True] - means[1][False] > 6
    apart = []
    for tables in (real, made):
        counts = tables["customer"]["id"].map(tables["order"]["customer"].value_counts()).fillna(0)
        orders = counts.groupby(tables["customer"]["tier"]).mean()
        apart.append(orders["gold"] - orders["plain"])
    assert apart[0] > 3
    assert apart[1] > 0.8


def test_a_parent_that_does_not_own_a_row_is_one_like_that_it_was_drawn_beside() -> None:
    real = {name: shop()[name] for name in ("order", "product", "line")}
    real["order"] = real["order"].drop(columns="customer")
    schema = Schema({"order": "id", "product": "code"}, (ORDERED, BOUGHT))
    made = Linked(schema, AR(width=48, epochs=10)).fit(real, Context(seed=1)).sample(seed=1)
    shares = []
    for tables in (real, made):
        paid = tables["line"]["order"].map(tables["order"].set_index("id")["paid"])
        luxury = tables["line"]["product"].map(tables["product"].set_index("code")["luxury"])
        shares.append(luxury.groupby(paid > 45).mean())
    assert shares[0][True] - shares[0][False] > 0.7
    assert shares[1][True] - shares[1][False] > 0.35


def test_siblings_are_as_alike_as_real_ones() -> None:
    random = np.random.default_rng(0)
    parents = pd.DataFrame({"key": np.arange(200), "size": random.random(200)})
    at = np.repeat(np.arange(200), random.integers(2, 8, 200))
    children = pd.DataFrame({"key": at, "x": random.normal(size=200)[at] * 3 + random.normal(size=len(at))})
    schema = Schema({"parent": "key"}, (Link("child", "key", "parent"),))
    real = {"parent": parents, "child": children}
    made = Linked(schema, AR(width=48, epochs=40)).fit(real, Context(seed=1)).sample()
    told = linked_likeness(schema, real, made)[schema.links[0]]
    assert told.siblings < 0.35
    apart = {"parent": made["parent"], "child": made["child"].assign(x=random.permutation(made["child"]["x"]))}
    assert linked_likeness(schema, real, apart)[schema.links[0]].siblings > 0.6


def test_the_same_seed_gives_the_same_tables_and_the_scale_their_size() -> None:
    again = fitted().sample(seed=2)
    for name, rows in drawn().items():
        pd.testing.assert_frame_equal(rows, again[name])
    small = fitted().sample(0.5, seed=2)
    assert len(small["region"]) == 20
    assert len(small["product"]) == 25
    assert not small["customer"].equals(fitted().sample(0.5, seed=3)["customer"])
    with pytest.raises(LinkError, match=r"a scale of 0\.001 leaves no row of 'product'|no row of 'region'"):
        fitted().sample(0.001)


def test_saved_as_plain_data_it_draws_the_same_in_a_fresh_process(tmp_path: Path) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    fitted().save(folder)
    assert {path.suffix for path in folder.rglob("*") if path.is_file()} <= {".json", ".safetensors"}
    script = (
        "import sys; from pathlib import Path; from synthetic.linked.fitted import FittedTables\n"
        "FittedTables.load(Path(sys.argv[1])).sample(0.2, seed=9)['line'].to_parquet(sys.argv[2])\n"
        "print([m for m in ('sdv', 'rdt', 'copulas') if m in sys.modules])"
    )
    rows = tmp_path / "rows.parquet"
    told = subprocess.run(
        [sys.executable, "-c", script, str(folder), str(rows)], check=True, cwd=ROOT, capture_output=True, text=True
    )
    assert told.stdout.strip() == "[]"
    pd.testing.assert_frame_equal(pd.read_parquet(rows), fitted().sample(0.2, seed=9)["line"])
    with pytest.raises(SynthesizerStoreError, match="holds no linked tables"):
        FittedTables.load(tmp_path)


def test_another_engine_learns_the_tables_and_one_that_cannot_fill_in_is_refused() -> None:
    schema = Schema({"region": "name"}, SCHEMA.links[:1])
    tables = {name: shop()[name] for name in ("region", "customer")}
    tables["customer"] = tables["customer"].drop(columns="id")
    made, again = (Linked(schema, Copula()).fit(tables).sample(seed=4) for _ in range(2))
    pd.testing.assert_frame_equal(made["customer"], again["customer"])
    assert made["customer"]["region"].isin(made["region"]["name"]).all()
    with pytest.raises(LinkError, match="the engine 'gan' cannot draw children given their parents"):
        Linked(schema, GAN(epochs=1, width=16, looks=1)).fit(tables)


def changed(name: str, **columns: object) -> dict[str, pd.DataFrame]:
    return {**shop(), name: shop()[name].assign(**columns)}


@pytest.mark.parametrize(
    ("schema", "tables", "told"),
    [
        (Schema({"house": "id"}, ()), {}, r"there is no table 'house'"),
        (Schema({"order": "number"}, ()), {}, r"table 'order' has no column 'number'"),
        (Schema({"order": "customer"}, ()), {}, r"the key order\.customer is missing or there twice"),
        (Schema({}, (ORDERED,)), {}, r"line\.order → order needs a key of 'order'"),
        (Schema(SCHEMA.keys, (ORDERED, ORDERED)), {}, r"the link line\.order → order is declared twice"),
        (SCHEMA, changed("line", order=-1), r"rows of line belong to no row of order \(order -1, first\)"),
        (
            Schema({"order": "id"}, (Link("order", "again", "order"),)),
            changed("order", again=0),
            r"linked in a circle \(order → order\)",
        ),
        (
            Schema(SCHEMA.keys, (*SCHEMA.links, Link("region", "first", "order"))),
            changed("region", first=0),
            r"linked in a circle \(.*customer.* → .*\): none of them can be made first",
        ),
    ],
)
def test_tables_that_do_not_hang_together_are_refused(
    schema: Schema, tables: dict[str, pd.DataFrame], told: str
) -> None:
    with pytest.raises(LinkError, match=told):
        Linked(schema).fit(tables or shop())


def test_a_table_that_cannot_be_learned_is_named() -> None:
    few = {"region": shop()["region"].head(5)}
    with pytest.raises(DataError, match="table 'region': the table has 5 rows"):
        Linked(Schema({"region": "name"}, ())).fit(few)
