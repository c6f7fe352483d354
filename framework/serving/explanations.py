"""Explanations in their turn: one at a time in this process, beside the predictions, and few that wait."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from cluster.user_error import UserError
from framework.serving.explaining import Explained, explanation
from framework.serving.request import RequestError, reason
from framework.serving.served import Served

MOST_WAITING = 4  # each may take seconds

_thread = ThreadPoolExecutor(1, thread_name_prefix="explaining")
_asked_for: set[asyncio.Future[dict[str, Any]]] = set()


async def explained(served: Served, asked: Explained) -> dict[str, Any]:
    """As `explaining.explanation`. Raises RequestError too where the model chokes on a row, or too many wait (503)."""
    if len(_asked_for) >= MOST_WAITING:
        raise RequestError("too many explanations are waiting.", status=503, retry_after=asked.seconds)
    future = asyncio.get_running_loop().run_in_executor(_thread, _explained, served, asked)
    _asked_for.add(future)
    future.add_done_callback(_asked_for.discard)
    return await future


def _explained(served: Served, asked: Explained) -> dict[str, Any]:
    try:
        return explanation(served, asked)
    except (ValueError, ArithmeticError) as error:  # the border to the model: a row that it chokes on
        if isinstance(error, UserError):
            raise
        raise RequestError(f"model {served.name} cannot explain these rows: {reason(error)}", status=422) from error
