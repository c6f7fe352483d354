"""GET / and GET /models/NAME: what is served, how good it is, what it looks at, and a form to try it out."""

import asyncio
import json
import math
from typing import Any

from markupsafe import Markup
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from framework.document import Document
from framework.document_data import DocumentError, document_of
from framework.metric import metric
from framework.serving.importance import Importance, importance_of
from framework.serving.live import Live
from framework.serving.page.answered import Told, told_of, why_of
from framework.serving.page.form import FIRST, Field, fields, filled, row_of
from framework.serving.page.waterfall import Waterfall
from framework.serving.page.web import form_of, is_fragment, may, page, piece, whole
from framework.serving.replica import Replica
from framework.serving.served import Served
from framework.serving.source import registered

MOST_BARS = 15  # of the importances
OWN_PLACE = ("Leaderboard", "What it looks at")  # sections of the card that the page shows by themselves


def model_routes(replica: Replica) -> list[Route]:
    async def live(request: Request) -> Live:
        return await replica.opened(request.path_params["name"])

    async def listed(request: Request) -> Response:
        found = [summary(each.served) for _, each in sorted(replica.models.items())]
        return whole(request, "models.html", models=found, many=replica.shelf.told())

    async def one(request: Request) -> Response:
        return await shown(request, (await live(request)).served, {}, None, None)

    async def shown(
        request: Request, served: Served, form: dict[str, str], told: Told | None, why: Waterfall | str | None
    ) -> Response:
        importance, card = await asyncio.gather(
            asyncio.to_thread(importance_of, served), asyncio.to_thread(card_of, served)
        )
        known = _fields(served, importance)
        known = filled(known, form) if form else known
        return whole(
            request,
            "model.html",
            model=summary(served),
            fields=known,
            first=FIRST,
            told=told,
            why=why,
            importance=importance,
            most=MOST_BARS,
            **_parts(card),
            looks_on=may(request, "read"),
            watched=may(request, "read") and replica.logged_to() is not None,
            may_ask=may(request, "predict"),
            steers=may(request, "admin") and served.name in replica.models and bool(registered(served.uri)),
        )

    async def ask(request: Request) -> Response:
        """The answer to a form; the whole page with it for a browser without scripts."""
        asked, form = await live(request), await form_of(request)
        known = filled(await asyncio.to_thread(_known, asked.served), form)
        told = None if any(field.error for field in known) else await told_of(asked, row_of(known))
        if is_fragment(request):
            return piece(request, "_answer.html", title=asked.served.name, told=told, fields=known)
        why = await why_of(asked, row_of(known)) if told else None
        return await shown(request, asked.served, form, told, why)

    async def why(request: Request) -> Response:
        """The waterfall to a form's answer."""
        asked, form = await live(request), await form_of(request)
        known = filled(await asyncio.to_thread(_known, asked.served), form)
        drawn = None if any(field.error for field in known) else await why_of(asked, row_of(known))
        return piece(request, "_why.html", title=asked.served.name, why=drawn)

    return [
        page(replica, "GET", "/", listed, "predict", "read", "train"),
        page(replica, "GET", "/models/{name}", one, "predict", "read"),
        page(replica, "POST", "/models/{name}", ask, "predict"),
        page(replica, "POST", "/models/{name}/why", why, "predict"),
    ]


def summary(served: Served) -> dict[str, Any]:
    """A model in a few words."""
    predictor = served.predictor
    problem, schema = predictor.problem, predictor.schema
    scored, found = metric(problem.metric), predictor.facts.get("validation_score")
    score = float(found) if isinstance(found, int | float) and math.isfinite(found) else None
    return {
        "name": served.name,
        "uri": served.uri,
        "version": served.version,
        "kind": problem.kind,
        "target": problem.target or "the cluster",
        "classes": len(schema.classes),
        "columns": len(schema.columns),
        "metric": scored.title,
        "score": score,
        "contender": str(predictor.facts.get("contender", "")),
    }


def card_of(served: Served) -> Document | None:
    """The model card that was registered with it; None for a folder, or a version from before there were any."""
    path = None if served.folder is None else served.folder / "card.json"
    if path is None or not path.is_file():
        return None
    try:
        return document_of(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, DocumentError):
        return None


def _parts(card: Document | None) -> dict[str, Any]:
    """The card's own text, its leaderboard, and its other sections, as (title, HTML that document.py has escaped)."""
    sections = {} if card is None else {each.title: Markup(each.to_html()) for each in card.sections}
    rest = [(title, inside) for title, inside in sections.items() if title not in OWN_PLACE]
    return {"lead": "" if card is None else card.lead, "leaderboard": sections.get("Leaderboard"), "card": rest}


def _known(served: Served) -> list[Field]:
    return _fields(served, importance_of(served))


def _fields(served: Served, importance: Importance | None) -> list[Field]:
    return fields(served, [name for name, _ in importance.columns] if importance else ())
