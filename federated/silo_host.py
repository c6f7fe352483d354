"""The actor that owns silos, and how several of them answer at once: each line of an audit is on the disk before any
answer leaves."""

import logging
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

from federated.border import folder_name
from federated.silo import Silo

log = logging.getLogger(__name__)

Answer = bytes | str  # a message; or why there is none


class SiloHost:
    """One silo where they are to stand apart, several in a simulation.

    folder: below which each silo has one of its own; None: they write nothing. threads: of torch. kind: of silos.
    """

    def __init__(self, folder: str | None = None, threads: int = 1, kind: type[Silo] = Silo) -> None:
        import torch

        torch.set_num_threads(threads)
        self._folder, self._kind = folder, kind
        self._silos: dict[str, Silo] = {}

    def answers(self, silos: Sequence[str], sources: Sequence[list[Any]], request: bytes) -> list[Answer] | Answer:
        """What each of them answers, in their order; of a single one it is no list, as Ray has it. One that cannot
        be opened, or cannot write down what it would send, takes no other one with it.

        sources: of each, references to where its rows come from and, for secure jobs, to its identity, in a list;
        opened at the first question.
        """
        told: dict[str, Answer | Exception] = {}
        opened: dict[str, Silo] = {}
        for silo, source in zip(silos, sources, strict=True):
            try:
                opened[silo] = self._opened(silo, source)
            except Exception as error:  # the silo's own border
                told[silo] = error
        told |= answers(opened, request)
        sent = [_sayable(silo, told[silo]) for silo in silos]
        return sent if len(sent) > 1 else sent[0]

    def _opened(self, silo: str, source: list[Any]) -> Silo:
        import ray

        if silo not in self._silos:
            folder = Path(self._folder) / folder_name(silo) if self._folder else None
            self._silos[silo] = self._kind(ray.get(source[0]), folder, *map(ray.get, source[1:]))
        return self._silos[silo]


def answers(silos: Mapping[str, Silo], request: bytes) -> dict[str, bytes | Exception]:
    """Of silos of one process, one after the other: while one works, what the one before has written down goes to the
    disk, and all of it is there before this returns. In the place of an answer that could not be written down stands
    what was raised."""
    told: dict[str, bytes | Exception] = {}
    settling: dict[str, Future[None]] = {}
    with ThreadPoolExecutor(1, thread_name_prefix="audit") as disk:
        for name, silo in silos.items():
            try:
                told[name] = silo.recorded(request)
            except Exception as error:  # the silo's own border
                told[name] = error
                continue
            settling[name] = disk.submit(silo.settle)
    for name, settled in settling.items():
        if isinstance(failed := settled.exception(), Exception):
            told[name] = failed
    return told


def _sayable(silo: str, told: bytes | str | Exception) -> Answer:
    if not isinstance(told, Exception):
        return told
    log.error("silo %r cannot answer", silo, exc_info=told)
    return f"it cannot answer ({type(told).__name__})"
