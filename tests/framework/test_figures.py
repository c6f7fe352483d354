"""Each kind of question has its figures, drawn from real predictions."""

import io
import subprocess
import sys

import numpy as np
import pytest
from IPython.core.formatters import DisplayFormatter
from sklearn.cluster import KMeans
from sklearn.datasets import load_breast_cancer, load_diabetes, load_iris, load_wine
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.model_selection import cross_val_predict
from sklearn.preprocessing import StandardScaler

from framework.data.frame import Truth
from framework.figures import CYCLE, MOST_NAMED, calibration, clusters, confusion_matrix, figures, forecast, residuals
from framework.problem import Problem


def classified(load):
    X, y = load(return_X_y=True)
    P = cross_val_predict(LogisticRegression(C=1e-3), StandardScaler().fit_transform(X), y, method="predict_proba")
    return Truth(y=y, classes=P.shape[1]), P


def picture(figure) -> bytes:
    stream = io.BytesIO()
    figure.savefig(stream, format="png")
    return stream.getvalue()


def test_each_kind_has_its_figures_and_they_draw():
    random = np.random.default_rng(0)
    X, y = load_diabetes(return_X_y=True)
    steps = np.tile(np.arange(12.0), 8) + random.normal(0, 1, 96)
    space = StandardScaler().fit_transform(load_iris().data)
    asked = {
        "binary": (*classified(load_breast_cancer), {"confusion_matrix", "calibration"}),
        "multiclass": (*classified(load_wine), {"confusion_matrix", "calibration"}),
        "regression": (Truth(y=y), cross_val_predict(Ridge(), X, y), {"predicted_and_true", "residuals"}),
        "forecast": (
            Truth(y=steps, series=np.repeat(np.arange(8), 12)),
            np.tile(np.arange(12.0), 8),
            {"predicted_and_true", "residuals", "forecast"},
        ),
        "clustering": (Truth(space=space), KMeans(3, n_init=1, random_state=0).fit_predict(space), {"clusters"}),
    }
    for kind, (truth, predicted, names) in asked.items():
        problem = Problem("p", kind, target=None if kind == "clustering" else "y", time="t")
        drawn = figures(problem, truth, predicted)
        assert set(drawn) == names
        assert all(picture(figure).startswith(b"\x89PNG") for figure in drawn.values())


def test_the_confusion_matrix_shows_every_count():
    truth, P = classified(load_breast_cancer)
    texts = [text.get_text() for text in confusion_matrix(truth, P, ("malignant", "benign")).axes[0].texts]
    expected = [np.count_nonzero((truth.y == t) & (P.argmax(1) == p)) for t in (0, 1) for p in (0, 1)]
    assert texts == [str(count) for count in expected]


def test_many_classes_are_shaded_without_numbers():
    y = np.repeat(np.arange(MOST_NAMED + 6), 5)
    assert not confusion_matrix(Truth(y=y), np.eye(MOST_NAMED + 6)[y]).axes[0].texts


def test_a_calibrated_forecaster_lies_on_the_diagonal():
    random = np.random.default_rng(0)
    p = random.random(20_000)
    y = (random.random(20_000) < p).astype(int)
    curve = calibration(Truth(y=y, classes=2), np.column_stack([1 - p, p])).axes[0].lines[1]
    assert np.asarray(curve.get_xdata()) == pytest.approx(np.asarray(curve.get_ydata()), abs=0.03)


def test_one_probability_for_all_still_draws():
    assert picture(calibration(Truth(y=np.array([0, 1, 1]), classes=2), np.full((3, 2), 0.5)))


def test_a_forecast_shows_few_of_many_series_and_noise_is_grey():
    figure = forecast(Truth(y=np.arange(90.0), series=np.repeat(np.arange(30), 3)), np.arange(90.0), "visitors")
    assert sum(axes.get_visible() for axes in figure.axes) == 6
    space = np.random.default_rng(0).normal(size=(30, 3))
    labels = np.repeat([-1, 0, len(CYCLE)], 10)
    legend = clusters(Truth(space=space), labels).axes[0].get_legend()
    assert [text.get_text() for text in legend.get_texts()] == ["noise (10)", "cluster 0 (10)", "cluster 10 (10)"]


def test_no_rows_no_figures():
    assert figures(Problem("p", "regression", target="y"), Truth(y=np.zeros(0)), np.zeros(0)) == {}


def test_a_notebook_shows_a_figure():
    """Without pyplot, matplotlib's own figures are a line of text there."""
    drawn = residuals(Truth(y=np.arange(9.0)), np.arange(9.0), "y")
    shown, _ = DisplayFormatter().format(drawn)
    assert shown["image/png"].startswith(b"\x89PNG")


def test_drawing_leaves_pyplot_alone():
    code = (
        "import sys, numpy as np; from framework.figures import residuals; from framework.data.frame import Truth;"
        "residuals(Truth(y=np.arange(9.)), np.arange(9.), 'y'); sys.exit('matplotlib.pyplot' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
