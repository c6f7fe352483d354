"""What makes a function a recipe: `run(main)` turns its Config into a command line and a mistake into a sentence."""

import dataclasses
import inspect
import json
import logging
import os
import signal
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn, get_type_hints

from cluster.user_error import UserError

INTERRUPTED = 130  # the exit status of a program ended by Ctrl-C


def run(main: Callable[[Any], Any]) -> NoReturn:
    """Runs a recipe from the command line: argv → Config → main, then exits.

    The command line is main's one parameter, a frozen dataclass: each field a flag, the comment behind it its help.
    `--from-run ID` starts from the configuration that a tracked run was started with; other flags win.
    Exit status 2 and one sentence for a person's mistake, 130 for Ctrl-C.
    """
    quieten()
    signal.signal(signal.SIGTERM, _as_interrupt)
    try:
        main(parse(main, sys.argv[1:]))
    except UserError as error:
        status, text = 2, f"error: {error}"
    except KeyboardInterrupt:
        status, text = INTERRUPTED, "interrupted"
    else:
        status, text = 0, ""
    if text:
        print(text, file=sys.stderr, flush=True)
    leave(status)


def parse(main: Callable[[Any], Any], arguments: list[str]) -> Any:
    """The Config that these command line arguments ask for; exits with status 2 on an unknown or malformed flag."""
    import tyro

    config = _config_class(main)
    module = inspect.getmodule(main)
    spec = getattr(module, "__spec__", None)
    program = f"python -m {spec.name if spec else config.__module__}"
    rest, run_id = _take_flag(arguments, "--from-run")
    default = tyro.MISSING_NONPROP if run_id is None else _from_run(config, run_id)
    return tyro.cli(config, prog=program, description=module.__doc__ if module else None, args=rest, default=default)


def leave(status: int) -> NoReturn:
    """Exits at once: Ray stopped, output flushed, and no library's exit handlers waited for."""
    ray = sys.modules.get("ray")
    if ray is not None and ray.is_initialized():
        ray.shutdown()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


def write_report(config: Any, **figures: Any) -> None:
    """Writes `config.out/report.json`: the recipe's figures and its resolved config, so that a program reads what a
    person sees. Does nothing without `out`; the file is there whole or not at all."""
    if getattr(config, "out", None):
        write_json(Path(config.out) / "report.json", {**figures, "config": dataclasses.asdict(config)})


def write_json(path: Path, content: Any) -> None:
    """Writes JSON with infinite and undefined numbers as null, the file whole or not at all.

    Raises RecipeError when the folder cannot be written.
    """
    part = path.with_name(path.name + ".part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        part.write_text(json.dumps(_finite(content), indent=1, ensure_ascii=False, default=str) + "\n", encoding="utf-8")
        part.replace(path)
    except OSError as error:
        raise RecipeError(f"{path} cannot be written ({error.strerror}). Pass another --out folder.") from error


class RecipeError(UserError):
    """A recipe that cannot be started or cannot leave its results."""


def quieten() -> None:
    """Third-party chatter off; `FRAMEWORK_LOG=debug` brings it back."""
    if os.environ.get("FRAMEWORK_LOG", "").lower() == "debug":
        logging.basicConfig(level=logging.DEBUG)
        return
    logging.basicConfig(level=logging.WARNING, format="%(message)s")
    warnings.simplefilter("ignore")


def _config_class(main: Callable[[Any], Any]) -> type:
    hints = {name: hint for name, hint in get_type_hints(main).items() if name != "return"}
    if len(hints) != 1 or not dataclasses.is_dataclass(only := next(iter(hints.values()))):
        raise TypeError(f"{main.__name__} takes one parameter, a dataclass; it has {hints or 'none'}")
    return only if isinstance(only, type) else type(only)


def _take_flag(arguments: list[str], flag: str) -> tuple[list[str], str | None]:
    """The arguments without this flag, and its value."""
    for place, argument in enumerate(arguments):
        if argument == flag and place + 1 < len(arguments):
            return arguments[:place] + arguments[place + 2 :], arguments[place + 1]
        if argument.startswith(flag + "="):
            return arguments[:place] + arguments[place + 1 :], argument.removeprefix(flag + "=")
    return arguments, None


def _from_run(config: type, run_id: str) -> Any:
    from framework.tracking import config_of

    logged = config_of(run_id)
    known = {f.name: f for f in dataclasses.fields(config)}
    unknown = sorted(set(logged) - set(known))
    if unknown:
        raise RecipeError(f"run {run_id} was started by another recipe: it has {unknown[0]!r}, which this one has not.")
    return config(**{name: tuple(v) if isinstance(v, list) else v for name, v in logged.items()})


def _finite(content: Any) -> Any:
    if isinstance(content, dict):
        return {str(key): _finite(value) for key, value in content.items()}
    if isinstance(content, list | tuple):
        return [_finite(value) for value in content]
    if hasattr(content, "item") and getattr(content, "size", 1) == 1:
        content = content.item()
    if isinstance(content, float) and content not in (float("inf"), float("-inf")) and content == content:
        return content
    return None if isinstance(content, float) else content


def _as_interrupt(signum: int, frame: Any) -> NoReturn:
    raise KeyboardInterrupt
