"""POST /api/v1/batch/NAME: a file in, a file out, as a job; GET /api/v1/jobs/ID: how far it is."""

import asyncio
import time
from dataclasses import dataclass
from pathlib import Path

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from framework.serving.answer import answer
from framework.serving.asking import body_of, heads_of
from framework.serving.batch_runner import wake
from framework.serving.jobs import Job, Jobs
from framework.serving.replica import Replica
from framework.serving.request import RequestError, parse_json
from framework.serving.roots import input_file, output_file
from framework.serving.routes.guarded import guarded

MOST_WAITING = 100  # jobs
PAUSE = 5.0  # seconds between two times that the runner is woken by those who look
WAY_OUT = 'Send {"data": PATH, "out": PATH}.'


@dataclass(frozen=True)
class Files:
    """What a batch request asks for, not yet confined."""

    data: str
    out: str


def job_routes(replica: Replica) -> list[Route]:
    woken = [0.0]  # when those who look woke the runner last, on the monotonic clock

    def roots() -> list[str]:
        return [str(root) for root in replica.configuration.get("roots", [])]

    def begin(name: str, files: Files) -> Job:
        places = input_file(files.data, roots()), output_file(files.out, roots())
        jobs = Jobs(roots()[0])
        if len(unfinished := jobs.unfinished()) >= MOST_WAITING:
            raise RequestError(f"{len(unfinished)} jobs are waiting.", status=503, retry_after=60)
        if str(places[1]) in {job.out for job in unfinished}:
            raise RequestError(f"{places[1]} is another job's. Pass another name.", status=409)
        try:
            job = jobs.add(name, dict(replica.configuration["models"][name]), data=places[0], out=places[1])
        except OSError as error:
            raise RequestError(f"the job cannot be kept in {jobs.folder}: {error.strerror}.", status=503) from error
        wake(roots())
        return job

    async def batch(request: Request) -> Response:
        name = request.path_params["name"]
        replica.live(name)
        files = await body_of(request, heads_of(request), parse_files)
        job = await asyncio.to_thread(begin, name, files)
        return answer(job.told(), status=202, headers={"location": f"/api/v1/jobs/{job.id}"})

    def look(id: str) -> Job:
        found = Jobs(Path(roots()[0])).job(id) if roots() else None
        if found is None:
            raise RequestError(f"there is no job {id[:40]!r}.", status=404)
        if found.ended is None and time.monotonic() - woken[0] > PAUSE:
            woken[0] = time.monotonic()
            wake(roots())  # the runner's process may have died, and a new one has to be told
        return found

    async def job(request: Request) -> Response:
        return answer((await asyncio.to_thread(look, request.path_params["id"])).told())

    return [
        guarded("POST", "/api/v1/batch/{name}", batch, "predict"),
        guarded("GET", "/api/v1/jobs/{id}", job, "predict", "read"),
    ]


def parse_files(body: bytes) -> Files:
    """Raises RequestError for anything but two texts, `data` and `out`."""
    content = parse_json(body, way_out=WAY_OUT)
    if not isinstance(content, dict) or content.keys() != {"data", "out"}:
        raise RequestError(f"the body holds something else than data and out. {WAY_OUT}")
    if not all(isinstance(value, str) for value in content.values()):
        raise RequestError(f"data and out are texts. {WAY_OUT}")
    return Files(content["data"], content["out"])
