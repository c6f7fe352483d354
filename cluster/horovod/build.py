"""The Horovod wheel: fetched as source, mended for today's torch, built once, kept, and installed.

    python -m cluster.horovod.build

The wheel fits one torch, one Python and one platform, and is kept under a name that says so in
~/.cache/contenders/wheels (CONTENDERS_CACHE names another folder). HOROVOD_GPU_OPERATIONS=NCCL in the environment
builds for GPUs, where CUDA's compiler and NCCL are installed.
"""

import hashlib
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import tempfile
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path

from cluster.user_error import UserError

VERSION = "0.28.1"
SHA256 = "92a43f5a94c43907a56805bad15f19700c62ffc83b7ca483f9e104e229f67ef0"
# torch 2.13's headers are C++20. Horovod forgets the network interface it was told when it connects its ranks for the
# second time, and takes the host name's: loopback on Debian. With debugging symbols the wheel is 17 times the size.
CPP20 = ("set(CMAKE_CXX_STANDARD 14)", "set(CMAKE_CXX_STANDARD 20)")
PATCHES = {
    "CMakeLists.txt": CPP20,
    "horovod/torch/CMakeLists.txt": CPP20,
    "horovod/common/gloo/gloo_context.cc": (
        "assert(global_context.IsEnabled());",
        "assert(global_context.IsEnabled()); gloo_iface_ = global_context.gloo_iface_;",
    ),
    "setup.py": ("else 'RelWithDebInfo'", "else 'Release'"),
}
PARTS = {
    "HOROVOD_WITH_PYTORCH": "1",
    "HOROVOD_WITH_GLOO": "1",
    "HOROVOD_WITHOUT_TENSORFLOW": "1",
    "HOROVOD_WITHOUT_MXNET": "1",
    "HOROVOD_WITHOUT_MPI": "1",
}
TOLD_LINES = 15  # of a compiler that failed
PROOF = "import horovod.torch as hvd, horovod.ray; assert hvd.gloo_built()"


class HorovodBuildError(UserError):
    """Horovod could not be built or does not load."""


def build() -> Path:
    """The wheel for this interpreter and its torch: the one that is kept, or one built now (about two minutes).

    Raises HorovodBuildError when a tool is missing, the source release is not the known one, or a compiler fails.
    """
    shelf = cache() / key()
    kept = sorted(shelf.glob("horovod-*.whl"))
    if kept:
        return kept[0]
    _check_tools()
    shelf.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="horovod-") as place:
        source = fetch(Path(place))
        patch(source)
        print(f"horovod {VERSION}: building for {key()}, about two minutes", flush=True)
        made = Path(place) / "wheel"
        environment = {**PARTS, **os.environ, "MAKEFLAGS": os.environ.get("MAKEFLAGS", f"-j{os.cpu_count() or 1}")}
        # cmake and Horovod's own setup look for `python` on the path: it must be this one.
        environment["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
        _pip("wheel", "--no-build-isolation", "--no-deps", "--no-cache-dir", "-w", made, source, env=environment)
        wheel = next(made.glob("horovod-*.whl"))
        arriving = shelf / f".{os.getpid()}"
        shutil.copyfile(wheel, arriving)
        arriving.replace(shelf / wheel.name)  # whoever looks meanwhile sees a whole wheel or none
        return shelf / wheel.name


def cache() -> Path:
    """Where wheels are kept between environments."""
    return Path(os.environ.get("CONTENDERS_CACHE", Path.home() / ".cache" / "contenders")) / "wheels"


def key() -> str:
    """What a built wheel depends on, as a folder's name."""
    try:
        torch = version("torch")
    except PackageNotFoundError as error:
        raise HorovodBuildError(
            f"{sys.executable} has no torch to build Horovod against. Run `make test` or `make demo` first, which "
            f"install it, and build with that environment's python."
        ) from error
    gpu = os.environ.get("HOROVOD_GPU_OPERATIONS", "").lower()
    python = f"cp{sys.version_info.major}{sys.version_info.minor}"
    mended = hashlib.sha256(repr(PATCHES).encode()).hexdigest()[:8]
    parts = [f"horovod-{VERSION}", mended, f"torch-{torch}", python, sysconfig.get_platform(), gpu]
    return "-".join(part for part in parts if part)


def fetch(place: Path) -> Path:
    """The unpacked source release, in `place`. pip refuses another file than the one of SHA256."""
    wanted = place / "wanted.txt"
    wanted.write_text(f"horovod=={VERSION} --hash=sha256:{SHA256}\n", encoding="utf-8")
    options = ("--no-binary", "horovod", "--no-deps", "--no-build-isolation", "--require-hashes")
    _pip("download", *options, "-d", place, "-r", wanted)
    with tarfile.open(place / f"horovod-{VERSION}.tar.gz") as archive:
        archive.extractall(place, filter="data")
    return place / f"horovod-{VERSION}"


def patch(source: Path) -> None:
    """Changes what PATCHES says in an unpacked source release; raises HorovodBuildError where it is not found."""
    for name, (old, new) in PATCHES.items():
        path = source / name
        text = path.read_text(encoding="utf-8")
        if text.count(old) != 1:
            raise HorovodBuildError(
                f"{name} of horovod {VERSION} holds {old!r} {text.count(old)} times, not once: it is not the release "
                f"that cluster/horovod/build.py knows. Compare its PATCHES with the source."
            )
        path.write_text(text.replace(old, new), encoding="utf-8")


def install(wheel: Path) -> None:
    """Puts the wheel into this interpreter's environment and checks that it loads."""
    beside = Path(sys.executable).with_name("uv")
    uv = str(beside) if beside.exists() else shutil.which("uv")
    if uv:
        told = [uv, "pip", "install", "--quiet", "--python", sys.executable, "--no-deps", "--compile-bytecode"]
        _run([*told, "--reinstall-package", "horovod", str(wheel)])
    else:
        _pip("install", "--quiet", "--no-deps", "--force-reinstall", wheel)
    _run([sys.executable, "-c", PROOF])


def _check_tools() -> None:
    missing = [tool for tool in ("cmake", "g++", "make") if shutil.which(tool) is None]
    if missing:
        raise HorovodBuildError(
            f"building Horovod needs {', '.join(missing)}, not found on the path. Install them (Debian: "
            f"`apt-get install cmake g++ make`, or `make system`) and run `make horovod` again."
        )
    absent = [name for name in ("pip", "setuptools", "packaging") if find_spec(name) is None]
    if absent:
        raise HorovodBuildError(f"building Horovod needs {', '.join(absent)} in {sys.prefix}. Install them there.")


def _pip(*arguments: object, env: dict[str, str] | None = None) -> None:
    _run([sys.executable, "-m", "pip", "--disable-pip-version-check", *map(str, arguments)], env=env)


def _run(command: list[str], *, env: dict[str, str] | None = None) -> None:
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=env, check=False)
    if done.returncode:
        # pip's own closing words say nothing; the compiler's stand before them.
        lines = [line for line in done.stdout.splitlines() if line.strip() and not re.match(r"\s*[│╰╭×]", line)]
        raise HorovodBuildError("\n".join([f"`{' '.join(command)}` failed:", *lines[-TOLD_LINES:]]))


if __name__ == "__main__":
    try:
        wheel = build()
        install(wheel)
    except HorovodBuildError as error:
        raise SystemExit(str(error)) from error
    print(f"horovod {VERSION} is installed from {wheel}")
