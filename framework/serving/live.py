"""A served model with the queue in front of it, opened from wherever it is kept."""

from dataclasses import dataclass
from pathlib import Path

from framework.predictor import Predictor
from framework.serving.batcher import Batcher
from framework.serving.served import Answer, Served
from framework.serving.served import Request as Rows


@dataclass(frozen=True)
class Live:
    """A served model with the queue in front of it."""

    served: Served
    batcher: Batcher[Rows, Answer]


def open_model(name: str, *, uri: str, version: str | None, folder: str | None) -> Served:
    """The model of a URI, ready to answer: its first prediction, the slow one, is behind it.

    folder: where its files are on this machine; None: they are fetched from the registry.
    """
    if folder is None:
        from framework.registry import resolve

        folder = str(resolve(uri))
    served = Served(name, uri, version, Predictor.open(folder), Path(folder))
    served.score([[served.example()]])
    return served
