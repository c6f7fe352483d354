"""Jobs: POST /api/v1/batch/NAME, a file in, a file out; POST /api/v1/models/train, a contest. GET and DELETE
/api/v1/jobs/ID: how far it is, and its end; GET /api/v1/jobs: all of them."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from framework.serving.answer import answer
from framework.serving.asking import body_of, heads_of
from framework.serving.job_runner import wake
from framework.serving.jobs import Job, Jobs, Kind
from framework.serving.replica import Replica
from framework.serving.request import RequestError, parse_json, shown
from framework.serving.roots import input_file, output_file
from framework.serving.routes.guarded import guarded
from framework.serving.training.training import Training, confined, parse_training

MOST_WAITING: dict[Kind, int] = {"batch": 100, "train": 50}  # jobs that have not ended
MOST_LISTED = 1_000
LISTED = 100  # by default
PAUSE = 5.0  # seconds between two times that the runner is woken by those who look
WAY_OUT = 'Send {"data": PATH, "out": PATH}.'


@dataclass(frozen=True)
class Files:
    """What a batch request asks for, not yet confined."""

    data: str
    out: str


def job_routes(replica: Replica) -> list[Route]:
    desk = Desk(lambda: [str(root) for root in replica.configuration.get("roots", [])])

    async def batch(request: Request) -> Response:
        name = request.path_params["name"]
        replica.source(name)
        files = await body_of(request, heads_of(request), parse_files)
        source = replica.source(name)
        return _accepted(await asyncio.to_thread(desk.score, name, source, files))

    async def train(request: Request) -> Response:
        training = await body_of(request, heads_of(request), parse_training)
        return _accepted(await asyncio.to_thread(desk.train, training))

    async def one(request: Request) -> Response:
        job = await asyncio.to_thread(desk.look, request.path_params["id"], kinds_of(request))
        return answer(job.told())

    async def listed(request: Request) -> Response:
        found = await asyncio.to_thread(desk.listed, _most(request), kinds_of(request))
        return answer({"jobs": [job.told() for job in found]})

    async def cancel(request: Request) -> Response:
        may = kinds_of(request, ask=True)
        job = await asyncio.to_thread(desk.cancel, request.path_params["id"], kinds_of(request), may)
        return answer(job.told() | {"message": "is being cancelled"}, status=202)

    return [
        guarded("POST", "/api/v1/batch/{name}", batch, "predict"),
        guarded("POST", "/api/v1/models/train", train, "train"),
        guarded("GET", "/api/v1/jobs", listed, "predict", "read", "train"),
        guarded("GET", "/api/v1/jobs/{id}", one, "predict", "read", "train"),
        guarded("DELETE", "/api/v1/jobs/{id}", cancel, "predict", "train"),
    ]


class Desk:
    """Where jobs are handed in and asked for. roots: the folders that are open to requests now."""

    def __init__(self, roots: Callable[[], list[str]]) -> None:
        self._roots = roots
        self._woken = 0.0  # when those who look woke the runner last, on the monotonic clock

    def score(self, name: str, source: dict[str, Any], files: Files) -> Job:
        """A new job that scores a file. Raises RequestError for a place outside or taken, or too many jobs."""
        roots = self._roots()
        data, out = input_file(files.data, roots), output_file(files.out, roots)
        jobs = Jobs(roots[0])
        if str(out) in {job.task["out"] for job in self._room(jobs, "batch")}:
            raise RequestError(f"{out} is another job's. Pass another name.", status=409)
        task = {"model": name, "version": source.get("version"), "data": str(data), "out": str(out), "source": source}
        return self._begin(jobs, lambda: jobs.add("batch", name, task))

    def train(self, training: Training) -> Job:
        """A new job that holds a contest. Raises RequestError for data outside, or too many jobs."""
        roots = self._roots()
        if not roots:
            raise RequestError(
                "no folder is open to requests. Start the server with roots: recipes.serve --roots DIR.", status=403
            )
        task = training.to_json() | {"data": confined(training.data, roots)}
        jobs = Jobs(roots[0])
        self._room(jobs, "train")
        name, seconds = training.name or training.target, 60 * training.minutes
        return self._begin(jobs, lambda: jobs.add("train", name, task, seconds=seconds))

    def look(self, id: str, kinds: frozenset[Kind]) -> Job:
        """The job of this id, of one of these kinds. Raises RequestError (404) where there is none."""
        roots = self._roots()
        found = Jobs(Path(roots[0])).job(id) if roots else None
        if found is None or found.kind not in kinds:
            raise RequestError(f"there is no job {id[:40]!r}.", status=404)
        if found.ended is None:
            self._awake()
        return found

    def listed(self, most: int, kinds: frozenset[Kind]) -> list[Job]:
        """The newest jobs of these kinds, the newest first."""
        roots = self._roots()
        found = [job for job in Jobs(roots[0]).newest(MOST_LISTED) if job.kind in kinds] if roots else []
        if any(job.ended is None for job in found):
            self._awake()
        return found[:most]

    def cancel(self, id: str, kinds: frozenset[Kind], may: frozenset[Kind]) -> Job:
        """Leaves word that a job is not wanted. Raises RequestError: 409 for one that has ended; 403 for one of a kind
        that the asker sees and may not start."""
        job = self.look(id, kinds)
        if job.kind not in may:
            raise RequestError(f"the job is a {job.kind}, which this token may not end.", status=403)
        if job.ended is not None:
            raise RequestError(f"the job has ended already: {job.state}.", status=409)
        Jobs(self._roots()[0]).cancel(job)
        self._wake()
        return job

    def _room(self, jobs: Jobs, kind: Kind) -> list[Job]:
        """The unfinished jobs of a kind. Raises RequestError (503) where there are too many for one more."""
        unfinished = [job for job in jobs.unfinished() if job.kind == kind]
        if len(unfinished) >= MOST_WAITING[kind]:
            raise RequestError(f"{len(unfinished)} {kind} jobs are waiting.", status=503, retry_after=60)
        return unfinished

    def _begin(self, jobs: Jobs, add: Callable[[], Job]) -> Job:
        try:
            job = add()
        except OSError as error:
            raise RequestError(f"the job cannot be kept in {jobs.folder}: {error.strerror}.", status=503) from error
        self._wake()
        return job

    def _awake(self) -> None:
        """Wakes the runner now and then: its process may have died, and a new one has to be told."""
        if time.monotonic() - self._woken > PAUSE:
            self._wake()

    def _wake(self) -> None:
        from framework.tracking import address

        self._woken = time.monotonic()
        wake(self._roots(), address())


def parse_files(body: bytes) -> Files:
    """Raises RequestError for anything but two texts, `data` and `out`."""
    content = parse_json(body, way_out=WAY_OUT)
    if not isinstance(content, dict) or content.keys() != {"data", "out"}:
        raise RequestError(f"the body holds something else than data and out. {WAY_OUT}")
    if not all(isinstance(value, str) for value in content.values()):
        raise RequestError(f"data and out are texts. {WAY_OUT}")
    return Files(content["data"], content["out"])


def _accepted(job: Job) -> Response:
    return answer(job.told(), status=202, headers={"location": f"/api/v1/jobs/{job.id}"})


def kinds_of(request: Request, *, ask: bool = False) -> frozenset[Kind]:
    """Which jobs an asker sees; ask: which it may start, and so end. Who may only ask models sees no contests."""
    roles = request.scope["roles"]
    batch: set[Kind] = {"batch"} if roles & ({"predict"} if ask else {"predict", "read"}) else set()
    train: set[Kind] = {"train"} if roles & ({"train"} if ask else {"train", "read"}) else set()
    return frozenset(batch | train)


def _most(request: Request) -> int:
    """How many jobs are asked for. Raises RequestError for what is no number of them."""
    told = request.query_params.get("limit", str(LISTED))
    if not (told.isascii() and told.isdigit() and 1 <= int(told[:10]) <= MOST_LISTED):
        raise RequestError(f"limit is {shown(told)}; it takes 1 to {MOST_LISTED:,}.")
    return int(told)
