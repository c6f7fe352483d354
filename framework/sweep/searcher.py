"""What to try next: Optuna's samplers behind Ray Tune's interface, and the books of the sweep.

Tune's own OptunaSearch cannot say that a trial was pruned, take up a list of earlier trials with their rungs, or end a
sweep for want of time, so its interface is filled in here.
"""

import itertools
import math
import random
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import optuna
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.trial import TrialState
from ray.tune.search import Searcher

from framework.search_space import Choice, Dimension, Setting, Settings, Space, Whole, setting_of, settled
from framework.sweep.member import Member
from framework.sweep.trial import Trial, read_fields

POINTS = (2, 9)  # values of one dimension in a grid, at the least and at the most
UNDONE = "not done in time"  # the reason of a trial that the deadline ended
LATE = 1.1  # times the usual length of a trial: what must be left for another one to start


@dataclass
class _Open:
    number: int
    settings: dict[str, Setting]
    asked: optuna.Trial | None  # None: it was in the queue
    began: float = field(default_factory=time.time)
    steps: list[tuple[int, float]] = field(default_factory=list)
    last: dict[str, Any] = field(default_factory=dict)  # of a member of a population, which has a score all along


class Books(Searcher):  # type: ignore[misc]
    """Suggests settings until there are enough trials or no time is left, and writes down what became of each."""

    def __init__(
        self,
        contender: Any,
        space: Space,
        *,
        study: optuna.Study | None,
        queue: Sequence[Settings],
        trials: int,
        ended: Iterable[Trial] = (),
        growing: Iterable[Member] = (),
        deadline: float = math.inf,
        tell: Callable[[Trial], None],
        genes: Callable[[Settings], Mapping[str, Any]] | None = None,
    ) -> None:
        """study: asked when the queue is empty; None: the queue is all. queue: settings tried first, in this order.

        trials: in all, those that ended before counted. growing: members of a population that are taken up again,
        open under their numbers. tell: of each trial that has ended. genes: what else of
        its settings Tune's scheduler is told.
        """
        super().__init__(metric="loss", mode="min")
        self.contender, self.study, self.tell = contender, study, tell
        self.deadline, self.genes = deadline, genes
        self.distributions = {name: distribution(dimension) for name, dimension in space.items()}
        self.done = list(ended)
        for trial in self.done:
            self._learn(trial)
        self.open: dict[str, _Open] = {str(member.number): _taken_up(member) for member in growing}
        known: list[Trial | _Open] = [*self.done, *self.open.values()]
        tried = [each.settings for each in known]
        self.queue = [dict(settings) for settings in queue if dict(settings) not in tried]
        self.left = trials - len(known)
        self.number = 1 + max((each.number for each in known), default=-1)

    def __getstate__(self) -> dict[str, Any]:
        """Nothing: Tune pickles its searcher, and what a sweep goes on from is the ledger."""
        return {}

    def suggest(self, trial_id: str) -> Any:
        if self.left <= 0 or not self._in_time() or (not self.queue and self.study is None):
            return Searcher.FINISHED
        asked = None
        if self.queue:
            settings = self.queue.pop(0)
        else:
            assert self.study is not None
            asked = self.study.ask(self.distributions)
            settings = dict(asked.params)
        self.open[trial_id] = _Open(self.number, settings, asked)
        self.left, self.number = self.left - 1, self.number + 1
        more = self.genes(settings) if self.genes is not None else {}
        return {"number": self.open[trial_id].number, "settings": settings, **more}

    def on_trial_result(self, trial_id: str, result: dict[str, Any]) -> None:
        if trial_id in self.open and ("goes_on" in result or not {"score", "failed"} & set(result)):
            self.open[trial_id].steps.append((int(result["step"]), float(result["loss"])))
            if "goes_on" in result:
                self.open[trial_id].last = result

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        running = self.open.pop(trial_id, None)
        if running is not None:
            self._close(running, result or {}, error=error)

    def close(self, known: Mapping[int, dict[str, Any]]) -> None:
        """Writes down what Tune ended for want of time, which it tells nobody. known: last reports by number."""
        left, self.open, self.left = list(self.open.values()), {}, 0
        for running in left:
            last = known.get(running.number, running.last) or {"failed": UNDONE}
            self._close(running, last, error=False)

    def _close(self, running: _Open, result: dict[str, Any], *, error: bool) -> None:
        steps = dict(running.steps)
        reason = str(result.get("failed", "its process ended" if error else ""))
        if not reason and result and "score" not in result and "step" in result:
            steps[int(result["step"])] = float(result["loss"])  # Tune tells a pruned trial's last step here only
        status = "failed" if reason else "finished" if "score" in result else "pruned"
        trial = Trial(
            running.number,
            running.settings,
            status,  # type: ignore[arg-type]
            score=float(result["score"]) if status == "finished" else math.nan,
            seconds=float(result.get("seconds", time.time() - running.began)),
            steps=tuple(sorted(steps.items())),
            found=read_fields(result["found"]) if status == "finished" else {},
            reason=reason,
            began=running.began,
        )
        self._learn(trial, running.asked)
        self.done.append(trial)
        self.tell(trial)

    def _in_time(self) -> bool:
        """Whether a trial that starts now can be expected to end in time."""
        lengths = sorted(trial.seconds for trial in self.done if trial.status != "failed")
        usual = lengths[len(lengths) // 2] if lengths else 0.0
        return time.time() + LATE * usual < self.deadline

    def _learn(self, trial: Trial, asked: optuna.Trial | None = None) -> None:
        """Teaches the sampler a trial; a queued one by the settings that it came to have."""
        if self.study is None:
            return
        larger = self.study.direction == optuna.study.StudyDirection.MAXIMIZE
        steps = {step: -loss if larger else loss for step, loss in trial.steps}
        state = {"finished": TrialState.COMPLETE, "pruned": TrialState.PRUNED, "failed": TrialState.FAIL}[trial.status]
        if asked is not None:
            for step, value in steps.items():
                asked.report(value, step)
            self.study.tell(asked, trial.score if trial.finished else None, state=state)
            return
        made = settled(self.contender, {**trial.settings, **trial.found})
        params = {name: setting_of(made, name) for name in self.distributions}
        if all(_holds(self.distributions[name], value) for name, value in params.items()):
            score = trial.score if trial.finished else None
            known = {"params": params, "distributions": self.distributions, "intermediate_values": steps}
            self.study.add_trial(optuna.trial.create_trial(state=state, value=score, **known))

    def set_search_properties(self, metric: str | None, mode: str | None, config: dict[str, Any], **_: Any) -> bool:
        return True

    def save(self, checkpoint_path: str) -> None:
        """Nothing, as `__getstate__`."""

    def restore(self, checkpoint_path: str) -> None:
        """Nothing, as `__getstate__`."""


def _taken_up(member: Member) -> _Open:
    report = dict(member.report)
    steps = [(int(report["step"]), float(report["loss"]))]
    return _Open(member.number, dict(member.asked), None, steps=steps, last=report)


def distribution(dimension: Dimension) -> BaseDistribution:
    """The same in Optuna's words."""
    if isinstance(dimension, Choice):
        return CategoricalDistribution(dimension.options)
    if isinstance(dimension, Whole):
        return IntDistribution(dimension.low, dimension.high, log=dimension.log)
    return FloatDistribution(float(dimension.low), float(dimension.high), log=dimension.log)


def study(search: str, *, larger: bool, seed: int) -> optuna.Study:
    """An empty study in memory. search: "tpe", "gp" or "random"."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    sampler: optuna.samplers.BaseSampler
    if search == "gp":
        # Gaussian process with an expected-improvement acquisition; bayesian-optimization knows no categories.
        sampler = optuna.samplers.GPSampler(seed=seed, n_startup_trials=8)
    elif search == "random":
        sampler = optuna.samplers.RandomSampler(seed=seed)
    else:
        # Falkner et al. 2018 (BOHB) and Bergstra et al. 2011; the liar keeps trials at the same time apart.
        sampler = optuna.samplers.TPESampler(seed=seed, multivariate=True, constant_liar=True, n_startup_trials=8)
    return optuna.create_study(sampler=sampler, direction="maximize" if larger else "minimize")


def grid(space: Space, trials: int, *, seed: int) -> list[dict[str, Setting]]:
    """At most `trials` points of the finest grid with as many values in each dimension that has no more than these;
    of the coarsest one, where even that has more, so many drawn at random."""

    def lines(points: int) -> list[tuple[Setting, ...]]:
        return [dimension.spread(points) for dimension in space.values()]

    least, most = POINTS
    fitting = [points for points in range(least, most + 1) if math.prod(map(len, lines(points))) <= trials]
    chosen = lines(max(fitting, default=least))
    count = math.prod(map(len, chosen))
    if count <= trials:
        return [dict(zip(space, values, strict=True)) for values in itertools.product(*chosen)]
    drawn = random.Random(seed)
    places: dict[tuple[Setting, ...], None] = {}
    while len(places) < trials:
        places[tuple(drawn.choice(line) for line in chosen)] = None
    return [dict(zip(space, values, strict=True)) for values in places]


def _holds(known: BaseDistribution, value: Any) -> bool:
    if isinstance(known, CategoricalDistribution):
        return any(type(value) is type(choice) and value == choice for choice in known.choices)
    return isinstance(value, int | float) and not isinstance(value, bool) and bool(known._contains(value))
