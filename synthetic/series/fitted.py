"""Draws series that were never observed, from what `Sequences` has learned."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import numpy as np
import pandas as pd

from framework.plain import write_json
from synthetic.arrow_schema import type_of
from synthetic.codec import Codec, Numbers, codec_from_json
from synthetic.copula import CopulaCore
from synthetic.fitted import SynthesizerStoreError
from synthetic.series.clock import Clock
from synthetic.series.error import SeriesError
from synthetic.series.noise import Noise, autocovariance
from synthetic.series.panel import GAP
from synthetic.series.shape import PARTS, Shape, Standard
from synthetic.series.states import States
from synthetic.synthesizer import seeded

CARD, ARRAYS, PARAMETERS = "sequences.json", "sequences.safetensors", "parameters"
BLOCK = 128  # series drawn at once
ROUNDS, ROUND_ROWS = 4, 20_000
KINDS = ("start", "rows")  # what each series has of its own, before its columns' parts


@dataclass(frozen=True)
class Block:
    """Series drawn at once: `lengths` steps of each are meant. statics: a row a series."""

    statics: pd.DataFrame
    lengths: np.ndarray
    times: np.ndarray
    tokens: np.ndarray
    values: np.ndarray
    made: Standard


@dataclass(frozen=True)
class FittedSequences:
    """Draws series. facts: plain data for whoever reads the model.

    told: the columns' names and order. missing: which numbers have gaps, the last states telling where. base: a time on
    the grid of all times. longest: steps of the longest series learned from.
    """

    told: Mapping[str, Any]
    clock: Clock
    core: CopulaCore
    codecs: tuple[Codec, ...]
    numbers: tuple[Numbers, ...]
    states: tuple[Codec, ...]
    missing: tuple[int, ...]
    chains: States
    shape: Shape
    noise: Noise
    base: float
    longest: int
    facts: Mapping[str, Any] = field(default_factory=dict)

    def sample(self, n: int, *, steps: int | None = None, seed: int = 0) -> pd.DataFrame:
        """n series, one below the other, in the order of their times: columns and dtypes of the table learned from.

        steps: of each; None: as many as series had. Series are numbered anew. The same seed gives the same series, the
        first of more being those of fewer. Raises SeriesError for a number below 0, or steps below 1 or far beyond
        what was seen.
        """
        blocks = list(self.pieces(n, steps=steps, seed=seed))
        return pd.concat(blocks, ignore_index=True) if len(blocks) > 1 else blocks[0]

    def pieces(self, n: int, *, steps: int | None = None, seed: int = 0) -> Iterator[pd.DataFrame]:
        """The same rows a block of series at a time, for who cannot hold all; one without rows where n is 0. Raises
        before the first."""
        if n < 0:
            raise SeriesError(f"{n} series were asked for; ask for 0 or more.")
        if steps is not None and not 1 <= steps <= 10 * self.longest:
            raise SeriesError(
                f"series of {steps} steps were asked for; the longest learned from has {self.longest}. Ask for 1 to "
                f"{10 * self.longest}."
            )
        return (
            self._frame(self.block(seed, number, steps), number * BLOCK, min(BLOCK, n - number * BLOCK))
            for number in range(max(1, -(-n // BLOCK)))
        )

    def schema(self) -> Any:
        """The Arrow schema of all rows that may be drawn."""
        import pyarrow as pa

        statics = self.codecs[: len(self.codecs) - self._own]
        types = {codec.name: type_of(codec) for codec in (*statics, *self.numbers, *self.states)}
        types[self.told["series"]] = pa.string() if self.told["text"] else pa.int64()
        types[self.told["time"]] = pa.array(self.clock.column(np.array([self.base])), from_pandas=True).type
        return pa.schema([pa.field(name, types[name]) for name in self.told["columns"]])

    def block(self, seed: int, number: int, steps: int | None = None, series: int = BLOCK) -> Block:
        """Series `number` · BLOCK and those after it, from (seed, number) alone."""
        from threadpoolctl import threadpool_limits

        random = seeded(seed, number)
        with threadpool_limits(1):  # the last digit must not hang on how many threads there are
            places = self.core.draw(series, {}, int(random.integers(2**62)))
            drawn = [codec.decode(places[:, at]) for at, codec in enumerate(self.codecs)]
            own = np.stack([column.to_numpy(np.float64) for column in drawn[len(drawn) - self._own :]], axis=1)
            lengths = np.full(series, steps) if steps else np.maximum(1, own[:, 1].round()).astype(np.int64)
            longest = int(lengths.max())
            there = np.arange(longest)[None] < lengths[:, None]
            parts = own[:, len(KINDS) :].reshape(series, len(self.numbers), len(PARTS))
            scores = self.noise.draw(series, longest, random)
            scores[~there] = np.nan
            scores[np.broadcast_to(np.isnan(parts[:, None, :, 0]), scores.shape)] = np.nan
            times = self._times(own[:, 0], scores, parts)
            tokens = self.chains.draw(self.clock.slot(times), random)
            for place, at in enumerate(self.missing):
                scores[:, :, at][tokens[:, :, len(self.states) + place] == 1] = np.nan
            made = self.shape.rest(scores, self.clock.slot(times), tokens, parts[:, :, 3])
            values = self.shape.values(made, parts, self.numbers)
        statics = pd.DataFrame({each.name: each for each in drawn[: len(drawn) - self._own]}, index=range(series))
        return Block(statics, lengths, times, tokens, values, made)

    def calibrated(self, target: np.ndarray, wanted: np.ndarray, seed: int) -> Self:
        """Itself with the noise under which drawn series have the autocovariances `wanted`, those of real ones: a short
        series' own mean and trend hide part of them, so those of the process (`target`) must be larger (indirect
        inference: Gourieroux et al. 1993)."""
        best, least, lags = self, np.inf, len(wanted) - 1
        series = int(np.clip(ROUND_ROWS // self.longest, 32, 4 * BLOCK))
        now = self
        for turn in range(ROUNDS):
            had = autocovariance(now.block(seed, -1 - turn, series=series).made.rest, lags)
            off = float(np.abs(wanted - had).mean())
            if off < least:
                best, least = now, off
            target = standardised(target + wanted - had)
            now = type(self)(**{**vars(self), "noise": Noise.solve(target)})
        return best

    def save(self, folder: Path) -> None:
        """Writes it into an existing empty folder as plain data."""
        from safetensors.numpy import save_file

        (folder / PARAMETERS).mkdir()
        self.core.save(folder / PARAMETERS)
        arrays = {**self.shape.to_arrays(), **vars(self.noise)}
        arrays |= {f"chain_{at}": each for at, each in enumerate(self.chains.chains)}
        save_file({name: np.ascontiguousarray(each) for name, each in arrays.items()}, folder / ARRAYS)
        codecs = {key: [each.to_json() for each in getattr(self, key)] for key in ("codecs", "numbers", "states")}
        plain = {key: getattr(self, key) for key in ("told", "base", "longest", "facts")}
        write_json(folder / CARD, {**codecs, **plain, "missing": list(self.missing), "clock": self.clock.to_json()})

    @classmethod
    def load(cls, folder: Path) -> Self:
        """What `save` wrote. Raises SynthesizerStoreError where there is none."""
        from safetensors.numpy import load_file

        path = Path(folder) / CARD
        if not path.is_file():
            raise SynthesizerStoreError(f"{folder} holds no {CARD}: it holds no series' model, or was cut short.")
        told = json.loads(path.read_text(encoding="utf-8"))
        arrays = load_file(Path(folder) / ARRAYS)
        chains = tuple(arrays.pop(f"chain_{at}") for at in range(sum(key.startswith("chain_") for key in arrays)))
        noise = Noise(*(arrays.pop(key) for key in ("pull", "root", "begin")))
        for key in ("codecs", "numbers", "states"):
            told[key] = tuple(codec_from_json(each) for each in told[key])
        told |= {"missing": tuple(told["missing"]), "clock": Clock.from_json(told["clock"])}
        core = CopulaCore.load(Path(folder) / PARAMETERS)
        return cls(**told, core=core, chains=States(chains), shape=Shape.from_arrays(arrays), noise=noise)

    @property
    def _own(self) -> int:
        """How many of the codecs are no static column's."""
        return len(KINDS) + len(PARTS) * len(self.numbers)

    def _times(self, starts: np.ndarray, scores: np.ndarray, parts: np.ndarray) -> np.ndarray:
        """Times, shape (series, steps)."""
        steps = scores.shape[1]
        if self.clock.step:
            starts = self.base + np.round((starts - self.base) / self.clock.step) * self.clock.step
            return np.asarray(starts[:, None] + self.clock.step * np.arange(steps))
        starts = starts.round() if self.clock.whole else starts
        scores[:, 0, -1] = np.nan  # no gap comes before the first
        nothing = np.zeros(scores.shape[:2], dtype=np.int64)
        made = self.shape.rest(
            scores, nothing, np.zeros((*nothing.shape, len(self.states)), dtype=np.int64), parts[:, :, 3]
        )
        gaps = np.nan_to_num(self.shape.values(made, parts, self.numbers)[:, :, -1])
        gaps[:, 1:] = np.maximum(gaps[:, 1:], self.shape.lows[-1])
        return np.asarray(starts[:, None] + gaps.cumsum(axis=1))

    def _frame(self, block: Block, first: int, series: int) -> pd.DataFrame:
        lengths = block.lengths[:series]
        row = np.repeat(np.arange(series), lengths)
        step = np.concatenate([np.arange(each) for each in lengths]) if series else np.zeros(0, dtype=np.int64)
        number = first + row + 1
        ids = (
            pd.Series([f"{self.told['series']} {each}" for each in number], dtype=object)
            if self.told["text"]
            else number
        )
        made: dict[str, Any] = {self.told["series"]: ids, self.told["time"]: self.clock.column(block.times[row, step])}
        for name in block.statics:
            made[str(name)] = block.statics[name].iloc[row].reset_index(drop=True)
        for at, codec in enumerate(self.numbers):
            if codec.name != GAP:
                made[codec.name] = codec.column(block.values[row, step, at])
        for at, each in enumerate(self.states):
            made[each.name] = each.decode(block.tokens[row, step, at] + 0.5)
        return pd.DataFrame(made)[list(self.told["columns"])]


def standardised(covariance: np.ndarray) -> np.ndarray:
    """Autocovariances of columns of variance 1, none beyond what that allows."""
    made = np.clip(covariance, -0.999, 0.999)
    columns = np.arange(covariance.shape[1])
    made[0, columns, columns] = 1.0
    return np.asarray(made)
