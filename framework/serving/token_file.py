"""The file of tokens: who may ask a model server, each known by a digest. The tokens themselves are nowhere kept."""

import json
import os
import secrets
from collections.abc import Iterable, Sequence
from pathlib import Path

from cluster.user_error import UserError
from framework.serving.access import ROLES, Token, digest

FILE = "FRAMEWORK_SERVE_TOKENS"
WRITABLE = 0o022  # by others than its owner


class TokenFileError(UserError):
    """A file of tokens that is not there, not sound, or open to others' writing."""


def configured_tokens() -> list[Token] | None:
    """The tokens of the file that FRAMEWORK_SERVE_TOKENS names; None where it names none."""
    path = os.environ.get(FILE)
    return read_tokens(Path(path)) if path else None


def default_file(path: str | None) -> Path:
    """The file of this path; without one, that of FRAMEWORK_SERVE_TOKENS, or tokens.json in the working folder."""
    return Path(path or os.environ.get(FILE) or "tokens.json")


def read_tokens(path: Path) -> list[Token]:
    """The tokens of a file: a JSON list of {"name", "sha256", "roles", "per_minute"}.

    Raises TokenFileError for a file that others than its owner may write: whoever could, would be an administrator.
    """
    try:
        with path.open("rb") as stream:
            mode = os.fstat(stream.fileno()).st_mode
            tokens = [Token.from_json(each) for each in json.load(stream)]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise TokenFileError(
            f"the tokens in {path} cannot be read ({error}). Make them by recipes.new_token."
        ) from error
    if mode & WRITABLE:
        raise TokenFileError(f"{path} may be written by others (mode {mode & 0o777:o}). Set it by: chmod 600 {path}")
    for field in ("name", "sha256"):
        values = [getattr(token, field) for token in tokens]
        if len(set(values)) < len(values):
            raise TokenFileError(f"two tokens in {path} have the same {field}. Leave one.")
    return tokens


def add_token(path: Path, name: str, *, roles: Sequence[str], per_minute: float | None = None) -> str:
    """Makes a token and leaves its digest in the file, which is made where there is none; returns the token itself.

    Raises TokenFileError for a name that is taken, an unknown role, or a rate of 0.
    """
    tokens = read_tokens(path) if path.exists() else []
    if name in {token.name for token in tokens}:
        raise TokenFileError(f"token {name!r} is in {path} already. Revoke it first, or take another name.")
    if unknown := sorted(set(roles) - ROLES):
        raise TokenFileError(f"role {unknown[0]!r} is unknown; there are: {', '.join(sorted(ROLES))}.")
    secret = secrets.token_urlsafe(32)
    told = {"name": name, "sha256": digest(secret.encode()), "roles": list(roles), "per_minute": per_minute}
    try:
        made = Token.from_json(told)
    except ValueError as error:
        raise TokenFileError(f"{error}.") from error
    _write(path, [*tokens, made])
    return secret


def revoke_token(path: Path, name: str) -> None:
    """Takes a token out of the file. Raises TokenFileError where there is none of this name."""
    tokens = read_tokens(path)
    left = [token for token in tokens if token.name != name]
    if len(left) == len(tokens):
        names = ", ".join(token.name for token in tokens) or "none"
        raise TokenFileError(f"there is no token {name!r} in {path}. It has: {names}.")
    _write(path, left)


def _write(path: Path, tokens: Iterable[Token]) -> None:
    """The whole file anew, or not at all; readable by its owner."""
    part = path.with_name(f"{path.name}.{os.getpid()}")
    try:
        with open(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as stream:
            json.dump([token.to_json() for token in tokens], stream, indent=1)
        part.replace(path)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise TokenFileError(f"{path} cannot be written ({error.strerror}).") from error
