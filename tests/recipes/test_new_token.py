"""A token is made, known to a server, and revoked."""

import json
from pathlib import Path

import pytest

from framework.serving.access import Tokens
from framework.serving.token_file import FILE, TokenFileError, configured_tokens
from recipes.new_token import Config, main


def test_a_token_is_shown_once_and_opens_until_it_is_revoked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv(FILE, raising=False)
    assert configured_tokens() is None
    path = tmp_path / "tokens.json"
    monkeypatch.setenv(FILE, str(path))
    token = main(Config("dashboard", roles=("read",), per_minute=60.0, out=str(tmp_path / "out")))
    assert capsys.readouterr().out.splitlines()[-1] == token
    assert token not in path.read_text() + (tmp_path / "out" / "report.json").read_text()
    assert json.loads((tmp_path / "out" / "report.json").read_text())["name"] == "dashboard"
    known = Tokens(configured_tokens() or []).borne(token.encode())
    assert known is not None
    assert known.opens == {"read"}
    with pytest.raises(TokenFileError, match="already"):
        main(Config("dashboard"))
    main(Config("dashboard", revoke=True))
    assert configured_tokens() == []
    assert Tokens(configured_tokens() or []).borne(token.encode()) is None
