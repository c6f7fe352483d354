"""What the calendar tells of a step, whatever a series has been: known however far ahead."""

import numpy as np
import pandas as pd

from framework.contenders.history import History
from framework.contenders.steps import DAY, YEAR

WAVES = 3  # harmonics of a season of many steps (a Fourier basis; Hyndman & Athanasopoulos 2021, 7.4)
MANY = 24  # steps of a season from which its harmonics are told beside the place in it


def calendar_columns(history: History) -> list[str]:
    return list(calendar_features(history, np.zeros(0, dtype=np.int64)))


def calendar_features(history: History, columns: np.ndarray) -> dict[str, np.ndarray]:
    """Features of the history's columns, shape (rows,), name → float64 of that shape.

    place: in the season. Waves of the season where it has many steps, of the year and of the week: the step's phase on
    them, as sines and cosines of one to three turns. For days and longer steps up to a week: which day of the month,
    and how many are left of it; below a week the weekday. A history of less than two years in steps shorter than
    months is not told the year: its phase would count the days gone by. Nothing but the season without dates.
    """
    ticks = (columns + history.start).astype(np.float64)
    place = ticks % history.season
    told = {"place": place}
    if history.season >= MANY:
        told |= _waves("season", place / history.season, WAVES)
    calendar = history.calendar
    if not calendar.dates:
        return told
    year, week = calendar.phases(ticks)
    if calendar.months:
        return told | _waves("year", year, 1)
    if history.values.shape[1] * calendar.spacing >= 2 * YEAR:
        told |= _waves("year", year, WAVES)
    begins = pd.DatetimeIndex(calendar.moments(ticks))
    days = {}
    if calendar.spacing < 7 * DAY:
        told |= _waves("week", week, 1)
        days = {"weekday": begins.dayofweek}
    if DAY <= calendar.spacing <= 7 * DAY:
        days |= {"day": begins.day, "days_left": begins.days_in_month - begins.day}
    return told | {name: np.asarray(values, dtype=np.float64) for name, values in days.items()}


def _waves(name: str, phase: np.ndarray, most: int) -> dict[str, np.ndarray]:
    turns = {f"{name}_{'' if k == 1 else f'{k}_'}": 2 * np.pi * k * phase for k in range(1, most + 1)}
    return {
        f"{key}{wave}": of(turn) for key, turn in turns.items() for wave, of in (("sine", np.sin), ("cosine", np.cos))
    }
