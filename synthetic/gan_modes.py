"""Rows as a GAN takes them: a number as a mode and its distance from it, a category as a corner (Xu et al. 2019, 4.2).

A number's modes are its frequent values, which have no width, and the Gaussians of a mixture over the others.
"""

from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from synthetic.codec import MOST_DECIMALS, Codec, Numbers
from synthetic.synthesizer import Learned

MODES = 10
FIT_ROWS = 5_000
SPREADS = 4.0  # standard deviations, at which a distance is 1
OFTEN = 0.05  # of the rows, from which a value is a mode of its own
LEAST_WEIGHT = 0.005
LEAST_WIDTH = 0.001  # of the widest mode's, below which a mode is not likelier for being narrow


@dataclass(frozen=True)
class Span:
    """One part in the GAN's vector: `distance` is whether a number's distance stands before the `choices` corners.

    centres, widths: of a number's modes, shape (modes,). missing: a last corner for it.
    """

    begin: int
    distance: bool
    choices: int
    centres: np.ndarray | None = None
    widths: np.ndarray | None = None
    missing: bool = False

    @property
    def corners(self) -> slice:
        first = self.begin + self.distance
        return slice(first, first + self.choices)

    @property
    def end(self) -> int:
        return self.begin + self.distance + self.choices

    def scaled(self) -> np.ndarray:
        """A number's centres, and how far from each a distance of 1 is, shape (2, modes): in units of the centres' and
        widths' own spread, around the middle of the centres."""
        assert self.centres is not None
        assert self.widths is not None
        unit = float(np.sqrt(np.mean((self.centres - self.centres.mean()) ** 2 + self.widths**2))) or 1.0
        return np.stack([(self.centres - self.centres.mean()) / unit, SPREADS * self.widths / unit])


@dataclass(frozen=True)
class Modes:
    """All parts, one after the other."""

    spans: tuple[Span, ...]

    @property
    def width(self) -> int:
        return self.spans[-1].end

    @classmethod
    def learn(cls, rows: Learned, seed: int) -> Self:
        spans: list[Span] = []
        begin = 0
        for at, codec in enumerate(rows.codecs):
            if isinstance(codec, Numbers) and (codec.binned or codec.card - codec.missing > 1):
                values = codec.values_at(rows.places[:, at])
                centres, widths = _mixture(values[~np.isnan(values)], seed)
                spans.append(Span(begin, True, len(centres) + codec.missing, centres, widths, codec.missing))
            else:
                spans.append(Span(begin, False, int(rows.cards[at])))
            begin = spans[-1].end
        return cls(tuple(spans))

    def encode(self, rows: Learned, random: np.random.Generator) -> np.ndarray:
        """Vectors, float32, shape (rows, width)."""
        made = np.zeros((len(rows), self.width), dtype=np.float32)
        tokens, row = rows.tokens, np.arange(len(rows))
        for at, span in enumerate(self.spans):
            codec = rows.codecs[at]
            if span.centres is None or span.widths is None or not isinstance(codec, Numbers):
                made[row, span.begin + tokens[:, at]] = 1
                continue
            values = codec.values_at(rows.places[:, at])
            one = span.widths == 0
            away = (values[:, None] - span.centres) / np.where(one, 1.0, span.widths)
            dense = (span.widths.max() or 1.0) / np.maximum(span.widths, LEAST_WIDTH * (span.widths.max() or 1.0))
            likely = np.exp(-0.5 * np.minimum(away**2, 400.0)) * dense + 1e-12
            likely = np.where(one, np.where(values[:, None] == span.centres, 1e9, 0.0), likely)
            sums = np.nan_to_num(likely, nan=1.0).cumsum(axis=1)
            mode = (
                (random.random(len(rows))[:, None] * sums[:, -1:] >= sums).sum(axis=1).clip(max=len(span.centres) - 1)
            )
            gone = np.isnan(values)
            distance = away[row, mode] / SPREADS
            made[:, span.begin] = np.where(gone | (span.widths[mode] == 0), 0.0, np.clip(distance, -0.99, 0.99))
            made[row, span.begin + 1 + np.where(gone, span.choices - 1, mode)] = 1
        return made

    def decode(self, made: np.ndarray, codecs: tuple[Codec | None, ...]) -> np.ndarray:
        """Places, shape (rows, parts), of vectors."""
        places = np.empty((len(made), len(self.spans)))
        for at, span in enumerate(self.spans):
            chosen = made[:, span.corners].argmax(axis=1)
            codec = codecs[at]
            if span.centres is None or span.widths is None or not isinstance(codec, Numbers):
                places[:, at] = chosen + 0.5
                continue
            gone = span.missing & (chosen == span.choices - 1)
            mode = np.minimum(chosen, len(span.centres) - 1)
            values = span.centres[mode] + SPREADS * span.widths[mode] * made[:, span.begin].astype(np.float64)
            if codec.decimals < MOST_DECIMALS:
                values = np.where(span.widths[mode] > 0, np.round(values, codec.decimals), values)
            places[:, at] = codec.place(np.where(gone, np.nan, values))
        return places

    def to_json(self) -> list[dict[str, Any]]:
        return [
            {**vars(span), "centres": None if span.centres is None else span.centres.tolist(),
             "widths": None if span.widths is None else span.widths.tolist()}
            for span in self.spans
        ]  # fmt: skip

    @classmethod
    def from_json(cls, told: list[dict[str, Any]]) -> Self:
        arrays = ("centres", "widths")
        return cls(tuple(
            Span(**{**span, **{key: None if span[key] is None else np.asarray(span[key]) for key in arrays}})
            for span in told
        ))  # fmt: skip


def _mixture(values: np.ndarray, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Centres and widths of a number's modes; width 0: one value."""
    import warnings

    from sklearn.exceptions import ConvergenceWarning
    from sklearn.mixture import BayesianGaussianMixture

    found, counts = np.unique(values, return_counts=True)
    often = found[counts >= OFTEN * len(values)]
    rest = values[~np.isin(values, often)]
    centres, widths = list(often), [0.0] * len(often)
    if len(rest) and rest.std() == 0:
        centres.append(rest[0])
        widths.append(0.0)
    elif len(rest):
        seed %= 2**32  # scikit-learn takes no more
        some = np.random.default_rng(seed).permutation(rest)[:FIT_ROWS]
        mean, spread = float(some.mean()), float(some.std()) or 1.0
        mixture = BayesianGaussianMixture(
            n_components=min(MODES, len(np.unique(some))), weight_concentration_prior_type="dirichlet_process",
            weight_concentration_prior=0.001, max_iter=100, n_init=1, random_state=seed,
        )  # fmt: skip
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            mixture.fit(((some - mean) / spread)[:, None])
        kept = mixture.weights_ > LEAST_WEIGHT
        centres += list(mixture.means_[kept, 0] * spread + mean)
        widths += list(np.sqrt(mixture.covariances_[kept, 0, 0]) * spread)
    return np.array(centres), np.array(widths)
