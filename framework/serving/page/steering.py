"""The forms by which an administrator changes a model's traffic on its page: shares, canary, shadow, the champion."""

import asyncio
import math
import time
from collections.abc import Callable
from typing import Any
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from cluster.user_error import UserError
from framework.serving.answer import status_of
from framework.serving.page.web import form_of, page, piece, redirect, whole
from framework.serving.replica import Replica
from framework.serving.request import RequestError
from framework.serving.routes.traffic import direct
from framework.serving.served import Served
from framework.serving.source import registered
from framework.serving.traffic.asked import Asked
from framework.serving.traffic.plan import MOST_ARMS, Canary, TrafficError
from framework.serving.traffic.settling import fresh_rows

SHOWN = 8  # versions, the newest, beside those that answer
DAYS = 30.0  # whose outcomes a new champion is held to
LONGEST = 500  # letters of a reason
TEXTS = ("key", "shadow", "share", "how", "why", "version")


def steering_routes(replica: Replica) -> list[Route]:
    async def shown(request: Request) -> Response:
        served = await _served(request)
        values = await asyncio.to_thread(_values, replica, served, {})
        return piece(request, "_steering.html", title=f"Traffic of {served.name}", problem="", **values)

    async def share(request: Request) -> Response:
        def work(served: Served, form: dict[str, str]) -> None:
            if form.get("do") == "end":
                replica.routing.undirect(served.name)
            else:
                direct(replica, served.name, asked_of(form, str(served.version)))

        return await done(request, work)

    async def crown(request: Request) -> Response:
        who = str(request.scope["bearer"])

        def work(served: Served, form: dict[str, str]) -> None:
            why = reason_of(form, who)
            back = form.get("do") == "rollback"
            version = rolled_back(served, why) if back else promoted(replica, served, form, why)
            direct(replica, served.name, Asked(((str(version), 100.0),)))

        return await done(request, work)

    async def done(request: Request, work: Callable[[Served, dict[str, str]], None]) -> Response:
        """Back to the model's page once it is done; with what was wrong, to the forms as they were filled in."""
        served, form = await _served(request), await form_of(request)
        try:
            await asyncio.to_thread(work, served, form)
        except UserError as error:
            values = await asyncio.to_thread(_values, replica, served, form)
            told = {"title": f"Traffic of {served.name}", "inside": "_steering.html", "problem": str(error)}
            return whole(request, "alone.html", status=status_of(error), **told, **values)
        return redirect(f"/models/{quote(served.name, safe='')}#traffic")

    async def _served(request: Request) -> Served:
        """The model as its name was served with: plans begin from it. Raises TrafficError where none can."""
        name = str(request.path_params["name"])
        replica.source(name)
        base = replica.models.get(name)
        if base is None or not registered(base.served.uri):
            raise TrafficError(f"{name!r} is opened on demand, or from a folder: its traffic cannot be shared out.")
        return base.served

    return [
        page(replica, "GET", "/models/{name}/traffic/change", shown, "admin"),
        page(replica, "POST", "/models/{name}/traffic", share, "admin"),
        page(replica, "POST", "/models/{name}/champion", crown, "admin"),
    ]


def asked_of(form: dict[str, str], base: str) -> Asked:
    """The plan that a form asks for. base: the version that the name is served with, a canary's champion.

    Raises TrafficError for a weight that is no number, and for a canary of more than one new version.
    """
    weights = {name.removeprefix("w-"): text.strip() for name, text in form.items() if name.startswith("w-")}
    arms = [(version, _number(text, f"the weight of version {version}")) for version, text in weights.items() if text]
    arms = [arm for arm in arms if arm[1] > 0]
    if not arms:
        raise TrafficError("no version has a weight above 0: nobody would answer.")
    shadow = form.get("shadow", "")
    canary = None
    if form.get("how") == "canary":
        new = [version for version, _ in arms if version != base]
        if len(new) != 1:
            raise TrafficError(f"step by step one new version comes in, beside version {base}; {len(new)} are chosen.")
        arms, canary = [(base, 0.0), (new[0], 100.0)], Canary()
    share = _number(form.get("share", "").strip() or "100", "the shadow's percent") / 100
    return Asked(
        arms=tuple(arms),
        key=form.get("key", "").strip()[:1_000] or None,
        shadow=(shadow, share) if shadow else None,
        canary=canary,
    )


def promoted(replica: Replica, served: Served, form: dict[str, str], why: str) -> int:
    """Makes a version the registry's champion by the registry's own rule, on the rows that are logged with outcomes.

    Raises RefusedError with the verdict where these rows do not show it to be better and `force` is not ticked;
    TrafficError where nothing is logged to hold it to.
    """
    from framework.monitoring.outcomes import outcomes
    from framework.monitoring.parts import LogError
    from framework.monitoring.performance import joined
    from framework.monitoring.prediction_log import predictions
    from framework.registry import promote
    from framework.serving.traffic.asked import plan_of

    told = form.get("version", "")
    if not told.isdigit():
        raise TrafficError("choose the version that is to be the champion.")
    folder, name = replica.logged_to(), registered(served.uri)
    if folder is None:
        raise TrafficError("no prediction log is kept here, so there are no outcomes: use python -m recipes.promote.")
    plan = plan_of(Asked(((told, 100.0),)), served, local=True)
    try:
        known = joined(predictions(folder, served.name, since=time.time() - 86_400 * DAYS), outcomes(folder))
    except LogError as error:
        raise TrafficError(f"{error} Use python -m recipes.promote with rows of your own.") from error
    if not len(known):
        raise TrafficError("no outcome is known of what was answered here: use python -m recipes.promote.")
    made = promote(name, fresh_rows(plan, known), challenger=int(told), why=why, force="force" in form)
    return made.or_refuse().challenger


def rolled_back(served: Served, why: str) -> int:
    """Makes the champion before the present one champion again; its version."""
    from framework.registry import rollback

    return int(rollback(registered(served.uri), why=why).after or 0)


def reason_of(form: dict[str, str], who: str) -> str:
    """What the history will say. Raises RequestError where a test is to be overruled without a reason."""
    why = form.get("why", "").strip()[:LONGEST]
    if "force" in form and not why:
        raise RequestError("a test that is overruled needs a reason, for the history.", status=422)
    return f"{why} ({who}, on the page)" if why else f"{who}, on the page"


def _values(replica: Replica, served: Served, form: dict[str, str]) -> dict[str, Any]:
    """What the forms show: the versions with their weights as they are, or as they were filled in."""
    from framework.registry import versions

    told = replica.routing.told(served.name)
    answering = {str(arm["version"]): arm["weight"] for arm in told["arms"]}
    known = versions(registered(served.uri))
    listed = [each for place, each in enumerate(known) if place < SHOWN or str(each.version) in answering]
    rows = [
        {
            "version": str(each.version),
            "alias": each.alias,
            "weight": form.get(f"w-{each.version}", _written(answering.get(str(each.version), 0.0))),
        }
        for each in listed[:MOST_ARMS]
    ]
    shadow = told["shadow"] or {}
    now = {
        "key": told["key"] or "",
        "shadow": str(shadow.get("version", "")),
        "share": _written(100 * shadow.get("share", 1.0)),
        "how": "canary" if told["mode"] == "canary" else "once",
        "why": "",
        "version": "",
    }
    filled = now | {name: form[name] for name in TEXTS if name in form}
    return {"name": served.name, "rows": rows, "form": filled, "shared": told["mode"] != "single" or bool(shadow)}


def _written(weight: float) -> str:
    return f"{weight:.4g}" if weight else ""


def _number(text: str, what: str) -> float:
    try:
        value = float(text.replace(",", "."))
    except ValueError:
        value = math.nan
    if not math.isfinite(value) or value < 0:
        raise TrafficError(f"{what} takes a number of 0 or more, such as 10; “{text[:40]}” is none.")
    return value
