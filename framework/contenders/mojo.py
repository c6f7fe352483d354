"""An H2O model as it left H2O (a MOJO), scored in this process: no H2O runs, only a JVM with its scoring classes."""

import tempfile
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np

from framework.contenders.h2o_java import jar, library
from framework.contenders.jvm_signals import Handlers

# A JVM of a server's own: no signal of ours is its business (-Xrs), no threads for collecting what is hardly garbage.
# The JVM would guard the main thread's stack at a megabyte, and OpenBLAS, which takes two to solve equations by several
# threads, would end the process there.
STACK = (
    "-XX:+IgnoreUnrecognizedVMOptions",
    "-XX:+UnlockExperimentalVMOptions",
    "-XX:+DisablePrimordialThreadGuardPages",
)
OPTIONS = ("-Xrs", "-Xmx2g", "-XX:+UseSerialGC", "-Djava.awt.headless=true", *STACK)
BLOCK = 4096  # rows that stand in the JVM at once

_starting = threading.Lock()
_handlers: list[Handlers] = []  # the JVM's, once it has started


@dataclass(frozen=True, eq=False)
class Mojo:
    """A scorer: what goes in under which name, and what comes out.

    names: its inputs in their order. domains: of each input the labels it knows, in the order of their codes; None
    where it takes a number. answers: the response's labels, empty for a regression.
    """

    names: tuple[str, ...]
    domains: tuple[tuple[str, ...] | None, ...]
    answers: tuple[str, ...]
    scorer: Any

    @classmethod
    def open(cls, archive: bytes) -> Self:
        """A MOJO's zip. Raises ValueError when it cannot be read; JavaMissingError, H2OMissingError."""
        jpype = start_jvm()
        with tempfile.NamedTemporaryFile(suffix=".zip") as file:
            Path(file.name).write_bytes(archive)
            try:
                scorer = jpype.JClass("hex.genmodel.MojoModel").load(file.name)
            except jpype.JException as error:
                raise ValueError(f"the MOJO does not open: {error}") from error
        inputs = range(int(scorer.nfeatures()))
        labels = [scorer.getDomainValues(place) for place in inputs]
        return cls(
            names=tuple(str(scorer.getNames()[place]) for place in inputs),
            domains=tuple(None if known is None else tuple(map(str, known)) for known in labels),
            answers=tuple(map(str, scorer.getDomainValues(scorer.getResponseIdx()) or ())),
            scorer=scorer,
        )

    def score(self, rows: np.ndarray) -> np.ndarray:
        """rows: shape (rows, inputs), labels as their codes, gaps as nan → what H2O's score0 leaves.

        That is the value, shape (rows, 1), or the chosen code and the probabilities, shape (rows, 1 + answers).
        """
        jpype = running_jvm()
        told = np.empty((len(rows), int(self.scorer.getPredsSize())))
        score0 = self.scorer.score0
        for first in range(0, len(rows), BLOCK):
            given = jpype.JArray.of(np.array(rows[first : first + BLOCK], dtype=np.float64, order="C"))
            answered = jpype.JDouble[len(given), told.shape[1]]
            for row, answer in zip(given, answered, strict=True):
                score0(row, answer)
            told[first : first + BLOCK] = answered
        return told

    @property
    def attributes(self) -> bool:
        """Whether it says what each input added to a prediction: H2O's GBM and XGBoost do, for two classes and for
        values. Its forest does too, but from a base far off the mean prediction (2,658 for 4,200 g of penguin)."""
        jpype = running_jvm()
        able = isinstance(self.scorer, jpype.JClass("hex.genmodel.PredictContributionsFactory"))
        forest = isinstance(self.scorer, jpype.JClass("hex.genmodel.algos.drf.DrfMojoModel"))
        return len(self.answers) <= 2 and able and not forest

    def contributions(self, rows: np.ndarray) -> tuple[list[str], np.ndarray]:
        """Names and what each adds, shape (rows, names), in log-odds or in values; "BiasTerm" is the base.

        rows: as `score` takes them. A label's own column is named by its input, a point, and the label.
        """
        jpype = running_jvm()
        predictor = self.scorer.makeContributionsPredictor()
        names = [str(name) for name in predictor.getContributionNames()]
        doubles = jpype.JArray(jpype.JDouble)
        told = [list(predictor.calculateContributions(doubles(row))) for row in rows]
        return names, np.array(told, dtype=np.float64).reshape(len(rows), len(names))


def start_jvm() -> Any:
    """jpype, with this process's one JVM running. Raises JavaMissingError, H2OMissingError."""
    classes = jar()
    import jpype

    with _starting:
        if not jpype.isJVMStarted():
            # interrupt=False leaves Ctrl-C to Python.
            jpype.startJVM(library(), *OPTIONS, classpath=[classes], convertStrings=False, interrupt=False)
            _handlers.append(Handlers.now())
    return running_jvm()


def running_jvm() -> Any:
    """jpype, once the JVM has started; before every call into it."""
    import jpype

    for handlers in _handlers:
        handlers.hold()
    return jpype
