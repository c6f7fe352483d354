"""All addresses of the page."""

from starlette.routing import Route

from framework.serving.page.drift import drift_routes
from framework.serving.page.jobs import job_routes
from framework.serving.page.models import model_routes
from framework.serving.page.signing import sign_routes
from framework.serving.page.steering import steering_routes
from framework.serving.page.traffic import traffic_routes
from framework.serving.page.web import asset_routes
from framework.serving.replica import Replica


def page_routes(replica: Replica) -> list[Route]:
    made = (model_routes, traffic_routes, steering_routes, drift_routes, job_routes, sign_routes)
    return [*(route for make in made for route in make(replica)), *asset_routes()]
