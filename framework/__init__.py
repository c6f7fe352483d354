"""The straight path from a table to a served winner.

load → Split, compete → Leaderboard, explain → Explanation, register → ModelVersion, serve → Endpoint.

Names load their files when they are first used, so that a worker pays only for what it touches.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from framework.contender import Contender as Contender
    from framework.contender import Context as Context
    from framework.contender import Model as Model
    from framework.contest.compete import compete as compete
    from framework.data.load import load as load
    from framework.data.split import Split as Split
    from framework.data.stream import stream as stream
    from framework.explanation import explain as explain
    from framework.leaderboard import Leaderboard as Leaderboard
    from framework.lineup import line_up as line_up
    from framework.monitoring.health import monitor as monitor
    from framework.predictor import Predictor as Predictor
    from framework.problem import Problem as Problem
    from framework.progress import watch as watch
    from framework.recipe import run as run
    from framework.registry import promote as promote
    from framework.registry import register as register
    from framework.serving.endpoint import serve as serve

HOMES = {
    "Contender": "framework.contender",
    "Context": "framework.contender",
    "Leaderboard": "framework.leaderboard",
    "Model": "framework.contender",
    "Predictor": "framework.predictor",
    "Problem": "framework.problem",
    "Split": "framework.data.split",
    "compete": "framework.contest.compete",
    "explain": "framework.explanation",
    "line_up": "framework.lineup",
    "load": "framework.data.load",
    "monitor": "framework.monitoring.health",
    "promote": "framework.registry",
    "register": "framework.registry",
    "run": "framework.recipe",
    "serve": "framework.serving.endpoint",
    "stream": "framework.data.stream",
    "watch": "framework.progress",
}
__all__ = list(HOMES)


def __getattr__(name: str) -> Any:
    if name not in HOMES:
        raise AttributeError(f"module 'framework' has no attribute {name!r}")
    return getattr(importlib.import_module(HOMES[name]), name)
