"""Where Java and H2O's classes stand on this machine."""

import os
import shutil
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

from cluster.user_error import UserError


class JavaMissingError(UserError):
    """No Java on this machine."""


class H2OMissingError(UserError):
    """H2O's classes are not in this environment."""


def java() -> str:
    """The `java` of JAVA_HOME, else that of the PATH. Raises JavaMissingError."""
    home = os.environ.get("JAVA_HOME")
    if home and (Path(home) / "bin" / "java").is_file():
        return str(Path(home) / "bin" / "java")
    found = shutil.which("java")
    if found is None:
        tried = f"JAVA_HOME={home} holds none" if home else "JAVA_HOME is not set"
        raise JavaMissingError(
            f"H2O needs Java 11 to 17, and there is none here: no `java` on the PATH, and {tried}. Install one, such "
            f"as Debian's openjdk-17-jre-headless, or set JAVA_HOME."
        )
    return found


def library() -> str:
    """The shared library of that Java, for a JVM inside this process. Raises JavaMissingError."""
    found = Path(java()).resolve()
    for place in ("lib/server", "jre/lib/server", "lib/amd64/server"):
        for name in ("libjvm.so", "libjvm.dylib"):
            if (path := found.parents[1] / place / name).is_file():
                return str(path)
    raise JavaMissingError(
        f"{found} is a Java without a server JVM beside it (lib/server/libjvm.so). Install a whole one, such as "
        f"Debian's openjdk-17-jre-headless, or set JAVA_HOME."
    )


def jar() -> str:
    """h2o.jar of the installed `h2o`: its engine, and the classes that score a MOJO. Raises H2OMissingError.

    The package itself is not imported: of its Python nothing is needed.
    """
    try:
        distribution("jpype1")
        path = Path(str(distribution("h2o").locate_file("h2o/backend/bin/h2o.jar")))
    except PackageNotFoundError as error:
        raise H2OMissingError(
            f"H2O is not installed in this environment ({error}). Install the extra: "
            f"`uv pip install 'contenders[h2o]'`."
        ) from error
    if not path.is_file():
        raise H2OMissingError(f"the installed h2o has no {path}. Install it anew: `uv pip install --reinstall h2o`.")
    return str(path)
