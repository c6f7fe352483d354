"""A population of nets whose settings change while they train: the worst take over the best ones' weights.

Population based training: Jaderberg et al. 2017, https://arxiv.org/abs/1711.09846. PB2, where a Gaussian process says
what to change to: Parker-Holder et al. 2020, https://arxiv.org/abs/2002.02518. Both are Ray Tune's schedulers.
"""

import json
import math
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ray import tune
from ray.tune.schedulers import PopulationBasedTraining
from ray.tune.schedulers.pb2 import PB2

from framework.contender import Context
from framework.contest.attempt import pack
from framework.metric import metric
from framework.scratch import scratch
from framework.search_space import Choice, Dimension, Settings, Space, Whole, changes, setting_of, settled
from framework.sweep.member import Member
from framework.sweep.searcher import Books
from framework.sweep.trial import read_fields, written
from framework.sweep.work import Told, TrialError, opened

SEARCHES = ("pbt", "pb2")
SPANS = 10  # parts of the longest training, after each of which nets are compared
LONGEST = 5  # looks of one part
LEAVE_SECONDS = 5.0  # of training that a killed sweep loses of a member, at most, besides its last part
GENE = "gene "  # before a setting's name in Tune's config
STATE, CARD = "state.pt", "place.json"


@dataclass(frozen=True)
class Population:
    """How a population is brought up.

    span: looks between two comparisons. factors: genes are logarithms, for PB2, which knows no other scale.
    """

    space: Space
    span: int
    looks: int
    factors: bool

    @classmethod
    def of(cls, space: Space, looks: int, search: str) -> "Population":
        return cls(space, max(1, min(LONGEST, looks // SPANS)), looks, search == "pb2")

    def genes(self, settings: Settings) -> dict[str, float]:
        """Settings as Tune's schedulers change them."""
        return {GENE + name: self._coded(name, value) for name, value in settings.items()}

    def settings(self, config: dict[str, Any]) -> dict[str, Any]:
        """What they have become, brought back between the ends of the space."""
        return {name: self._read(dimension, config[GENE + name]) for name, dimension in self.space.items()}

    def scheduler(self, search: str) -> Any:
        shared: dict[str, Any] = {"time_attr": "step", "perturbation_interval": self.span, "log_config": False}
        if search == "pb2":
            bounded = [(name, each) for name, each in self.space.items() if not isinstance(each, Choice)]
            ends = {GENE + name: [self._coded(name, each.low), self._coded(name, each.high)] for name, each in bounded}
            return PB2(hyperparam_bounds=ends, **shared)
        drawn = {GENE + name: domain(dimension) for name, dimension in self.space.items()}
        return PopulationBasedTraining(hyperparam_mutations=drawn, **shared)

    def members(self, books: Books, growing: Sequence[Member] = ()) -> tuple[dict[str, Any], list[dict[str, Any]]]:
        """Tune's parameter space and its first points: who is in the population. Tune's own generator takes them:
        its schedulers for populations refuse a searcher. growing: those that are taken up again."""
        configs = [self._config(member.number, member.asked, member.settings) for member in growing]
        while isinstance(asked := books.suggest(str(books.number)), dict):
            configs.append(self._config(asked["number"], asked["settings"], asked["settings"]))
        drawn = {GENE + name: domain(dimension) for name, dimension in self.space.items()}
        numbers, begun = ([config[name] for config in configs] for name in ("number", "asked"))
        return {"number": tune.choice(numbers), "asked": tune.choice(begun), **drawn}, configs

    def _config(self, number: int, asked: Settings, settings: Settings) -> dict[str, Any]:
        return {"number": number, "asked": written(asked), **self.genes(settings)}

    def _coded(self, name: str, value: Any) -> Any:
        dimension = self.space[name]
        coded = self.factors and not isinstance(dimension, Choice) and dimension.log
        return math.log10(value) if coded else value

    def _read(self, dimension: Dimension, gene: Any) -> Any:
        if isinstance(dimension, Choice):
            return gene
        value = 10**gene if self.factors and dimension.log else gene
        clipped = min(max(value, dimension.low), dimension.high)
        return round(clipped) if isinstance(dimension, Whole) else clipped


class Roll(tune.Callback):  # type: ignore[misc]
    """Tells the books what becomes of the members, which change their settings with others under Tune's hand."""

    def __init__(self, books: Books) -> None:
        self.books = books
        self.keys: dict[str, str] = {}  # Tune's id → the books' one

    def __getstate__(self) -> dict[str, Any]:
        """Nothing, as the books."""
        return {}

    def on_trial_start(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        self.keys.setdefault(trial.trial_id, str(trial.config["number"]))

    def on_trial_result(self, iteration: int, trials: list[Any], trial: Any, result: dict[str, Any], **_: Any) -> None:
        self.books.on_trial_result(self.keys[trial.trial_id], result)

    def on_trial_complete(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        self.books.on_trial_complete(self.keys[trial.trial_id], trial.last_result)

    def on_trial_error(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        self.books.on_trial_complete(self.keys[trial.trial_id], error=True)


def domain(dimension: Dimension) -> Any:
    """A dimension in Tune's words."""
    if isinstance(dimension, Choice):
        return tune.choice(list(dimension.options))
    if isinstance(dimension, Whole):
        draw = tune.lograndint if dimension.log else tune.randint
        return draw(dimension.low, dimension.high + 1)
    return (tune.loguniform if dimension.log else tune.uniform)(dimension.low, dimension.high)


def bring_up(config: dict[str, Any], told: Told) -> None:
    """A member of the population, in the process that it runs in: trained span by span, compared after each.

    Where Tune lets it go on from another member, this function begins anew with that one's checkpoint.
    """
    import ray

    plan = told.population
    assert plan is not None
    began, fold, settings = time.time(), opened(told.fold), plan.settings(config)
    left = 0.0  # when it last was
    contender = settled(told.contender, settings)
    scored, lasted = metric(fold.problem.metric), 0.0
    with scratch("trial") as folder:
        place = folder / "checkpoints"
        looks = take_over(place, contender, left=told.ledger.member(config["number"]) if told.ledger else None)
        while looks < plan.looks and time.time() + 1.3 * lasted < told.deadline:
            started = time.time()
            looks += plan.span
            context = Context(
                told.seed, told.deadline, folder, told.threads, told.gpus, checkpoints=str(place), teller=_unheard
            )
            model = settled(contender, {"looks": looks, "patience": 0}).fit(fold, context)
            score = float(scored.score(fold.valid.truth, model.predict(fold.valid.X)))
            if not math.isfinite(score):
                raise TrialError(f"its {scored.title} is {score} on the validation rows")
            found = changes(told.contender, contender.settled(model))
            if ray.get(told.keeper.wants.remote(score)):
                ray.get(told.keeper.offer.remote(config["number"], score, found, pack(model)))
            lasted = time.time() - started
            facts = {"score": score, "seconds": time.time() - began, "found": written(found), "goes_on": True}
            report = {"step": looks, "loss": -scored.sign * score, **facts}
            state = newest(place)
            if told.ledger is not None and time.time() > left + LEAVE_SECONDS:
                asked, left = read_fields(config["asked"]), time.time()
                told.ledger.leave(Member(config["number"], looks, asked, settings, report, state))
            with tempfile.TemporaryDirectory(dir=folder) as kept:
                hand_on(state, Path(kept), looks)
                tune.report(report, checkpoint=tune.Checkpoint.from_directory(kept))


def take_over(place: Path, contender: Any, *, left: Member | None) -> int:
    """Puts the checkpoint that Tune gave this member where its training looks for one; without one, what it `left`
    before the sweep was killed. Returns the looks it had."""
    from ray import tune

    from framework.training.shelf import shelf_of
    from framework.training.state_shelf import StateShelf, pack_state, unpack_state

    given = tune.get_checkpoint()
    if given is not None:
        with given.as_directory() as folder:
            state = unpack_state((Path(folder) / STATE).read_bytes())
            looks = int(json.loads((Path(folder) / CARD).read_text(encoding="utf-8"))["looks"])
    elif left is not None:
        state, looks = unpack_state(left.state), left.looks
    else:
        return 0
    state["run"] = ""  # of any settings
    for group in state["optimizer"]["param_groups"]:
        if group["weight_decay"]:
            group["weight_decay"] = setting_of(contender, "weight_decay")
    StateShelf(shelf_of(str(place)).uri).write(pack_state(state))
    return looks


def newest(place: Path) -> bytes:
    """The newest checkpoint of a member's training."""
    from framework.training.shelf import shelf_of
    from framework.training.state_shelf import StateShelf

    return StateShelf(shelf_of(str(place)).uri).newest(_unheard)


def hand_on(state: bytes, folder: Path, looks: int) -> None:
    """A member's checkpoint, as Tune keeps it."""
    (folder / STATE).write_bytes(state)
    (folder / CARD).write_text(json.dumps({"looks": looks}), encoding="utf-8")


def _unheard(sentence: str) -> None:
    """Every span goes on from a checkpoint; nobody needs to be told."""
