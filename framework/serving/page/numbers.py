"""Numbers as people read them: in natural units, with the digits that matter."""

import math
import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from urllib.parse import quote

from markupsafe import Markup

from framework.leaderboard import number


def natural(value: float) -> str:
    """0.8412, 12.31, 27,840."""
    if isinstance(value, int):
        return f"{value:,}"
    if math.isfinite(value) and value == round(value) and abs(value) < 1e15:
        return f"{value:,.0f}".replace("-", "−")
    return (f"{value:,.0f}" if math.isfinite(value) and abs(value) >= 1000 else number(value)).replace("-", "−")


def maybe(value: float | None) -> str:
    """As `natural`; a dash for what is not known yet."""
    return "–" if value is None else natural(float(value))


def alike(value: float, largest: float) -> str:
    """A number with as many decimals as the largest of its column needs for three digits: 0.0512, 0.0095, −0.0002."""
    digits = 2 - math.floor(math.log10(abs(largest))) if largest else 2
    told = f"{value:,.{min(9, max(0, digits))}f}"
    return f"−{told[1:]}" if told[0] == "-" and told.strip("-0.,") else told.removeprefix("-")


def signed(value: float, largest: float) -> str:
    """As `alike`, with its sign: +0.42, −1.30."""
    told = alike(value, largest)
    return f"+{told}" if value > 0 and told.strip("0.,") else told


def percent(share: float) -> str:
    """A share as 12.3 %."""
    return "–" if not math.isfinite(share) else f"{100 * share:.1f} %"


def width(share: float) -> str:
    """A share as a length inside of an SVG."""
    return f"{100 * min(1.0, max(0.0, share)):.2f}%"


def milliseconds(value: float | None) -> str:
    return (
        "–" if value is None or not math.isfinite(value) else f"{value:.1f} ms" if value < 100 else f"{value:,.0f} ms"
    )


def moment(seconds: float | None) -> str:
    """UNIX seconds as a date and a time."""
    return "" if seconds is None else f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M:%S} UTC"


def breakable(name: object) -> Markup:
    """A column's name that a narrow place may break at its underscores and humps."""
    parts = re.split(r"(?<=_)(?=[^_])|(?<=[a-z])(?=[A-Z])", str(name))
    return Markup("<wbr>").join(parts)


def part(text: object) -> str:
    """A text inside of an address."""
    return quote(str(text), safe="")


FILTERS: Mapping[str, Callable[..., str]] = {
    "alike": alike,
    "breakable": breakable,
    "maybe": maybe,
    "natural": natural,
    "signed": signed,
    "percent": percent,
    "width": width,
    "milliseconds": milliseconds,
    "moment": moment,
    "part": part,
}
