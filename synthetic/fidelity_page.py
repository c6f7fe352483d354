"""The judgement of synthetic rows as a page that needs no other file."""

import base64
import html
import math
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from framework.explainers.page import STYLE
from framework.picture import png
from framework.plain import write_text

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from synthetic.fidelity import Fidelity

MOST_COLUMNS = 30


def write_page(
    told: "Fidelity", drawn: Mapping[str, "Figure"], path: Path, *, title: str, facts: Mapping[str, Any]
) -> None:
    """Raises WriteError when the file cannot be written."""
    verdict = "Passed the gate." if told.passed else "Failed the gate."
    reasons = "".join(f"<li>{html.escape(reason)}</li>" for reason in told.failed)
    scores = "".join(
        f"<tr><td>{html.escape(score.name)}</td><td>{_number(score.value)}</td><td>{_band(score.band)}</td>"
        f"<td>{_number(score.ceiling)}</td>"
        f"<td>{html.escape(score.told)}</td></tr>"
        for score in told.scores
    )
    worst = sorted(told.alike.shapes.items(), key=lambda pair: pair[1])[:MOST_COLUMNS]
    columns = "".join(
        f"<tr><td>{html.escape(name)}</td><td>{value:.3f}</td><td>{told.real.shapes[name]:.3f}</td></tr>"
        for name, value in worst
    )
    pictures = "".join(
        f'<h2>{html.escape(name.capitalize())}</h2><img alt="{html.escape(name)}: real and synthetic rows" '
        f'src="data:image/png;base64,{base64.b64encode(png(figure)).decode()}">'
        for name, figure in drawn.items()
    )
    listed = "".join(f"<li>{html.escape(str(key))}: {html.escape(str(value))}</li>" for key, value in facts.items())
    rows = ", ".join(f"{count:,} {what}" for what, count in told.rows.items())
    remarks = "".join(f"<p><small>{html.escape(remark)}</small></p>" for remark in told.remarks)
    name = html.escape(title)
    text = (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{name}</title>'
        f'<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'; "
        f'img-src data:"><style>{STYLE}</style></head><body><h1>{name}</h1><p><strong>{verdict}</strong> Rows: {rows}.'
        f"</p><ul>{reasons}</ul><h2>Scores</h2><p>Beside each what real rows, as many, reach against the same held-out "
        f"rows.</p><table><thead><tr><th>score</th><th>synthetic</th><th>95 % interval</th><th>real rows</th>"
        f"<th>how to read it</th></tr></thead><tbody>{scores}</tbody></table>{remarks}{_planted(told)}{pictures}"
        f"<h2>Columns, the least alike first</h2><table>"
        f"<thead><tr><th>column</th><th>synthetic</th><th>real rows</th></tr></thead><tbody>{columns}</tbody></table>"
        f"<h2>Made by</h2><ul>{listed}</ul></body></html>\n"
    )
    write_text(path, text)


def _planted(told: "Fidelity") -> str:
    """What the engine made of canaries, where some were planted."""
    if told.canaries is None:
        return ""
    listed = "".join(f"<li>{html.escape(str(each))}</li>" for each in told.canaries.levels)
    return f"<h2>Planted rows</h2><p>Rows that nobody is, learned together with the real ones.</p><ul>{listed}</ul>"


def _band(band: tuple[float, float] | None) -> str:
    return "" if band is None else f"{band[0]:.3f} … {band[1]:.3f}"


def _number(value: float) -> str:
    return "" if math.isnan(value) else f"{value:.3f}"
