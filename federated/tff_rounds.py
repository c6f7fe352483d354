"""The far half of `federated.federated_tff`: runs in the Env "tff", whose TensorFlow, numpy and Keras are of 2023.

At its top it imports only what both interpreters have.
"""

import contextlib
import math
import time
from collections.abc import Sequence
from typing import Any

import numpy as np

from cluster.far import Tell
from cluster.wire import Arrays, Facts
from federated.message import Message
from federated.tff_average import Average
from federated.tff_masks import Call, MaskedRounds
from federated.tff_processes import end
from federated.tff_silos import Host


def federate(
    arrays: Arrays,
    *,
    parcels: Sequence[Any],
    tell: Tell,
    settings: Facts,
    names: list[str],
    hosts: int,
    cpus: float,
    patience: int,
    rounds: int,
    least: int,
    deadline: float,
    registry: dict[str, str],
    counts: dict[str, int],
) -> tuple[Arrays, Facts]:
    """parcels: the rows of each silo of `names`. Returns the weights after the best round under "0", "1", …, and the
    facts "rounds", after how many of them, "made", how many there were, "plan", how the weights answer, "notes", of
    silos that were left out of a sum, and "processes": the ids of all that TensorFlow ran in, none of which is left
    when it returns.

    registry: silo → its public key in hexadecimal digits, where updates are summed under masks; counts: what each is
    counted by there. Both empty where silos tell their updates as they are."""
    import ray

    known = {silo: bytes.fromhex(key) for silo, key in registry.items()}
    hosting = [
        ray.remote(Host).options(num_cpus=cpus).remote(settings, names[k::hosts], [*parcels[k::hosts]], least, known)
        for k in range(hosts)
    ]
    hosted = {name: hosting[place % hosts] for place, name in enumerate(names)}
    alike = settings["aggregator"] == "private"
    rounds_of = MaskedRounds(_caller(hosted), known, counts, alike=alike) if known else OpenRounds(hosting)
    averaging = ray.remote(Average).options(num_cpus=0).remote(settings, len(names))
    actors = [*hosting, averaging]
    processes: list[int] = []
    try:
        shape = ray.get(hosting[0].shape.remote())
        plan, *_, weights = ray.get([actor.start.remote(shape) for actor in actors])
        processes = [pid for each in ray.get([actor.processes.remote() for actor in actors]) for pid in each]
        best, best_round, best_score, began = weights, 0, math.inf, time.time()
        for number in range(rounds + 1):
            last = number == rounds or _late(began, number, deadline)
            score, answers = rounds_of.round(weights, number, last=last)
            if score is None or score < best_score:
                best, best_round, best_score = weights, number, math.inf if score is None else score
            if score is not None:
                tell(round=number, score=score)
            if last or (patience and number - best_round >= patience):
                break
            weights = ray.get(averaging.combine.remote(answers))
        facts = {"rounds": best_round, "made": number, "plan": plan, "notes": rounds_of.notes, "processes": processes}
        return Message.from_bytes(best).groups["weights"], facts
    except ray.exceptions.RayTaskError as error:
        raise error.cause from None  # as what the actor raised
    finally:
        for actor in actors:
            ray.kill(actor)
        end(processes)


class OpenRounds:
    """Rounds of which the coordinator sees each silo's update."""

    def __init__(self, hosting: list[Any]) -> None:
        self._hosting, self.notes = hosting, list[str]()

    def round(self, sent: bytes, number: int, *, last: bool) -> tuple[float | None, list[bytes]]:
        """As `MaskedRounds` has it, but the updates of all."""
        import ray

        told = ray.get([host.train.remote(sent, number, last) for host in self._hosting])
        answers = [data for each in told for data in each]
        return _score(answers), answers


def _caller(hosted: dict[str, Any]) -> Call:
    """Asks each silo's host. The silos of one whose process is gone do not answer."""
    import ray

    def call(questions: dict[str, bytes]) -> dict[str, bytes]:
        by_host: dict[Any, dict[str, bytes]] = {}
        for silo, question in questions.items():
            by_host.setdefault(hosted[silo], {})[silo] = question
        answers: dict[str, bytes] = {}
        for running in [host.answer.remote(own) for host, own in by_host.items()]:
            with contextlib.suppress(ray.exceptions.RayActorError):
                answers |= ray.get(running)
        return answers

    return call


def _score(answers: list[bytes]) -> float | None:
    """The mean of the silos' validation losses, each counted by its rows; None where nobody told one."""
    facts = [Message.from_bytes(data).facts for data in answers]
    told = [(fact["valid_loss"], fact["valid_rows"]) for fact in facts if "valid_loss" in fact]
    return float(np.average([loss for loss, _ in told], weights=[rows for _, rows in told])) if told else None


def _late(began: float, done: int, deadline: float) -> bool:
    if not done or deadline == math.inf:
        return False
    return deadline - time.time() < 3 * (time.time() - began) / done + 0.1 * (deadline - began)
