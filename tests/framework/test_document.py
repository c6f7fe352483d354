"""A document says the same as Markdown and as a page, and takes no text for markup."""

import base64
import hashlib
import json
from typing import Any

import pytest

from framework.document import Bullets, Code, Document, Section, Table, Text
from framework.document_data import DocumentError, data_of, document_of
from framework.plain import WriteError

TABLE = Table(
    ("name", "score"),
    (("a|b", "1.5"), ("<i>c</i>", "2.0")),
    (1,),
    spans=((1.0, 1.5, 2.0), None),
    caption="Scores *now*.",
)
WHOLE = Document(
    "One & <two>",
    "a `lead`",
    (
        Section(
            "<u>First", (Text("a <u>paragraph\nof two lines"), Bullets(("<u>one", "two_three")), Code("x <u> '```'"))
        ),
        Section("Second", (TABLE,)),
    ),
)


def test_markdown_shows_every_sign_as_it_is():
    assert WHOLE.to_markdown() == (
        "# One &amp; &lt;two&gt;\n\na \\`lead\\`\n\n"
        "## &lt;u&gt;First\n\na &lt;u&gt;paragraph of two lines\n\n- &lt;u&gt;one\n- two\\_three\n\n"
        "````\nx <u> '```'\n````\n\n## Second\n\nScores \\*now\\*.\n\n"
        "| name | score |\n| --- | ---: |\n| a\\|b | 1.5 |\n| &lt;i&gt;c&lt;/i&gt; | 2.0 |\n"
    )


def test_a_page_shows_every_sign_as_it_is():
    page = WHOLE.to_html()
    assert "<title>One &amp; &lt;two&gt;</title>" in page
    assert '<td>&lt;i&gt;c&lt;/i&gt;</td><td class="number">2.0</td>' in page
    assert "<figcaption>Scores *now*.</figcaption>" in page
    assert not [tag for tag in ("<i>c", "<u>", "<two>") if tag in page]
    assert page.count("&lt;u&gt;") == 4


def test_markdown_is_read_by_a_reader_of_markdown_as_it_was_meant():
    from markdown_it import MarkdownIt

    told = MarkdownIt("commonmark", {"html": True}).enable("table").render(WHOLE.to_markdown())
    assert "<h1>One &amp; &lt;two&gt;</h1>" in told
    assert "<td>a|b</td>" in told
    assert "<td>&lt;i&gt;c&lt;/i&gt;</td>" in told
    assert "<code>x &lt;u&gt; '```'\n</code>" in told
    assert "<u>" not in told


def test_intervals_are_drawn_on_one_scale():
    table = Table(("", ""), (("a", "1"), ("b", "3")), spans=((0.0, 1.0, 2.0), (2.0, 3.0, 4.0)))
    page = Document("t", "l", (Section("s", (table,)),)).to_html()
    assert '<line x1="0.0%" x2="50.0%" y1="50%" y2="50%"/><circle cx="25.0%"' in page
    assert '<line x1="50.0%" x2="100.0%"' in page


def test_bars_begin_at_zero_and_the_longest_is_whole():
    table = Table(("", ""), (("a", "4"), ("b", "1"), ("c", "-1")), bars=(4.0, 1.0, -1.0))
    page = Document("t", "l", (Section("s", (table,)),)).to_html()
    assert [page.count(f'rect width="{share}%"') for share in ("100.0", "25.0", "0.0")] == [1, 1, 1]


def test_its_style_is_the_only_one_that_a_browser_applies():
    """No element carries a style of its own, and the policy names the digest of what stands between the tags."""
    page = WHOLE.to_html()
    assert "style=" not in page
    style = page.partition("<style>")[2].partition("</style>")[0]
    assert base64.b64encode(hashlib.sha256(style.encode()).digest()).decode() in page.partition("<style>")[0]
    assert "unsafe" not in page


def test_a_document_comes_back_from_its_data_equal():
    told = json.loads(json.dumps(data_of(WHOLE)))
    assert document_of(told) == WHOLE
    bars = Document("t", "l", (Section("s", (Table(("a",), (("1",),), bars=(0.5,)),)),))
    assert document_of(json.loads(json.dumps(data_of(bars)))) == bars


@pytest.mark.parametrize(
    "broken",
    [
        {},
        [],
        {"title": "t", "lead": "l", "sections": [{"title": "s", "blocks": [{"is": "script", "text": "x"}]}]},
        {"title": "t", "lead": "l", "sections": [{"title": "s", "blocks": [{"is": "table", "head": 3}]}]},
        {"title": "t", "lead": "l", "sections": [{"title": "s", "blocks": [{"is": "text", "text": 3}]}]},
        {
            "title": "t",
            "lead": "l",
            "sections": [{"title": "s", "blocks": [{"is": "table", "head": ["a"], "rows": [["a"]], "bars": ["<b>"]}]}],
        },
    ],
)
def test_data_that_is_no_document_is_refused(broken: Any):
    with pytest.raises(DocumentError, match="no document"):
        document_of(broken)


def test_all_files_are_written_and_what_cannot_be_is_one_sentence(tmp_path):
    WHOLE.write(tmp_path / "deep", "card")
    assert sorted(path.name for path in (tmp_path / "deep").iterdir()) == ["card.html", "card.json", "card.md"]
    (tmp_path / "file").touch()
    with pytest.raises(WriteError, match=r"card\.html cannot be written"):
        WHOLE.write(tmp_path / "file", "card")
