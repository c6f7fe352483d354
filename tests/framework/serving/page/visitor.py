"""A visitor of the page without scripts: it follows a form as a browser would."""

import re
from typing import Any
from urllib.parse import urlencode

from tests.framework.serving.http_client import Client


class Visitor:
    """Keeps its cookie, and says where its forms come from. headers: further ones, of each request."""

    def __init__(self, client: Client, **headers: str) -> None:
        self.client, self.headers, self.cookie = client, headers, ""

    def get(self, path: str, **headers: str) -> tuple[int, dict[str, str], str]:
        return self._ask("GET", path, None, headers)

    def post(self, path: str, form: dict[str, Any] | None = None, **headers: str) -> tuple[int, dict[str, str], str]:
        told = {"content-type": "application/x-www-form-urlencoded", "sec-fetch-site": "same-origin", **headers}
        return self._ask("POST", path, urlencode(form or {}).encode(), told)

    def sign_in(self, secret: str) -> "Visitor":
        status, _, body = self.post("/sign-in", {"token": secret})
        assert status == 303, body
        return self

    def _ask(
        self, method: str, path: str, body: bytes | None, headers: dict[str, str]
    ) -> tuple[int, dict[str, str], str]:
        cookies = {"cookie": self.cookie} if self.cookie else {}
        status, told, content = self.client.raw(method, path, body, **self.headers, **cookies, **headers)
        if "set-cookie" in told:
            self.cookie = told["set-cookie"].partition(";")[0]
        return status, told, content.decode()


def fields_of(page: str) -> dict[str, str]:
    """The keys of a form's fields by their labels."""
    labels = re.findall(r'<label for="(c\d+)">(.*?)</label>', page)
    return {re.sub(r"<wbr>", "", name): key for key, name in labels}
