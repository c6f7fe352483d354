import subprocess
import sys
from pathlib import Path

import pytest

from cluster.connect import Session, connect

ASK = """
from cluster.connect import connect
from cluster.user_error import UserError

try:
    connect()
except UserError as error:
    print(error)
"""
ROOT = Path(__file__).parents[2]


def test_the_session_says_what_it_found(ray_session: Session) -> None:
    assert ray_session.where == "laptop"
    assert ray_session.cpus == 2
    assert "2 CPU" in str(ray_session)


def test_a_second_connect_is_the_same_session(ray_session: Session) -> None:
    assert connect().address == ray_session.address


def test_an_address_where_no_cluster_answers_is_told_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_ADDRESS", "127.0.0.1:9")
    told = subprocess.run([sys.executable, "-c", ASK], cwd=ROOT, capture_output=True, text=True, timeout=240).stdout
    assert "RAY_ADDRESS=127.0.0.1:9" in told


def test_the_token_is_readable_by_its_owner_only(ray_session: Session) -> None:
    token = Path.home() / ".ray" / "auth_token"
    assert token.stat().st_mode & 0o077 == 0
