"""A document as plain data, for who shows it inside a page of their own."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from cluster.user_error import UserError
from framework.document import Block, Bullets, Code, Document, Section, Span, Table, Text

KINDS: Mapping[type[Block], str] = {Text: "text", Bullets: "bullets", Code: "code", Table: "table"}


class DocumentError(UserError):
    """Data that is no document."""


def data_of(document: Document) -> dict[str, Any]:
    """Plain data; `document_of` reads it back equal."""
    return {
        "title": document.title,
        "lead": document.lead,
        "sections": [
            {"title": section.title, "blocks": [{"is": KINDS[type(each)], **asdict(each)} for each in section.blocks]}
            for section in document.sections
        ],
    }


def document_of(data: Any) -> Document:
    """The document that `data_of` told. Raises DocumentError for anything else: whoever wrote the file, a browser shows
    texts and numbers only."""
    try:
        sections = tuple(
            Section(_text(each["title"]), tuple(_block(block) for block in each["blocks"])) for each in data["sections"]
        )
        return Document(_text(data["title"]), _text(data["lead"]), sections)
    except (KeyError, TypeError, ValueError) as error:
        told = f"{type(error).__name__}: {error}"
        raise DocumentError(f"this is no document ({told}). Write it by Document.write.") from error


def _block(data: Mapping[str, Any]) -> Block:
    if data["is"] == "text":
        return Text(_text(data["text"]))
    if data["is"] == "code":
        return Code(_text(data["text"]))
    if data["is"] == "bullets":
        return Bullets(_texts(data["items"]))
    if data["is"] != "table":
        raise ValueError(f"a block is {data['is']!r}")
    rows = tuple(_texts(row) for row in data["rows"])
    spans = tuple(None if span is None else _span(span) for span in data.get("spans", ()))
    bars = tuple(float(value) for value in data.get("bars", ()))
    if {len(spans), len(bars)} - {0, len(rows)}:
        raise ValueError(f"{len(rows)} rows with {len(spans) or len(bars)} drawings")
    numbers = tuple(int(place) for place in data.get("numbers", ()))
    return Table(_texts(data["head"]), rows, numbers, spans, bars, _text(data.get("caption", "")))


def _span(data: Sequence[float]) -> Span:
    low, middle, high = data
    return float(low), float(middle), float(high)


def _texts(data: Sequence[Any]) -> tuple[str, ...]:
    return tuple(_text(each) for each in data)


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{type(value).__name__} where a text belongs")
    return value
