"""What makes a function a recipe: `run(main)` turns its Config into a command line and a mistake into a sentence."""

import dataclasses
import inspect
import io
import logging
import os
import signal
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn, get_type_hints

import psutil

from cluster.user_error import UserError
from framework.plain import write_json

_command_began: float | None = None  # when this process began, where it is a recipe's own

INTERRUPTED = 130  # the exit status of a program ended by Ctrl-C


def run(main: Callable[[Any], Any]) -> NoReturn:
    """Runs a recipe from the command line: argv → Config → main, then exits.

    The command line is main's one parameter, a frozen dataclass: each field a flag, the comment behind it its help.
    `--from-run ID` starts from the configuration that a tracked run was started with; other flags win.
    Exit status 2 and one sentence for a person's mistake, 130 for Ctrl-C.
    """
    global _command_began
    _command_began = psutil.Process().create_time()
    quieten()
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(line_buffering=True)  # a job's log is read while it runs
    signal.signal(signal.SIGTERM, _as_interrupt)
    leave(command(main, sys.argv[1:]))


def command(main: Callable[[Any], Any], arguments: list[str]) -> int:
    """Runs a recipe with these arguments; the exit status, a mistake told on standard error.

    A result may have an `exit_status` of its own: a report that is to fail a job.
    """
    try:
        config = parse(main, arguments)
        check_out(config)
        result = main(config)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr, flush=True)
        return 2
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr, flush=True)
        return INTERRUPTED
    return INTERRUPTED if getattr(result, "interrupted", False) else int(getattr(result, "exit_status", 0))


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


def check_out(config: Any) -> None:
    """Raises RecipeError before any work is done when `config.out` cannot be written to."""
    out = getattr(config, "out", None)
    if not out:
        return
    folder = Path(out) if not Path(out).suffix else Path(out).parent
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RecipeError(f"--out {out} cannot be made a folder ({error.strerror}). Pass another.") from error
    if not os.access(folder, os.W_OK):
        raise RecipeError(f"--out {out} cannot be written to. Pass another folder.")


def write_report(config: Any, **figures: Any) -> None:
    """Writes `config.out/report.json`: the recipe's figures and its resolved config, so that a program reads what a
    person sees. Does nothing without `out`; the file is there whole or not at all."""
    if getattr(config, "out", None):
        write_json(Path(config.out) / "report.json", {**figures, "config": dataclasses.asdict(config)})


@dataclasses.dataclass(frozen=True)
class Budget:
    """A recipe's wall clock, in seconds of time.time()."""

    began: float
    end: float

    @property
    def left(self) -> float:
        return max(0.0, self.end - time.time())

    def end_before(self, seconds: float) -> float:
        """The moment that leaves these seconds for what comes after, but never more than 40 % of the whole."""
        return self.end - min(seconds, 0.4 * (self.end - self.began)) if self.end < float("inf") else self.end

    @property
    def used(self) -> float:
        return time.time() - self.began


def budget(minutes: float) -> Budget:
    """The minutes of a whole command, its start-up included; in a notebook or a test they begin at this call.

    Raises RecipeError for no minutes.
    """
    if not minutes > 0:
        raise RecipeError(
            f"--minutes is {minutes:g}; a contest needs more than 0. Half a minute is the least that pays."
        )
    began = _command_began or time.time()
    return Budget(began, began + 60 * minutes)


def endless(minutes: float | None) -> Budget:
    """The same for a command that may take as long as it needs: without minutes its end never comes."""
    if minutes is not None:
        return budget(minutes)
    return Budget(_command_began or time.time(), float("inf"))


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


def _as_interrupt(signum: int, frame: Any) -> NoReturn:
    raise KeyboardInterrupt
