"""A short document of sections: as Markdown, and as one HTML page that fetches nothing from elsewhere."""

import base64
import hashlib
import html
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from framework.plain import write_json, write_text

Span = tuple[float, float, float]  # low, middle, high

STYLE = """
:root { color-scheme: light dark; --ink: #1c2127; --soft: #5d6773; --line: #d9dee4; --page: #fff; --fill: #2f6f9f;
  --pale: #f3f5f7; }
@media (prefers-color-scheme: dark) { :root { --ink: #e4e8ec; --soft: #9aa5b1; --line: #39424c; --page: #14181c;
  --fill: #6fb1e0; --pale: #1e242a; } }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 54rem; padding: 1.5rem 1rem 4rem; background: var(--page); color: var(--ink);
  font: 1rem/1.5 system-ui, sans-serif; overflow-wrap: break-word; }
h1 { font-size: 1.6rem; line-height: 1.2; margin: 0 0 .3rem; }
h2 { font-size: 1.15rem; margin: 2rem 0 .5rem; padding-top: .8rem; border-top: 1px solid var(--line); }
p, ul { margin: .5rem 0; } ul { padding-left: 1.2rem; } .lead { color: var(--soft); }
.wide { overflow-x: auto; } table { border-collapse: collapse; width: 100%; font-size: .92rem; }
figure { margin: .5rem 0; } figcaption { color: var(--soft); padding: .3rem 0; font-size: .92rem; }
th, td { text-align: left; padding: .3rem .6rem .3rem 0; border-bottom: 1px solid var(--line); vertical-align: top; }
th { color: var(--soft); font-weight: 600; white-space: nowrap; }
.number { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
.plot { min-width: 7rem; width: 30%; }
.track { display: block; width: 100%; height: 1.4em; overflow: visible; fill: var(--fill); stroke: var(--fill); }
.track line { stroke-width: 2; } .track rect { stroke: none; }
pre { background: var(--pale); padding: .7rem .8rem; border-radius: 4px; overflow-x: auto; font-size: .88rem; }
"""
STYLE_DIGEST = base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()
POLICY = f"default-src 'none'; style-src 'sha256-{STYLE_DIGEST}'"  # nothing but the page's own style is applied


@dataclass(frozen=True)
class Text:
    """A paragraph."""

    text: str


@dataclass(frozen=True)
class Bullets:
    """A list of sentences."""

    items: tuple[str, ...]


@dataclass(frozen=True)
class Code:
    """Lines to be copied."""

    text: str


@dataclass(frozen=True)
class Table:
    """Rows of texts under their heads. numbers: the columns set to the right.

    spans: for each row a line from low to high with a point in the middle, drawn where there is HTML; bars: one from 0.
    """

    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    numbers: tuple[int, ...] = ()
    spans: tuple[Span | None, ...] = ()
    bars: tuple[float, ...] = ()
    caption: str = ""


Block = Text | Bullets | Code | Table


@dataclass(frozen=True)
class Section:
    """A heading and what is under it."""

    title: str
    blocks: tuple[Block, ...]

    def to_html(self) -> str:
        """What is under the heading."""
        return "".join(_html(block) for block in self.blocks)


@dataclass(frozen=True)
class Document:
    """A title, a first sentence, and sections. Whatever its texts hold is shown as text, never taken as markup."""

    title: str
    lead: str
    sections: tuple[Section, ...]

    def to_markdown(self) -> str:
        """GitHub's Markdown."""
        parts = [f"# {_plain(self.title)}", _plain(self.lead)]
        for section in self.sections:
            parts += [f"## {_plain(section.title)}", *(_markdown(block) for block in section.blocks)]
        return "\n\n".join(parts) + "\n"

    def to_html(self) -> str:
        """One page, light or dark as the reader's system is, readable on a phone; no script runs in it."""
        body = [f"<h1>{html.escape(self.title)}</h1>", f'<p class="lead">{html.escape(self.lead)}</p>']
        for section in self.sections:
            body.append(f"<section><h2>{html.escape(section.title)}</h2>{section.to_html()}</section>")
        return (
            '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
            '<meta name="viewport" content="width=device-width, initial-scale=1">'
            f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">'
            f"<title>{html.escape(self.title)}</title><style>{STYLE}</style></head>\n"
            f"<body><main>{''.join(body)}</main></body></html>\n"
        )

    def write(self, folder: Path | str, stem: str) -> None:
        """Writes STEM.html, STEM.md and STEM.json into a folder, each whole or not at all. Raises WriteError."""
        from framework.document_data import data_of

        for suffix, text in ((".html", self.to_html()), (".md", self.to_markdown())):
            write_text(Path(folder) / f"{stem}{suffix}", text)
        write_json(Path(folder) / f"{stem}.json", data_of(self))


def _plain(text: str) -> str:
    """A text in which Markdown finds nothing to do, in one line."""
    one_line = html.escape(" ".join(text.split()), quote=False)
    return re.sub(r"([\\`*_\[\]|~#$])", r"\\\1", one_line)


def _markdown(block: Block) -> str:
    if isinstance(block, Text):
        return _plain(block.text)
    if isinstance(block, Bullets):
        return "\n".join(f"- {_plain(item)}" for item in block.items)
    if isinstance(block, Code):
        fence = "`" * max(3, 1 + max((len(run) for run in re.findall("`+", block.text)), default=0))
        return f"{fence}\n{block.text}\n{fence}"
    ruler = ["---:" if place in block.numbers else "---" for place in range(len(block.head))]
    lines = [[_plain(cell) for cell in row] for row in (block.head, *block.rows)]
    table = "\n".join(f"| {' | '.join(row)} |" for row in (lines[0], ruler, *lines[1:]))
    return f"{_plain(block.caption)}\n\n{table}" if block.caption else table


def _html(block: Block) -> str:
    if isinstance(block, Text):
        return f"<p>{html.escape(block.text)}</p>"
    if isinstance(block, Bullets):
        return f"<ul>{''.join(f'<li>{html.escape(item)}</li>' for item in block.items)}</ul>"
    if isinstance(block, Code):
        return f"<pre><code>{html.escape(block.text)}</code></pre>"
    plots = _lines(block.spans) or _bars(block.bars)
    head = _cells(block.head, block.numbers, "th") + ("<th></th>" if plots else "")
    rows = [_cells(row, block.numbers, "td") for row in block.rows]
    if plots:
        rows = [f'{row}<td class="plot">{plot}</td>' for row, plot in zip(rows, plots, strict=True)]
    caption = f"<figcaption>{html.escape(block.caption)}</figcaption>" if block.caption else ""
    inside = "".join(f"<tr>{row}</tr>" for row in rows)
    table = f"<table><thead><tr>{head}</tr></thead><tbody>{inside}</tbody></table>"
    return f'<figure>{caption}<div class="wide">{table}</div></figure>'


def _cells(texts: Sequence[str], numbers: Sequence[int], tag: str) -> str:
    marks = [' class="number"' if place in numbers else "" for place in range(len(texts))]
    return "".join(f"<{tag}{mark}>{html.escape(text)}</{tag}>" for mark, text in zip(marks, texts, strict=True))


def _lines(spans: Sequence[Span | None]) -> list[str]:
    """Each span on the scale of all of them."""
    known = [span for span in spans if span is not None]
    if not known:
        return []
    least, most = min(span[0] for span in known), max(span[2] for span in known)
    wide = (most - least) or 1.0
    drawn = []
    for span in spans:
        if span is None:
            drawn.append("")
            continue
        low, middle, high = (100 * (value - least) / wide for value in span)
        line = (
            f'<line x1="{low:.1f}%" x2="{high:.1f}%" y1="50%" y2="50%"/><circle cx="{middle:.1f}%" cy="50%" r="3.5"/>'
        )
        drawn.append(f'<svg class="track" aria-hidden="true">{line}</svg>')
    return drawn


def _bars(values: Sequence[float]) -> list[str]:
    most = max(values, default=0.0)
    shares = [100 * max(0.0, value) / most if most > 0 else 0.0 for value in values]
    bars = [f'<rect width="{share:.1f}%" y="20%" height="60%" rx="2"/>' for share in shares]
    return [f'<svg class="track" aria-hidden="true">{bar}</svg>' for bar in bars]
