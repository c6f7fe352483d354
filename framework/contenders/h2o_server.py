"""What is asked of a running H2O, over its REST interface: rows in, AutoML, its leaderboard, a model out."""

import json
import math
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from cluster.user_error import UserError
from framework.contenders.h2o_node import USER

ANSWER_SECONDS = 30.0  # within which H2O answers any question; under load it is slow
POLL_SECONDS = 0.2
EXTENSIONS = json.dumps(["algo", "training_time_ms"])  # the seconds a prediction takes it would measure: too slow here
RUNNING = ("CREATED", "RUNNING")


class H2OError(UserError):
    """H2O refused, or ended without a model."""


class H2OSilentError(H2OError):
    """H2O does not answer, or no more."""


class H2OServer:
    """H2O as its client sees it. Every method raises H2OSilentError when it is gone, H2OError when it refuses.

    late: no answer is waited for beyond this moment, in seconds of time.time().
    """

    def __init__(self, address: str, password: str, *, late: float = math.inf) -> None:
        import requests

        self.late = late
        self.url = f"http://{address}"
        self.session = requests.Session()
        self.session.trust_env = False  # a proxy is not asked for the way to a neighbour
        self.session.auth = (USER, password)

    def close(self) -> None:
        self.session.close()

    def members(self) -> int:
        """How many nodes the cloud has, by common consent; 0 while it forms."""
        told = self._ask("GET", "/3/Cloud")
        return int(told["cloud_size"]) if told["consensus"] and told["cloud_healthy"] else 0

    def take(self, path: Path, name: str, kinds: Mapping[str, str]) -> str:
        """Uploads a Parquet file; the job that reads it into table `name`. kinds: column → "Numeric" or "Enum"."""
        with path.open("rb") as file:
            self._ask("POST", "/3/PostFile", params={"destination_frame": path.name}, data=file)
        sources = json.dumps([path.name])
        setup = self._ask("POST", "/3/ParseSetup", data={"source_frames": sources})
        asked = {
            "destination_frame": name,
            "source_frames": sources,
            "parse_type": "PARQUET",
            "separator": setup["separator"],
            "check_header": setup["check_header"],
            "chunk_size": setup["chunk_size"],
            "number_columns": len(kinds),
            "single_quotes": False,
            "column_names": json.dumps(list(kinds)),
            "column_types": json.dumps(list(kinds.values())),
            "delete_on_done": True,
        }
        return _job(self._ask("POST", "/3/Parse", data=asked))

    def automl(self, asked: Mapping[str, Any]) -> tuple[str, str]:
        """Starts AutoML as asked: (its job, the project that its leaderboard stands under)."""
        told = self._ask("POST", "/99/AutoMLBuilder", json=asked)
        return _job(told), str(told["job"]["dest"]["name"])

    def running(self, job: str) -> bool:
        """Raises H2OError with H2O's own words when the job failed."""
        told = self._ask("GET", f"/3/Jobs/{job}")["jobs"][0]
        if told["status"] == "FAILED":
            raise H2OError(f"H2O failed: {_first(told.get('exception') or told.get('msg') or 'it does not say why')}.")
        return told["status"] in RUNNING

    def leaderboard(self, project: str) -> list[dict[str, Any]]:
        """H2O's own ranking of its models so far, best first."""
        told = self._ask("GET", f"/99/Leaderboards/{project}", params={"extensions": EXTENSIONS})
        names = [column["name"] for column in told["table"]["columns"]][1:]
        return [dict(zip(names, row[1:], strict=True)) for row in zip(*told["table"]["data"], strict=True)]

    def mojo(self, model: str) -> bytes:
        """A model's archive for scoring without H2O."""
        return bytes(self._answer("GET", f"/3/Models/{model}/mojo").content)

    def _ask(self, method: str, path: str, **request: Any) -> dict[str, Any]:
        told: dict[str, Any] = self._answer(method, path, **request).json()
        return told

    def _answer(self, method: str, path: str, **request: Any) -> Any:
        import requests

        patience = max(0.1, min(ANSWER_SECONDS, self.late - time.time()))
        try:
            answer = self.session.request(method, self.url + path, timeout=patience, **request)
        except requests.RequestException as error:
            raise H2OSilentError(f"H2O at {self.url} does not answer ({type(error).__name__}).") from error
        if answer.status_code != 200:
            raise H2OError(f"H2O refused {method} {path} with {answer.status_code}: {_reason(answer)}.")
        return answer


def wait(server: H2OServer, job: str, *, until: float, meanwhile: Callable[[], None]) -> bool:
    """Waits for a job to end; False when it still runs at `until` (in seconds of time.time()).

    meanwhile: called once a poll; what it raises ends the waiting.
    """
    while server.running(job):
        if time.time() > until:
            return False
        meanwhile()
        time.sleep(POLL_SECONDS)
    return True


def _job(told: Mapping[str, Any]) -> str:
    return str(told["job"]["key"]["name"])


def _reason(answer: Any) -> str:
    try:
        return _first(answer.json()["msg"])
    except (ValueError, KeyError, TypeError):
        return str(answer.reason)


def _first(words: str) -> str:
    """The first line that says something."""
    lines = [line.strip() for line in words.splitlines() if line.strip() and "ERROR MESSAGE" not in line]
    return lines[0].rstrip(".") if lines else "it does not say why"
