"""What the runs say: scores, wins and losses beyond two standard errors, mean ranks, misses of the floor; Markdown."""

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from benchmarks.peers.tools import FLOORS
from framework.data.frame import Truth
from framework.gain import error_reduction
from framework.metric import metric
from framework.statistics import resample

OURS = "ours"


@dataclass(frozen=True)
class Round:
    """One table, budget and seed. predictions: of each tool that answered, of the same rows, in one order."""

    table: str
    metric: str
    seconds: float
    seed: int
    truth: Truth
    predictions: Mapping[str, np.ndarray]

    def score(self, tool: str) -> float:
        predicted = self.predictions.get(tool)
        return math.nan if predicted is None else metric(self.metric).score(self.truth, predicted)

    def ranks(self, tools: Sequence[str]) -> dict[str, float]:
        """1 is best; equal scores share their ranks' mean; who gave no answer is last."""
        sign = -metric(self.metric).sign
        losses = np.array([sign * self.score(tool) for tool in tools])
        losses[np.isnan(losses)] = np.inf
        better, equal = (losses < losses[:, None]).sum(axis=1), (losses == losses[:, None]).sum(axis=1)
        return dict(zip(tools, (better + (equal + 1) / 2).tolist(), strict=True))

    def against(self, tool: str) -> float:
        """How many standard errors of the paired bootstrap ours is better; nan where one gave no answer."""
        if OURS not in self.predictions or tool not in self.predictions:
            return math.nan
        scored = metric(self.metric)
        drawn = resample(scored, self.truth, [self.predictions[OURS], self.predictions[tool]], seed=0, repeats=1000)
        sign = scored.sign
        error = float((drawn.scores[:, 0] - drawn.scores[:, 1]).std())
        seen = sign * float(drawn.full[0] - drawn.full[1])
        return seen / error if error > 0 else 0.0

    def spared(self, tool: str) -> str:
        """How much less ours errs, with the interval of the paired bootstrap; a dash where one gave no answer."""
        if OURS not in self.predictions or tool not in self.predictions:
            return "–"
        ours, other = self.predictions[OURS], self.predictions[tool]
        share, band = error_reduction(metric(self.metric), self.truth, ours, other, seed=0)
        return f"{share:+.1%} ({band.low:+.1%} … {band.high:+.1%})"


def report(rounds: Sequence[Round], tools: Sequence[str]) -> str:
    """Four tables: every score; for each budget the ranks and our wins and losses; where we fell below the floor; how
    much less we err than each floor."""
    rivals = [tool for tool in tools if tool not in FLOORS]
    lines = ["| table | metric | seconds | seed | " + " | ".join(tools) + " |", "|---" * (4 + len(tools)) + "|"]
    for each in rounds:
        cells = [_number(each.score(tool)) for tool in tools]
        lines.append(f"| {each.table} | {each.metric} | {each.seconds:g} | {each.seed} | " + " | ".join(cells) + " |")
    lines += ["", "| seconds | tool | mean rank | rounds | we win | tie | lose |", "|---|---|---|---|---|---|---|"]
    budgets: dict[float, list[Round]] = defaultdict(list)
    for each in rounds:
        budgets[each.seconds].append(each)
    for seconds, held in sorted(budgets.items()):
        ranks = {tool: float(np.mean([each.ranks(rivals)[tool] for each in held])) for tool in rivals}
        for tool in sorted(rivals, key=lambda name: ranks[name]):
            errors = [] if tool == OURS else [value for each in held if not math.isnan(value := each.against(tool))]
            won, lost = sum(e > 2 for e in errors), sum(e < -2 for e in errors)
            counts = "| | |" if tool == OURS else f"{won} | {len(errors) - won - lost} | {lost} |"
            lines.append(f"| {seconds:g} | {tool} | {ranks[tool]:.2f} | {len(held)} | {counts}")
    below = [told for each in rounds if (told := _below(each))]
    floors = [tool for tool in FLOORS if tool in tools]
    if floors:
        lines += ["", f"Below the better of {' and '.join(floors)} in {len(below)} of {len(rounds)} rounds."]
        lines += [f"- {told}" for told in below]
        lines += ["", "| table | seconds | seed | " + " | ".join(f"less error than {tool}" for tool in floors) + " |"]
        lines += ["|---" * (3 + len(floors)) + "|"]
        for each in rounds:
            cells = [each.spared(tool) for tool in floors]
            lines.append(f"| {each.table} | {each.seconds:g} | {each.seed} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _below(each: Round) -> str:
    """A sentence where ours is worse than the better floor; else nothing."""
    scored = metric(each.metric)
    floors = [tool for tool in FLOORS if tool in each.predictions]
    if not floors or OURS not in each.predictions:
        return ""
    best = floors[0]
    for tool in floors[1:]:
        best = tool if scored.better(each.score(tool), each.score(best)) else best
    if not scored.better(each.score(best), each.score(OURS)):
        return ""
    return (
        f"{each.table}, {each.seconds:g} s, seed {each.seed}: {_number(each.score(OURS))} against {best}'s "
        f"{_number(each.score(best))}, {-each.against(best):.1f} standard errors"
    )


def _number(value: float) -> str:
    return "–" if math.isnan(value) else f"{value:.4f}" if abs(value) < 10 else f"{value:.2f}"
