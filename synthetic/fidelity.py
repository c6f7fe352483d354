"""How good synthetic rows are: alike, useful and private, each score beside what real rows reach; and what fails them.

A row's judge never learned from it: `holdout` are real rows that no synthesizer saw.
"""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from framework.data.data_error import DataError
from synthetic.attacks.canaries import Canaries
from synthetic.constraints import called
from synthetic.fitted import Fitted
from synthetic.likeness import Likeness, likeness, lost_categories
from synthetic.privacy import FALSE_POSITIVES, Privacy, privacy
from synthetic.space import Space
from synthetic.synthesizer import seeded
from synthetic.usefulness import Usefulness, usefulness

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MOST_ROWS = 3_000  # of each side, that likeness is told of
LEAST_HOLDOUT = 20
# Above these an attack has found something, chance added: members caught at 1 % false positives, AUC above a coin's.
CAUGHT, LEAK = 0.02, 0.05  # by who has rows alone
CAUGHT_INSIDE, LEAK_INSIDE = 0.10, 0.20  # by who has the model; it is not given away with the rows
RISK = 0.05  # of guesses about learned rows, that come true beyond those about others: surely more than this
MORE_COPIES = 0.01  # of the rows, above what real rows that were not learned from have
TOLD_APART = 0.995  # C2ST: rows that any classifier tells from real ones


@dataclass(frozen=True)
class Score:
    """One figure beside its ceiling: what real rows, as many, reach against the same holdout. nan: there is none.

    band: the value's interval at 95 %, of an attack's guesses or over repeats; None: it is not known.
    """

    name: str
    value: float
    ceiling: float
    better: str  # "higher", "lower" or "coin": 0.5 is best
    told: str
    band: tuple[float, float] | None = None

    def __str__(self) -> str:
        within = "" if self.band is None else f" [{self.band[0]:.3f} … {self.band[1]:.3f}]"
        beside = "" if math.isnan(self.ceiling) else f" (real rows: {self.ceiling:.3f})"
        return f"{self.name} {self.value:.3f}{within}{beside}"


@dataclass(frozen=True)
class Fidelity:
    """failed: a sentence for each reason not to use these rows; none: the gate is passed.

    repeats: every judgement that this one is the mean of, by `fidelity_repeats.together`; none: it is a single one.
    canaries: what the engine made of planted rows, where it was asked.
    """

    alike: Likeness
    real: Likeness
    useful: Usefulness | None
    private: Privacy
    failed: tuple[str, ...]
    rows: Mapping[str, int]
    remarks: tuple[str, ...] = ()
    repeats: tuple["Fidelity", ...] = ()
    canaries: Canaries | None = None

    def with_canaries(self, canaries: Canaries) -> "Fidelity":
        """The same, what became of planted rows with it: the gate too."""
        return replace(self, canaries=canaries, failed=(*self.failed, *canaries.failed))

    @property
    def passed(self) -> bool:
        return not self.failed

    @property
    def scores(self) -> tuple[Score, ...]:
        """Of several judgements their means, with the interval that these leave."""
        if self.repeats:
            from synthetic.fidelity_repeats import mean_scores

            return mean_scores([each.scores for each in self.repeats])
        alike, real, private, nothing = self.alike, self.real, self.private, math.nan
        told = [
            Score("quality", alike.quality, real.quality, "higher", "mean of column shapes and pair trends"),
            Score("column shapes", alike.shape, real.shape, "higher", "1 is the same distribution in each column"),
            Score("pair trends", alike.pair, real.pair, "higher", "1 is the same table of each two columns"),
            Score("tails", alike.tail, real.tail, "higher", "numbers: 1 is as many rows in the outer 5 %"),
            Score("C2ST AUC", alike.c2st, real.c2st, "coin", "a classifier tells them apart: 0.5 it cannot"),
            Score("α-precision", alike.precision, real.precision, "higher", "1: rows are as typical as real ones"),
            Score("β-recall", alike.recall, real.recall, "higher", "1: real rows are covered"),
        ]
        if self.useful is not None:
            what = f"{self.useful.score} of {self.useful.target!r}, three families; beside: half the real rows"
            told.append(Score("TSTR ÷ TRTR", self.useful.ratio, self.useful.ceiling, "higher", what))
        for name, attack in private.attacks.items():
            luck = f"by luck up to {attack.chance:.3f}"
            told.append(Score(f"attack by {name}: AUC", attack.auc, 0.5, "coin", "who was learned from; 0.5 is a coin"))
            told.append(Score(f"attack by {name}: caught at 1 %", attack.caught, 0.01, "lower", luck))
        for name, risk in private.risks.items():
            told.append(Score(f"{name}: risk", risk.value, nothing, "lower", str(risk), (risk.low, risk.high)))
        told.append(Score("copies", private.copies, private.copies_of_real, "lower", "rows equal to one learned from"))
        told.append(Score("closer to learned rows", private.closer, nothing, "coin", "0.5 is even; a smoke test only"))
        return tuple(told)

    @property
    def rank(self) -> float:
        """What contestants that pass are ranked by: usefulness and pair trends over their ceilings, and how little a
        classifier tells. More is better."""
        if self.repeats:
            return float(np.mean([each.rank for each in self.repeats]))
        useful = 1.0
        if self.useful is not None and not math.isnan(self.useful.ratio):
            useful = float(np.clip(self.useful.ratio, 0.0, 1.05))
        return useful + self.alike.quality / self.real.quality + (1 - abs(self.alike.c2st - 0.5)) / 2

    def __str__(self) -> str:
        head = "passed the gate" if self.passed else "FAILED: " + " ".join(self.failed)
        planted = () if self.canaries is None else self.canaries.levels
        lines = [f"{score}: {score.told}" for score in self.scores] + [str(each) for each in planted]
        return "\n".join([head, *(f"  {line}" for line in lines), *self.remarks])

    def to_json(self) -> dict[str, Any]:
        """Plain data."""
        return {
            "passed": self.passed,
            "failed": list(self.failed),
            "scores": [asdict(score) for score in self.scores],
            "columns": self.alike.shapes,
            "usefulness": None if self.useful is None else asdict(self.useful) | {"ratio": self.useful.ratio},
            "canaries": [asdict(each) for each in self.canaries.levels] if self.canaries else None,
            "judged": max(1, len(self.repeats)),
            "rows": dict(self.rows),
            "remarks": list(self.remarks),
        }

    def write(
        self, folder: Path | str, figures: "Mapping[str, Figure]", *, title: str, facts: Mapping[str, Any]
    ) -> None:
        """Writes `report.html` into a folder. Raises WriteError."""
        from synthetic.fidelity_page import write_page

        write_page(self, figures, Path(folder) / "report.html", title=title, facts=facts)


def judge(
    train: pd.DataFrame,
    holdout: pd.DataFrame,
    synthetic: pd.DataFrame,
    *,
    fitted: Fitted | None = None,
    target: str | None = None,
    seed: int = 0,
    threads: int = 1,
) -> Fidelity:
    """What synthetic rows are worth, learned from `train`, beside the real rows `holdout` that were not learned from.

    fitted: what drew them: its constraints are held against the rows, its likelihoods attacked. target: what usefulness
    is asked of; by default the last column that can be told. Raises DataError for too small a holdout, or a target that
    is no question.
    """
    if len(holdout) < LEAST_HOLDOUT or len(synthetic) < LEAST_HOLDOUT:
        raise DataError(
            f"{len(holdout)} rows were held out and {len(synthetic)} are synthetic; at least {LEAST_HOLDOUT} of each "
            f"are needed to judge by."
        )
    space = Space.learn(pd.concat([train, holdout], ignore_index=True))
    many = min(len(holdout), len(train), len(synthetic), MOST_ROWS)
    random = seeded(seed)
    drawn, seen, unseen = (_some(part, many, random) for part in (synthetic, train, holdout))
    alike = likeness(space, unseen, drawn, seed=seed, threads=threads)
    real = likeness(space, unseen, seen, seed=seed, threads=threads)
    private = privacy(space, train, holdout, synthetic, fitted=fitted, seed=seed)
    remarks: list[str] = []
    useful = None
    try:
        useful = usefulness(space, train, synthetic, holdout, target=target, seed=seed, threads=threads)
    except DataError as error:
        if target is not None:
            raise
        remarks.append(f"usefulness was not judged: {error}")
    lost = lost_categories(space, train, synthetic)
    failed = (*_broken(fitted, synthetic), *_gate(alike, private, lost))
    rows = {"train": len(train), "holdout": len(holdout), "synthetic": len(synthetic), "compared": many}
    return Fidelity(alike, real, useful, private, failed, rows, tuple(remarks))


def _gate(alike: Likeness, private: Privacy, lost: list[str]) -> list[str]:
    """Why these rows should not be used."""
    failed = []
    if lost:
        failed.append(f"{len(lost)} categories are lost: {', '.join(lost[:5])}{' …' if len(lost) > 5 else ''}.")
    if alike.c2st > TOLD_APART:
        failed.append(f"a classifier tells nearly every row from a real one (C2ST {alike.c2st:.3f}).")
    return failed + leaks(private)


def leaks(private: Privacy) -> list[str]:
    """What attacks found out of the rows learned from, a sentence each."""
    failed = []
    for name, attack in private.attacks.items():
        caught, leak = (CAUGHT_INSIDE, LEAK_INSIDE) if attack.inside else (CAUGHT, LEAK)
        if attack.caught > caught + attack.chance - FALSE_POSITIVES:
            failed.append(
                f"an attack by {name} names {attack.caught:.1%} of the rows learned from at 1 % false positives."
            )
        elif attack.auc > leak + attack.even:
            failed.append(f"an attack by {name} tells the rows learned from (AUC {attack.auc:.3f}).")
    for name, risk in private.risks.items():
        if risk.low > RISK:
            failed.append(f"{name} succeeds: {risk}.")
    if private.copies > private.copies_of_real + MORE_COPIES:
        failed.append(
            f"{private.copies:.1%} of the rows are copies of rows learned from; of real rows "
            f"{private.copies_of_real:.1%} are."
        )
    return failed


def _broken(fitted: Fitted | None, synthetic: pd.DataFrame) -> list[str]:
    if fitted is None:
        return []
    broken = [(each, int((~each.holds(synthetic)).sum())) for each in fitted.constraints]
    return [f"{called(each)} is broken by {count:,} rows." for each, count in broken if count]


def _some(frame: pd.DataFrame, many: int, random: np.random.Generator) -> pd.DataFrame:
    return frame.iloc[np.sort(random.permutation(len(frame))[:many])].reset_index(drop=True)
