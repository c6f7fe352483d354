"""A model's health as one HTML page: nothing is fetched from anywhere, light or dark as the reader has it."""

import html
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from framework.leaderboard import number
from framework.monitoring.drift import LARGE, MODERATE, Moved
from framework.monitoring.performance import Performance, Window

if TYPE_CHECKING:
    from framework.monitoring.health import Health

MOST_CHARTS = 12  # columns whose distributions are drawn
STYLE = """
.health{--ink:#1d232b;--soft:#5b6673;--line:#d9dee5;--before:#9aa7b8;--now:#2f6db3;--bad:#b3261e;--ground:#fff;
 font:15px/1.5 system-ui,sans-serif;color:var(--ink);background:var(--ground);
 max-width:68rem;margin:0 auto;padding:1rem}
@media (prefers-color-scheme:dark){.health{--ink:#e6eaf0;--soft:#9aa5b3;--line:#363d47;--before:#6b7789;--now:#6aa9ef;
 --bad:#ff8a80;--ground:#14181d}}
.health h1{font-size:1.35rem;margin:.2rem 0}.health h2{font-size:1.05rem;margin:1.6rem 0 .4rem}
.health p{margin:.3rem 0}.health .soft{color:var(--soft)}.health .bad{color:var(--bad);font-weight:600}
.health .wide{overflow-x:auto}.health table{border-collapse:collapse;width:100%}
.health th,.health td{padding:.25rem .7rem .25rem 0;border-bottom:1px solid var(--line);text-align:left;color:inherit}
.health .n{text-align:right;font-variant-numeric:tabular-nums}
.health .charts{display:grid;grid-template-columns:repeat(auto-fill,minmax(17rem,1fr));gap:1rem}
.health figure{margin:0}.health figcaption{font-size:.9rem}.health svg{width:100%;height:auto;display:block}
.health .before{fill:var(--before)}.health .now{fill:var(--now)}.health text{fill:var(--soft);font-size:9px}
.health .axis{stroke:var(--line)}.health .point{fill:var(--now)}.health .whisker{stroke:var(--now);stroke-width:1.5}
.health .baseline{stroke:var(--soft);stroke-dasharray:4 3}
"""


def page(health: "Health") -> str:
    """The whole page, as report.html holds it."""
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1"><meta name="color-scheme" '
        f'content="light dark"><title>{html.escape(health.name)}: health</title>'
        "<style>body{margin:0}@media (prefers-color-scheme:dark){body{background:#14181d}}</style></head>"
        f"<body>{body(health)}</body></html>\n"
    )


def body(health: "Health") -> str:
    """The page's content, as a notebook shows it."""
    told = [
        f"<style>{STYLE}</style>",
        f"<h1>{html.escape(health.name)}</h1><p class=soft>{html.escape(health.uri)}, "
        f"{health.begin:%Y-%m-%d %H:%M} … {health.end:%Y-%m-%d %H:%M} UTC</p>",
        _alerts(health),
        _traffic(health),
    ]
    if health.performance is not None:
        told.append(_performance(health.performance, health.baseline))
    if health.drift is not None and health.drift.columns:
        told.append(_drift(health))
    told += [f"<p class=soft>{html.escape(remark)}</p>" for remark in health.remarks]
    return f"<div class=health>{''.join(told)}</div>"


def _alerts(health: "Health") -> str:
    if not health.alerts:
        return "<h2>Alerts</h2><p>None.</p>"
    items = "".join(f"<li class=bad>{html.escape(each.sentence)}</li>" for each in health.alerts)
    return f"<h2>Alerts</h2><ul>{items}</ul>"


def _traffic(health: "Health") -> str:
    seen = health.traffic
    cells = [f"{count:,}" for count in (seen.requests, seen.rows, seen.refused, seen.failed)]
    cells += ["–" if math.isnan(each) else f"{1000 * each:.1f}" for each in (seen.median, seen.p99)]
    names = ("requests", "rows answered", "refused", "failed", "median, ms", "99th percentile, ms")
    return f"<h2>Traffic</h2>{_table(names, [cells])}"


def _performance(scored: Performance, baseline: float) -> str:
    rows = [
        [
            f"{window.begin:%Y-%m-%d %H:%M}",
            f"{window.answered:,}",
            f"{window.rows:,}",
            number(window.score),
            f"{number(window.interval.low)} … {number(window.interval.high)}",
        ]
        for window in (*scored.windows, scored.whole)
    ]
    rows[-1][0] = "all"
    names = ("from", "answered", "with outcome", scored.metric.title, "95 % interval")
    held = f"<p class=soft>On validation: {number(baseline)}.</p>" if math.isfinite(baseline) else ""
    return f"<h2>{html.escape(scored.metric.title)}</h2>{held}{_scores(scored.windows, baseline)}{_table(names, rows)}"


def _drift(health: "Health") -> str:
    assert health.drift is not None
    told = [*health.drift.columns, *health.drift.answers]
    answers = {id(each) for each in health.drift.answers}
    rows = [
        [
            html.escape(each.name) + (" <span class=soft>(answer)</span>" if id(each) in answers else ""),
            f"<span class={'bad' if each.drifted else 'soft'}>{'drifted' if each.drifted else _size(each)}</span>",
            f"{each.psi:.3f}",
            "–" if math.isnan(each.distance) else f"{each.distance:.2f}",
            f"{each.test} {each.statistic:.3g}",
            f"{each.p_value:.2g}",
            f"{each.missing_before:.1%} → {each.missing:.1%}",
            f"{each.unseen:.1%}" if each.unseen else "",
        ]
        for each in told
    ]
    names = ("column", "", "PSI", "distance, σ", "test", "p (Holm)", "missing", "never seen")
    joint = health.drift.joint
    together = "" if joint is None else f"<p>All columns together: MMD {joint.mmd:.3f}, p = {joint.p_value:.2g}.</p>"
    furthest = sorted((each for each in told if each.bins), key=lambda each: -each.psi)[:MOST_CHARTS]
    charts = "".join(_chart(each) for each in furthest)
    legend = '<p class=soft>Shares of the rows: <svg width=10 height=10 style="display:inline;width:10px"><rect '
    legend += "class=before width=10 height=10 /></svg> training, <svg width=10 height=10 "
    legend += 'style="display:inline;width:10px"><rect class=now width=10 height=10 /></svg> live.</p>'
    table = _table(names, rows, escaped=True)
    return f"<h2>Drift</h2>{together}{table}<h2>The furthest</h2>{legend}<div class=charts>{charts}</div>"


def _size(each: Moved) -> str:
    return "large, by chance" if each.psi >= LARGE else "some, by chance" if each.psi >= MODERATE else "steady"


def _chart(each: Moved) -> str:
    """Two bars a bin, their labels under them."""
    most = max(max(one.before, one.now) for one in each.bins) or 1.0
    step = 280 / len(each.bins)
    drawn = ["<line class=axis x1=0 y1=90 x2=280 y2=90 />"]
    for place, one in enumerate(each.bins):
        left = place * step
        for kind, share, shift in (("before", one.before, 0.1), ("now", one.now, 0.5)):
            tall = 80 * share / most
            label = html.escape(f"{one.label}: {one.before:.1%} before, {one.now:.1%} now")
            drawn.append(
                f'<rect class={kind} x="{left + shift * step:.1f}" y="{90 - tall:.1f}" width="{0.38 * step:.1f}" '
                f'height="{tall:.1f}"><title>{label}</title></rect>'
            )
        shown = html.escape(one.label if len(one.label) <= 12 else f"{one.label[:11]}…")
        x, y = left + 0.5 * step, 99
        drawn.append(f'<text x="{x:.1f}" y="{y}" text-anchor=end transform="rotate(-35 {x:.1f} {y})">{shown}</text>')
    name = html.escape(each.name)
    return (
        f'<figure><svg viewBox="-45 0 330 150" role=img aria-label="{name}">{"".join(drawn)}</svg>'
        f"<figcaption>{name}, PSI {each.psi:.2f}</figcaption></figure>"
    )


def _scores(windows: Sequence[Window], baseline: float) -> str:
    """Each window's score with its interval, over time."""
    known = [(place, window) for place, window in enumerate(windows) if math.isfinite(window.score)]
    if len(known) < 2:
        return ""
    ends = [end for _, window in known for end in (window.interval.low, window.interval.high) if math.isfinite(end)]
    ends += [window.score for _, window in known] + ([baseline] if math.isfinite(baseline) else [])
    low, high = min(ends), max(ends)
    room = (high - low) or 1.0

    def height(value: float) -> float:
        return 110 - 100 * (value - low) / room

    drawn = [f"<text x=0 y=14>{number(high)}</text><text x=0 y=114>{number(low)}</text>"]
    if math.isfinite(baseline):
        drawn.append(f'<line class=baseline x1=50 x2=700 y1="{height(baseline):.1f}" y2="{height(baseline):.1f}" />')
    for place, window in known:
        x = 60 + 630 * (place + 0.5) / len(windows)
        title = html.escape(f"{window.begin:%Y-%m-%d %H:%M}: {number(window.score)}")
        if math.isfinite(window.interval.low):
            drawn.append(
                f'<line class=whisker x1="{x:.1f}" x2="{x:.1f}" y1="{height(window.interval.low):.1f}" '
                f'y2="{height(window.interval.high):.1f}" />'
            )
        drawn.append(
            f'<circle class=point cx="{x:.1f}" cy="{height(window.score):.1f}" r=4><title>{title}</title></circle>'
        )
    return f'<svg viewBox="0 0 710 122" role=img aria-label="score by window">{"".join(drawn)}</svg>'


def _table(names: Sequence[str], rows: Sequence[Sequence[str]], *, escaped: bool = False) -> str:
    head = "".join(f"<th{' class=n' if place else ''}>{html.escape(name)}</th>" for place, name in enumerate(names))
    cells = "".join(
        "<tr>"
        + "".join(
            f"<td{' class=n' if place else ''}>{cell if escaped else html.escape(cell)}</td>"
            for place, cell in enumerate(row)
        )
        + "</tr>"
        for row in rows
    )
    return f"<div class=wide><table><thead><tr>{head}</tr></thead><tbody>{cells}</tbody></table></div>"
