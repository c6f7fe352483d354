"""Time series that were never observed: how a value hangs on those before it is kept.

Each series is a draw of its static columns, start, length, level, spread, trend and season (a copula over series), of
its categories and gaps (Markov chains), and of a remainder (a Gaussian copula over time). No step is copied.
"""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pandas as pd

from cluster.resources import Resources
from framework.contender import Context
from synthetic.codec import Codec, learn_numbers
from synthetic.columns import learn_codec
from synthetic.copula import CopulaCore, learn_copula
from synthetic.series.fitted import KINDS, FittedSequences, standardised
from synthetic.series.noise import Noise, autocovariance
from synthetic.series.panel import GAP, Panel
from synthetic.series.shape import PARTS, Shape
from synthetic.series.states import States
from synthetic.synthesizer import Learned

LONGEST_PERIOD = 26  # steps, up to which a whole period is looked back
LAGS = 6  # where there is no period, or a longer one
LEAST_LEFT = 4  # times the lags that a usual series is long
MOST_WIDE = 400  # lags · columns


@dataclass(frozen=True)
class Sequences:
    """series, time: the columns that tell which series a row is of, and when.

    period: steps of a cycle, where the calendar's months, weekdays or hours are not what is meant. lags: steps looked
    back; None: a period and one more where that is not too long. shrinkage: as `Copula`'s, over series.
    """

    series: str
    time: str
    period: int | None = None
    lags: int | None = None
    shrinkage: float = 3.0
    name: str = "sequences"
    licence: ClassVar[str] = ""

    @property
    def resources(self) -> Resources:
        return Resources()

    def fit(self, frame: pd.DataFrame, context: Context | None = None) -> FittedSequences:
        """Learns from all rows, in a few seconds.

        Raises SeriesError, DataError and ColumnError, naming what cannot be learned.
        """
        seed = (context or Context()).seed
        panel = Panel.learn(frame, self.series, self.time, self.period)
        shape, parts, scores, rest = Shape.learn(panel)
        gaps = np.isnan(panel.values) & panel.there[:, :, None]
        missing = tuple(
            at for at, codec in enumerate(panel.numbers) if codec.name != GAP and bool(gaps[:, :, at].any())
        )
        flags = np.where(panel.there[:, :, None], gaps[:, :, list(missing)], -1)
        cards = [*(codec.card for codec in panel.states), *(2 for _ in missing)]
        states = States.learn(np.concatenate([panel.tokens, flags], axis=2), cards, panel.slots)
        core, codecs = _parameters(panel, parts, seed, self.shrinkage)
        lags = self._lags(panel)
        target, wanted = autocovariance(scores, lags), autocovariance(rest, lags)
        facts = {"engine": self.name, "seed": seed, "licence": self.licence, "rows": len(frame), "lags": lags,
                 "series": len(panel.lengths)}  # fmt: skip
        told = {"series": self.series, "time": self.time, "columns": [str(name) for name in frame.columns],
                "text": not pd.api.types.is_numeric_dtype(frame[self.series].dtype)}  # fmt: skip
        fitted = FittedSequences(
            told, panel.clock, core, codecs, panel.numbers, panel.states, missing, states, shape,
            Noise.solve(standardised(target)), float(panel.starts.min()), int(panel.lengths.max()), facts,
        )  # fmt: skip
        return fitted.calibrated(target, wanted, seed)

    def _lags(self, panel: Panel) -> int:
        usual = int(np.median(panel.lengths))
        period = panel.clock.period
        asked = self.lags or (period + 1 if 2 <= period <= LONGEST_PERIOD else LAGS)
        return max(1, min(asked, usual // LEAST_LEFT, MOST_WIDE // max(1, len(panel.numbers))))


def _parameters(panel: Panel, parts: np.ndarray, seed: int, shrinkage: float) -> tuple[CopulaCore, tuple[Codec, ...]]:
    """A copula over series: static columns, start, length, and each number's own parts."""
    names = [f"{codec.name}\0{part}" for codec in panel.numbers for part in PARTS]
    own = np.concatenate([panel.starts[:, None], panel.lengths[:, None], parts.reshape(len(parts), -1)], axis=1)
    codecs: list[Codec] = [learn_codec(str(name), panel.statics[name]) for name in panel.statics]
    places = [codec.encode(panel.statics[codec.name]) for codec in codecs]
    for at, name in enumerate((*KINDS, *names)):
        codec = learn_numbers(name, "float64", own[:, at])
        codecs.append(codec)
        places.append(codec.place(own[:, at]))
    cards = np.array([codec.card for codec in codecs])
    return learn_copula(Learned(np.stack(places, axis=1), cards, tuple(codecs)), seed, shrinkage), tuple(codecs)
