"""Several judgements of one engine, by other samples and other splits, as one: means, and how sure they are."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from synthetic.fidelity import Fidelity, Score

LEVEL = 0.95
MOST_FAILED = 0.5  # of the judgements may fail, and the whole still passes: one unlucky sample is no verdict


def together(judged: Sequence[Fidelity]) -> Fidelity:
    """One judgement of these, at least one: the first's details, all their scores.

    It fails where more than half of them do, for the reasons of all that fail; fewer are told as a remark.
    """
    if len(judged) == 1:
        return judged[0]
    first, many = judged[0], len(judged)
    failing = [each for each in judged if not each.passed]
    reasons = tuple(dict.fromkeys(reason for each in failing for reason in each.failed))
    remarks = (*first.remarks, f"judged {many} times; brackets hold the mean's interval at 95 %.")
    if len(failing) > MOST_FAILED * many:
        return replace(first, failed=reasons, repeats=tuple(judged), remarks=remarks)
    if failing:
        remarks = (*remarks, f"{len(failing)} of {many} judgements failed: {' '.join(reasons)}")
    return replace(first, failed=(), repeats=tuple(judged), remarks=remarks)


def mean_scores(scores: Sequence[Sequence[Score]]) -> tuple[Score, ...]:
    """The scores that all judgements have, by name: means, and the interval of each mean (Student's t)."""
    named = [{score.name: score for score in each} for each in scores]
    shared = [score for score in scores[0] if all(score.name in each for each in named)]
    return tuple(_mean([each[score.name] for each in named]) for score in shared)


def _mean(scores: Sequence[Score]) -> Score:
    from scipy.stats import t

    values, ceilings = (np.array([getattr(each, part) for each in scores]) for part in ("value", "ceiling"))
    mean, many = float(values.mean()), len(values)
    half = float(t.ppf((1 + LEVEL) / 2, many - 1) * values.std(ddof=1) / np.sqrt(many))
    return replace(scores[0], value=mean, ceiling=float(ceilings.mean()), band=(mean - half, mean + half))
