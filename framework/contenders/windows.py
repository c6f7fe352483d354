"""Windows of a series' past, and what came after them: what a net learns a forecast from."""

from dataclasses import dataclass

import numpy as np

from framework.contenders.history import History

CHANNELS = 6  # value, seen, and the year's and the week's sine and cosine
FAR = 10.0  # scales from the window's mean beyond which a value is no farther


@dataclass(frozen=True)
class Windows:
    """(series, origin) → the `length` steps up to the origin, and the `steps` after it.

    Values are told as differences from their window's mean, in units of its spread, so that one net serves series of
    any size; answers as differences from the seasonal naive forecast, in the same units: a net that answers 0
    forecasts as well as that.
    """

    history: History
    length: int
    steps: int

    def past(self, codes: np.ndarray, origins: np.ndarray) -> np.ndarray:
        """Codes and origins shape (rows,) → float32, shape (rows, length, CHANNELS); 0 where there was no value."""
        history = self.history
        columns = origins[:, None] + np.arange(1 - self.length, 1)
        values = history.at(codes[:, None], columns)
        inside = np.isfinite(values)
        mean, scale = self._centre(values), self.scale(codes, origins)
        told = np.clip((values - mean[:, None]) / scale[:, None], -FAR, FAR)
        seen = inside & history.seen[codes[:, None], np.where(inside, columns, 0)]
        phases = history.calendar.phases((columns + history.start).astype(np.float64).ravel())
        angles = [2 * np.pi * phase.reshape(columns.shape) for phase in phases]
        cycles = [wave(angle) for angle in angles for wave in (np.sin, np.cos)]
        return np.stack([np.where(inside, told, 0.0), seen, *cycles], axis=2).astype(np.float32)

    def ahead(self, codes: np.ndarray, origins: np.ndarray, stops: np.ndarray) -> np.ndarray:
        """The answers, float32, shape (rows, steps); nan where there was no value, or after `stops`, shape (rows,)."""
        history, ends = self.history, origins[:, None] + np.arange(1, self.steps + 1)
        there = ends <= stops[:, None]
        there &= history.seen[codes[:, None], np.where(there, ends, 0)]
        naive = history.naive(codes[:, None], origins[:, None], ends)
        difference = (history.at(codes[:, None], ends) - naive) / self.scale(codes, origins)[:, None]
        return np.where(there, difference, np.nan).astype(np.float32)

    def scale(self, codes: np.ndarray, origins: np.ndarray) -> np.ndarray:
        """Each window's standard deviation, at least its series' seasonal naive error: never 0. Shape (rows,)."""
        values = self.history.at(codes[:, None], origins[:, None] + np.arange(1 - self.length, 1))
        apart = np.nan_to_num(values - self._centre(values)[:, None])
        deviation = np.sqrt((apart**2).sum(axis=1) / np.maximum(np.isfinite(values).sum(axis=1), 1))
        return np.asarray(np.maximum(deviation, self.history.error[codes]))

    def pairs(
        self, *, most: int, since: int | None, until: int, seed: int
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Codes, origins and stops of what can be learned from, at most `most`, each shape (rows,).

        since: only origins that lie at most so many steps before their series' last. until: answers stop so many
        steps before it.
        """
        history = self.history
        codes, origins, stops = [], [], []
        for code, (first, last) in enumerate(zip(history.first.tolist(), history.last.tolist(), strict=True)):
            stop = last - until
            start = max(first + min(history.season, max(0, (stop - first) // 2)), last - since if since else first)
            places = np.arange(start, stop)
            followed = np.cumsum(np.append(history.seen[code], np.zeros(self.steps, dtype=bool)))
            followed = followed[np.minimum(places + self.steps, stop)] > followed[places]
            origins.append(places[followed])
            codes.append(np.full(followed.sum(), code))
            stops.append(np.full(followed.sum(), stop))
        told = [np.concatenate(part).astype(np.int64) for part in (codes, origins, stops)]
        if len(told[0]) > most:
            kept = np.sort(np.random.default_rng(seed).choice(len(told[0]), most, replace=False))
            told = [part[kept] for part in told]
        return told[0], told[1], told[2]

    def step(self, origins: np.ndarray, ends: np.ndarray) -> np.ndarray:
        """Which of the steps after the origin answers for each end, from 0; beyond the last, one a season before."""
        ahead, m = np.maximum(ends - origins, 1), self.history.season
        back = ahead - np.ceil((ahead - self.steps) / m).astype(np.int64) * m
        return np.asarray(np.where(ahead <= self.steps, ahead, np.where(back >= 1, back, self.steps)) - 1)

    def _centre(self, values: np.ndarray) -> np.ndarray:
        inside = np.isfinite(values)
        return np.asarray(np.where(inside, values, 0.0).sum(axis=1) / np.maximum(inside.sum(axis=1), 1))
