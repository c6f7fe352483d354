"""The figures by which a person judges synthetic rows: columns overlaid, correlations apart, a map of both."""

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from framework.figures import BLUE, INK, ORANGE, canvas, dress
from synthetic.codec import Numbers
from synthetic.space import Space

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MOST_COLUMNS = 24
MOST_BARS = 10
MAPPED = 1_500  # rows of each


def figures(real: pd.DataFrame, synthetic: pd.DataFrame, *, seed: int = 0) -> dict[str, "Figure"]:
    """marginals, correlations and map, by the names of their files."""
    space = Space.learn(real)
    random = np.random.default_rng(seed)
    some = [frame.iloc[random.permutation(len(frame))[:MAPPED]] for frame in (real, synthetic)]
    return {
        "marginals": marginals(space, real, synthetic),
        "correlations": correlations(space, real, synthetic),
        "map": cloud(space, *some),
    }


def marginals(space: Space, real: pd.DataFrame, synthetic: pd.DataFrame) -> "Figure":
    """Each column's distribution, real and synthetic on one another."""
    from matplotlib.figure import Figure
    from matplotlib.patches import Patch

    shown = space.table.codecs[:MOST_COLUMNS]
    lines = -(-len(shown) // 4)
    figure = Figure(figsize=(12.0, 2.1 * lines + 0.5), layout="constrained", dpi=110)
    places = figure.subplots(lines, 4, squeeze=False)
    for axes, codec in zip(places.flat, shown, strict=False):
        dress(axes, codec.name[:28], "", "")
        axes.tick_params(labelsize=7)
        if isinstance(codec, Numbers):
            _histograms(axes, codec.numbers(real[codec.name]), codec.numbers(synthetic[codec.name]))
            _ticks(axes, codec)
        else:
            codes = [codec.encode(f[codec.name])[codec.known(f[codec.name])].astype(int) for f in (real, synthetic)]
            _bars(axes, [str(value)[:20] for value in codec.values], *codes)
    for axes in list(places.flat)[len(shown) :]:
        axes.axis("off")
    keys = [Patch(color=BLUE, label="real"), Patch(color=ORANGE, label="synthetic")]
    figure.legend(handles=keys, frameon=False, fontsize=9, ncols=2, loc="outside upper right")
    return figure


def correlations(space: Space, real: pd.DataFrame, synthetic: pd.DataFrame) -> "Figure":
    """Where two columns hang together otherwise than in the real rows: the difference of rank correlations."""
    names = space.table.names[:MOST_COLUMNS]
    told = []
    for frame in (real, synthetic):
        ranked = pd.DataFrame(space.numbers(frame)[:, : len(names)]).corr(method="spearman", min_periods=3)
        told.append(ranked.fillna(0.0).to_numpy())
    side = 3.6 + 0.24 * len(names)
    figure, axes = canvas("Correlations: synthetic - real", "", "", (side + 1.2, side))
    image = axes.imshow(told[1] - told[0], cmap="RdBu_r", vmin=-0.5, vmax=0.5)
    figure.colorbar(image, ax=axes, shrink=0.7, label="difference of rank correlations")
    axes.set_xticks(range(len(names)), [name[:18] for name in names], rotation=90, fontsize=8)
    axes.set_yticks(range(len(names)), [name[:18] for name in names], fontsize=8)
    axes.grid(visible=False)
    return figure


def cloud(space: Space, real: pd.DataFrame, synthetic: pd.DataFrame) -> "Figure":
    """Both tables as points on the two axes along which the real rows differ most: the clouds should lie on another."""
    ours, theirs = space.points(real), space.points(synthetic)
    centre = ours.mean(axis=0)
    axes_of = np.linalg.svd(ours - centre, full_matrices=False)[2][:2].T
    figure, axes = canvas("Map of the rows", "first principal axis", "second", (6.8, 5.4))
    for points, colour, label in ((ours, BLUE, "real"), (theirs, ORANGE, "synthetic")):
        flat = (points - centre) @ axes_of
        second = flat[:, 1] if flat.shape[1] > 1 else np.zeros(len(flat))
        axes.scatter(flat[:, 0], second, s=9, color=colour, alpha=0.35, lw=0, label=label)
    axes.legend(frameon=False, markerscale=2)
    return figure


def _histograms(axes: "Axes", real: np.ndarray, synthetic: np.ndarray) -> None:
    values = real[np.isfinite(real)]
    low, high = np.quantile(values, [0.005, 0.995]) if len(values) else (0.0, 1.0)
    bins = np.linspace(low, high if high > low else low + 1, 31).tolist()
    axes.set_yticks([])
    there = synthetic[np.isfinite(synthetic)]
    for those, look in ((values, {"color": BLUE, "alpha": 0.55}), (there, {"histtype": "step", "color": ORANGE})):
        if len(those):
            axes.hist(np.clip(those, low, high), bins=bins, density=True, **look)


def _bars(axes: "Axes", names: list[str], real: np.ndarray, synthetic: np.ndarray) -> None:
    counts = np.bincount(real, minlength=len(names))
    shown = np.argsort(-counts, kind="stable")[:MOST_BARS]
    for codes, colour, off in ((real, BLUE, -0.2), (synthetic, ORANGE, 0.2)):
        share = np.bincount(codes, minlength=len(names)) / max(1, len(codes))
        axes.barh(np.arange(len(shown)) + off, share[shown], height=0.4, color=colour)
    axes.set_yticks(range(len(shown)), [names[at] for at in shown], fontsize=7, color=INK)
    axes.invert_yaxis()
    axes.grid(visible=False, axis="y")
    axes.locator_params(axis="x", nbins=4)


def _ticks(axes: "Axes", codec: Numbers) -> None:
    """So few that they stand apart, dates as dates."""
    axes.locator_params(axis="x", nbins=3 if codec.unit else 5)
    if codec.unit:
        axes.xaxis.set_major_formatter(lambda value, _: str(np.datetime64(round(value * codec.unit), "ns"))[:10])
