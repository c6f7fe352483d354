"""POST /api/v1/data/synthetic: rows that were never observed, drawn at a request by synthesizers that were saved.

Nothing of SDV is opened here: its licence forbids to offer rows as a service, and its models are never saved.
"""

import asyncio
import secrets
import time
from collections.abc import AsyncIterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from framework.serving.request import RequestError, read_body
from synthetic.condition_error import ConditionError
from synthetic.fitted import Fitted, SamplingError
from synthetic.service.asked import MOST_BYTES, Asked, parse_asked
from synthetic.service.buffer import PIECE, Buffer
from synthetic.service.described import model_of, operation
from synthetic.service.written import FORMATS, Writing
from synthetic.sharded import shard
from synthetic.synthesizer import seeded

MOST_ROWS = 100_000  # of one request
BUFFERED = 10_000
RECENT = 1.0  # seconds after a draw for which others are awaited
MOST_DRAWING = 32  # requests that are drawn for at once; more are told to come back
SEED = "x-synthetic-seed"


@dataclass(frozen=True)
class Open:
    """A synthesizer that is asked by its name, and the rows drawn ahead."""

    fitted: Fitted
    buffer: Buffer


class Service:
    """Draws for many requests in one thread, a thousand rows of each in turn: small requests wait for no large one, and
    sums are added up in one order, so that the same seed gives the same rows.

    models: name → a folder that `Fitted.save` wrote. most_rows: of one request. buffered: rows of each drawn ahead, for
    who asks for neither a seed nor conditions.
    Raises SynthesizerStoreError for a folder that is none.
    """

    def __init__(self, models: Mapping[str, str], *, most_rows: int = MOST_ROWS, buffered: int = BUFFERED) -> None:
        self._executor = ThreadPoolExecutor(1, thread_name_prefix="synthetic")
        self._most_rows, self._drawing, self._drew = most_rows, 0, -RECENT
        self._models: dict[str, Open] = {}
        for name, folder in models.items():
            fitted = Fitted.load(Path(folder))
            self._models[name] = Open(fitted, Buffer(_Endless(fitted), self._executor, buffered, self._busy))
        for each in self._models.values():
            each.buffer.fill()

    async def answer(self, request: Request) -> Response:
        """As `data.Maker.answer`."""
        declared = request.headers.get("content-length")
        asked = parse_asked(await read_body(request.stream(), declared=declared, most=MOST_BYTES), most=self._most_rows)
        found = self._named(asked.model)
        writing = FORMATS[asked.format](found.fitted.table)
        any_rows = asked.seed is None and not asked.conditions and asked.rows <= PIECE
        if any_rows and (ready := found.buffer.take(asked.rows)) is not None:
            return Response(await asyncio.to_thread(_whole, writing, ready), media_type=writing.media_type)
        if self._drawing >= MOST_DRAWING:
            raise RequestError("too many rows are being drawn. Try again in a second.", status=503, retry_after=1.0)
        return await self._drawn(found.fitted, asked, writing)

    def told(self) -> dict[str, Any]:
        """As `data.Maker.told`: the models with their columns, and the limits."""
        limits = {"rows": self._most_rows, "bytes": MOST_BYTES, "drawn_at_once": MOST_DRAWING}
        models = {name: model_of(each.fitted) for name, each in sorted(self._models.items())}
        return {"models": models, "formats": list(FORMATS), "limits": limits}

    def described(self) -> dict[str, Any]:
        """As `data.Maker.described`."""
        return operation({name: each.fitted for name, each in sorted(self._models.items())}, self._most_rows)

    def _named(self, name: str | None) -> Open:
        if name is None and len(self._models) == 1:
            return next(iter(self._models.values()))
        if name not in self._models:
            told = f"no synthesizer {name[:200]!r} is served here" if name else "there are several synthesizers"
            raise RequestError(f'{told}. Pass "model": one of {", ".join(sorted(self._models))}.', status=404)
        return self._models[name]

    async def _drawn(self, fitted: Fitted, asked: Asked, writing: Writing) -> Response:
        """The first piece is drawn before the answer begins: what cannot be had is told in its status."""
        seed = secrets.randbits(48) if asked.seed is None else asked.seed
        heads = {SEED: str(seed)}
        try:
            first = await self._piece(fitted, asked, seed, 0, writing)
        except (ConditionError, SamplingError) as error:
            raise RequestError(str(error), status=422) from error
        if asked.rows <= PIECE:
            return Response(first + writing.end(), media_type=writing.media_type, headers=heads)
        further = self._further(fitted, asked, seed, writing, first)
        return StreamingResponse(further, media_type=writing.media_type, headers=heads)

    async def _further(
        self, fitted: Fitted, asked: Asked, seed: int, writing: Writing, first: bytes
    ) -> AsyncIterator[bytes]:
        """What follows is drawn as the client takes it; where that fails the connection ends without its last chunk."""
        yield first
        for number in range(1, -(-asked.rows // PIECE)):
            yield await self._piece(fitted, asked, seed, number, writing)
        if rest := writing.end():
            yield rest

    async def _piece(self, fitted: Fitted, asked: Asked, seed: int, number: int, writing: Writing) -> bytes:
        """As `sharded.write_rows` has it in shards of PIECE rows."""
        rows = min(PIECE, asked.rows - number * PIECE)

        def work() -> bytes:
            return writing.piece(shard(fitted, number, rows, seed=seed, conditions=asked.conditions)[0])

        self._drawing += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._executor, work)
        finally:
            self._drawing -= 1
            self._drew = time.monotonic()

    def _busy(self) -> bool:
        """Whether rows are drawn for a request, or were a moment ago."""
        return self._drawing > 0 or time.monotonic() - self._drew < RECENT


class _Endless:
    """Draws other rows at each call, from a seed that nobody knows."""

    def __init__(self, fitted: Fitted) -> None:
        self._fitted, self._secret, self._count = fitted, secrets.randbits(62), 0

    def __call__(self, rows: int) -> pd.DataFrame:
        self._count += 1
        seed = int(seeded(self._secret, self._count).integers(2**62))
        return shard(self._fitted, 0, rows, seed=seed, conditions={})[0]


def _whole(writing: Writing, rows: pd.DataFrame) -> bytes:
    return writing.piece(rows) + writing.end()
