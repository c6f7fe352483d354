"""An explanation as a page that needs no other file, in light and dark, and its figures as files."""

import base64
import html
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from framework.picture import png
from framework.plain import write_bytes, write_text

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from framework.explanation import Explanation

MOST_ROWS = 20  # of a table
GRID = "display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,25rem),1fr));gap:.5rem;align-items:start"
STYLE = """
:root { color-scheme: light dark; --ink: #222; --back: #fff; --line: #d8dce3; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6e8ec; --back: #16181d; --line: #3a3f49; } }
body { color: var(--ink); background: var(--back); font: 16px/1.5 system-ui, sans-serif; max-width: 72rem;
  margin: 2rem auto; padding: 0 1rem; }
img { max-width: 100%; border-radius: 4px; }
table { border-collapse: collapse; display: block; overflow-x: auto; font-size: .9rem; }
th, td { padding: .2rem .7rem; border-bottom: 1px solid var(--line); text-align: left; }
pre { overflow-x: auto; }
"""


def body(told: "Explanation", drawn: Mapping[str, "Figure"], *, heading: str = "h5") -> str:
    """The figures, what is told in words and tables, and the remarks, as HTML; all of it escaped."""
    pictures = "".join(
        f'<img style="max-width:100%" alt="{html.escape(name)}" '
        f'src="data:image/png;base64,{base64.b64encode(png(figure)).decode()}">'
        for name, figure in drawn.items()
    )
    parts = [f'<div style="{GRID}">{pictures}</div>']
    if told.lime is not None:
        parts.append(f"<p>{html.escape(str(told.lime))}.</p>")
    if told.surrogate is not None:
        parts.append(f"<{heading}>A tree in its place</{heading}><pre>{html.escape(str(told.surrogate))}</pre>")
    if told.slices is not None:
        parts.append(f"<{heading}>Slices</{heading}><pre>{html.escape(str(told.slices))}</pre>")
    if told.fairness is not None:
        parts.append(
            f"<{heading}>Groups</{heading}><p>{html.escape(str(told.fairness))}</p>{_table(told.fairness.table())}"
        )
    if told.counterfactuals:
        listed = "".join(f"<li>{html.escape(str(each))}</li>" for each in told.counterfactuals[:MOST_ROWS])
        parts.append(f"<{heading}>What would have to be otherwise</{heading}><ul>{listed}</ul>")
    parts += [f"<p><small>{html.escape(remark)}</small></p>" for remark in told.remarks]
    return "".join(parts)


def write_page(told: "Explanation", drawn: Mapping[str, "Figure"], path: Path) -> None:
    """Raises WriteError when the file cannot be written."""
    name = html.escape(told.name)
    head = (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{name}: explanation</title>'
        f'<meta name="viewport" content="width=device-width, initial-scale=1"><style>{STYLE}</style></head>'
    )
    line = f"<p>{told.rows:,} rows, {told.metric.title}, explained in {told.seconds:.1f} s.</p>"
    text = f"{head}<body><h1>{name}: what it looks at</h1>{line}{body(told, drawn, heading='h2')}</body></html>\n"
    write_text(path, text)


def write_pictures(drawn: Mapping[str, "Figure"], folder: Path) -> None:
    """Each as NAME.png. Raises WriteError."""
    for name, figure in drawn.items():
        write_bytes(folder / f"{name}.png", png(figure))


def _table(frame: pd.DataFrame) -> str:
    return frame.head(MOST_ROWS).to_html(index=False, border=0, float_format="{:.3f}".format, escape=True)
