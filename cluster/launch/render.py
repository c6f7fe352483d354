"""A cluster file with its placeholders filled in, on standard output.

    python -m cluster.launch.render cluster/launch/aws.yaml IMAGE=contenders:1 REGION=eu-west-1 … > aws.yaml

A placeholder is ${NAME} in capital letters, in braces: shell variables such as $RAY_HEAD_IP stay as they are. A value
that is not given is taken from the environment.
"""

import os
import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from cluster.user_error import UserError

PLACEHOLDER = re.compile(r"\$\{([A-Z][A-Z0-9_]*)\}")
COMMENT = re.compile(r"(^|\s)#.*$", re.MULTILINE)


class RenderError(UserError):
    """A cluster file that cannot be filled in."""


def placeholders(text: str) -> list[str]:
    """The names a file asks for, in their order of appearance, each once; comments ask for nothing."""
    return list(dict.fromkeys(PLACEHOLDER.findall(COMMENT.sub("", text))))


def render(path: Path, values: Mapping[str, str]) -> str:
    """The file's text with every placeholder replaced; numbers and lists are written as YAML writes them.

    Raises RenderError for a file that is not there, values that are missing or empty, and a value with a line break.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise RenderError(
            f"{path} cannot be read ({error.strerror}). Pass a file of cluster/launch/ or kuberay/."
        ) from error
    missing = [name for name in placeholders(text) if not values.get(name)]
    if missing:
        raise RenderError(f"{path} asks for {', '.join(missing)}: pass {' '.join(f'{name}=…' for name in missing)}.")
    broken = [name for name in placeholders(text) if "\n" in values[name]]
    if broken:
        raise RenderError(f"{broken[0]} has a line break in it, which {path.name} cannot hold. Pass it on one line.")
    return PLACEHOLDER.sub(lambda found: values.get(found[1], found[0]), text)


def main(arguments: Sequence[str]) -> str:
    """The rendered text of `FILE NAME=VALUE …`. Raises RenderError for arguments that are neither."""
    if not arguments or any("=" not in argument for argument in arguments[1:]):
        raise RenderError("usage: python -m cluster.launch.render FILE NAME=VALUE …")
    given = dict(argument.split("=", 1) for argument in arguments[1:])
    known = placeholders(Path(arguments[0]).read_text(encoding="utf-8")) if Path(arguments[0]).is_file() else []
    strange = [name for name in given if known and name not in known]
    if strange:
        raise RenderError(f"{arguments[0]} has no placeholder {strange[0]}. It has: {', '.join(known)}.")
    return render(Path(arguments[0]), {**os.environ, **given})


if __name__ == "__main__":
    try:
        print(main(sys.argv[1:]), end="")
    except RenderError as error:
        print(f"error: {error}", file=sys.stderr)
        raise SystemExit(2) from None
