"""What is not there: a page for a person's browser, JSON for a program."""

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from framework.serving.answer import http_error
from framework.serving.guard import is_browser
from framework.serving.page.web import whole


def missing(request: Request, error: Exception) -> Response:
    """An address or a method that is not there, told to whoever asks for it in what it reads."""
    assert isinstance(error, HTTPException)
    if not is_browser(request.scope):
        return http_error(request, error)
    path = request.url.path[:200]
    sentence = f"There is no page at {path}." if error.status_code == 404 else f"{path} is no page to look at."
    page = whole(request, "problem.html", status=error.status_code, problem=sentence)
    page.headers.update(error.headers or {})
    return page
