"""The image's recipe, read by a parser of our own: no Docker is at hand where the tests run.

What it copies exists and is let through, what it runs exists, and what other files count on is so.
"""

import importlib.util
import re
import subprocess
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path

import pytest
import yaml

from cluster.ports import free_ports

ROOT = Path(__file__).parents[2]
FILE = ROOT / "cluster" / "Dockerfile"
KNOWN = {"ARG", "FROM", "SHELL", "RUN", "WORKDIR", "ENV", "COPY", "USER", "HEALTHCHECK", "ENTRYPOINT", "CMD"}


class InstructionError(ValueError):
    """A line that is no instruction of a Dockerfile."""


@dataclass(frozen=True)
class Instruction:
    """One instruction: its word, its --flags, and the rest as one line."""

    word: str
    flags: tuple[str, ...]
    rest: str
    stage: int  # -1 before the first FROM


def parse(text: str) -> list[Instruction]:
    """The instructions in their order, continued lines joined and comments left out."""
    lines = [line for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    joined = re.sub(r"\\\n\s*", " ", "\n".join(lines))
    found, stage = [], -1
    for line in joined.splitlines():
        word, _, rest = line.partition(" ")
        if word not in KNOWN or not rest.strip():
            raise InstructionError(f"no instruction: {line!r}")
        stage += word == "FROM"
        flags = re.match(r"(\s*--[a-z-]+=\S+)*", rest)
        assert flags is not None
        found.append(Instruction(word, tuple(flags[0].split()), rest[flags.end() :].strip(), stage))
    return found


INSTRUCTIONS = parse(FILE.read_text(encoding="utf-8"))
LAST = max(each.stage for each in INSTRUCTIONS)


def of(word: str, *, stage: int | None = None) -> list[Instruction]:
    return [each for each in INSTRUCTIONS if each.word == word and stage in (None, each.stage)]


def variables(*, stage: int) -> dict[str, str]:
    """What ENV sets, quotes and references left as they are."""
    return dict(pair.split("=", 1) for each in of("ENV", stage=stage) for pair in each.rest.split())


def shell(*, stage: int) -> str:
    return " && ".join(each.rest for each in of("RUN", stage=stage))


def let_through(path: str, rules: Sequence[str]) -> bool:
    """Whether .dockerignore sends this path to the builder: the last rule that meets it or a folder above it says."""
    sent = True
    for rule in rules:
        pattern = rule.removeprefix("!").removeprefix("**/")
        above = [path, *(str(folder) for folder in Path(path).parents)]
        if any(fnmatch(each, pattern) or fnmatch(Path(each).name, pattern) for each in above if each != "."):
            sent = rule.startswith("!")
    return sent


def ignored_rules() -> list[str]:
    lines = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    return [line.strip() for line in lines if line.strip() and not line.startswith("#")]


def test_it_is_read_and_a_slip_in_it_would_be_seen() -> None:
    assert {each.word for each in INSTRUCTIONS} == KNOWN
    assert LAST == 1
    with pytest.raises(InstructionError, match="COPPY"):
        parse(FILE.read_text(encoding="utf-8").replace("COPY cluster", "COPPY cluster"))
    with pytest.raises(InstructionError):  # a line that lost its continuation
        parse(FILE.read_text(encoding="utf-8").replace("    && rm", "    rm").replace("wget \\\n", "wget\n"))


def test_the_shell_takes_every_command() -> None:
    commands = [each.rest for each in of("RUN")] + [each.rest.removeprefix("CMD ") for each in of("HEALTHCHECK")]
    assert len(commands) >= 5
    for command in commands:
        checked = subprocess.run(["bash", "-n", "-c", command], capture_output=True, text=True)
        assert checked.returncode == 0, checked.stderr


def test_all_that_is_copied_is_there_and_reaches_the_builder() -> None:
    rules = ignored_rules()
    sources = []
    for each in of("COPY"):
        *given, _ = each.rest.split()
        if each.flags:
            (stage,) = [flag.removeprefix("--from=") for flag in each.flags]
            assert f"AS {stage}" in of("FROM", stage=0)[0].rest
        else:
            sources += given
    assert {"requirements.lock", "pyproject.toml", "cluster", "recipes"} <= set(sources)
    for source in sources:
        assert (ROOT / source).exists(), source
        assert let_through(source, rules), source
    for kept_out in (
        ".git/config",
        ".venv/bin/python",
        "runs/x.json",
        "mlflow.db",
        "cluster/__pycache__/x.pyc",
        ".env",
    ):
        assert not let_through(kept_out, rules), kept_out


def test_every_package_of_the_distribution_is_in_it() -> None:
    setuptools = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]
    packages = {pattern.rstrip("*") for pattern in setuptools["packages"]["find"]["include"]}
    copied = {each.rest.split()[0] for each in of("COPY", stage=LAST) if not each.flags}
    assert packages <= copied


def test_what_it_runs_of_ours_exists() -> None:
    modules = set(re.findall(r"python -m ([a-z_.]+)", f"{shell(stage=0)} && {shell(stage=LAST)}"))
    ours = {name for name in modules if name.split(".")[0] in ("cluster", "framework", "recipes")}
    assert {"cluster.build", "cluster.horovod.build", "recipes"} == ours
    assert all(importlib.util.find_spec(name) for name in modules)


def test_packages_are_the_locked_ones_with_bytecode_by_the_makefile_s_uv() -> None:
    installing = shell(stage=0)
    assert "--constraints requirements.lock" in installing
    assert "--requirements pyproject.toml" in installing
    assert variables(stage=0)["UV_COMPILE_BYTECODE"] == "1"
    (makefile,) = re.findall(r"^UV_VERSION := (\S+)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert f"UV_VERSION={makefile}" in [each.rest for each in of("ARG")]
    assert "PYTHONDONTWRITEBYTECODE" not in FILE.read_text()
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    assert set(re.findall(r"--extra (\S+)", installing)) <= set(extras)


def test_it_runs_as_the_user_the_manifests_name_and_where_they_mount() -> None:
    (user,) = of("USER")
    assert user.stage == LAST
    assert user.rest == "1000:1000"
    (proof,) = [each.rest for each in INSTRUCTIONS[INSTRUCTIONS.index(user) :] if each.word in ("RUN", "COPY")]
    assert proof.startswith('python -c "import horovod.torch')
    environment = variables(stage=LAST)
    assert environment["HOME"] == "/home/ray"
    for path in sorted((ROOT / "cluster" / "kuberay").glob("ray*.yaml")):
        text = path.read_text()
        assert "runAsUser: 1000" in text
        assert "mountPath: /home/ray" in text
    # Pods mount something over the home, and the root file system is read-only: what is built in stands elsewhere.
    assert not environment["CONTENDERS_ENVS"].startswith((environment["HOME"], "/tmp"))
    built = variables(stage=0)["CONTENDERS_ENVS"]
    assert environment["CONTENDERS_ENVS"] == built
    assert f"COPY --from=build {built} {built}" in FILE.read_text()


def test_the_launcher_finds_what_it_needs_in_it() -> None:
    """rsync for file mounts, ssh on the head for its workers, the path in a login shell, no entry point in the way."""
    installed = shell(stage=LAST)
    for tool in ("rsync", "openssh-client", "wget", "libgomp1", "tini", "procps"):
        assert tool in installed, tool
    assert "/etc/profile.d/" in installed
    assert of("ENTRYPOINT")[0].rest == '["tini", "--"]'  # `docker run IMAGE bash` is a bash
    for name in ("aws", "gcp", "onpremise"):
        launched = yaml.safe_load((ROOT / "cluster" / "launch" / f"{name}.yaml").read_text())
        (mounted,) = launched["file_mounts"]
        assert mounted in installed, "a folder that Docker would make would be root's"


def test_a_container_without_a_node_is_not_judged() -> None:
    """The health check's own words, with another process's name for the raylet's, and a port where nobody listens."""
    (check,) = of("HEALTHCHECK")
    command = check.rest.removeprefix("CMD ").replace(":52365", f":{free_ports(1)[0]}")
    assert ":52365" in check.rest
    absent = command.replace("pgrep -x raylet", "pgrep -x no-such-node")
    present = command.replace("pgrep -x raylet", "pgrep -x sleep")
    other = subprocess.Popen(["sleep", "30"])
    try:
        assert subprocess.run(["sh", "-c", absent]).returncode == 0
        assert subprocess.run(["sh", "-c", present]).returncode != 0
    finally:
        other.kill()
        other.wait()
