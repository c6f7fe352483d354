"""Whether synthetic rows helped: each augmented contender against the plain one, and against class weights."""

from dataclasses import asdict, dataclass
from typing import Any

from cluster.user_error import UserError
from framework.gain import error_reduction
from framework.leaderboard import Entry, Leaderboard
from framework.statistics import Interval
from synthetic.augmented import Augmented

WEIGHTS = "/weights"  # ends the name of a contender with class weights


class HelpError(UserError):
    """A leaderboard on which nothing can be compared."""


@dataclass(frozen=True)
class Against:
    """An augmented contender against another, on the rows ranked on.

    reduction: the share of the other's error that it spares; negative: it errs more. interval: at 95 %, paired.
    """

    augmented: str
    other: str
    reduction: float
    interval: Interval

    @property
    def helped(self) -> bool:
        return self.interval.low > 0

    @property
    def verdict(self) -> str:
        if self.helped:
            return "the rows helped"
        return "the rows harmed" if self.interval.high < 0 else "no difference that is not noise"

    def __str__(self) -> str:
        band = f"{self.interval.low:+.1%} … {self.interval.high:+.1%}"
        return f"{self.augmented} against {self.other}: {self.reduction:+.1%} less error ({band}): {self.verdict}"


@dataclass(frozen=True)
class Help:
    """All comparisons, and the leaderboard that they were read off."""

    board: Leaderboard
    comparisons: tuple[Against, ...]

    @property
    def places(self) -> dict[str, str]:
        """For each augmented contender whether it earned its place: surely better than its plain contender and, where
        there are classes, than class weights, which cost nothing."""
        told = {}
        for name in dict.fromkeys(each.augmented for each in self.comparisons):
            mine = [each for each in self.comparisons if each.augmented == name]
            unbeaten = [each.other for each in mine if not each.helped]
            if unbeaten:
                told[name] = f"did not earn its place: not surely better than {' nor '.join(unbeaten)}"
            elif self.board.split.problem.classified and not any(each.other.endswith(WEIGHTS) for each in mine):
                told[name] = "is better than without the rows; class weights, which cost nothing, were not ranked"
            else:
                told[name] = f"earned its place: surely better than {' and '.join(each.other for each in mine)}"
        return told

    def __str__(self) -> str:
        return "\n".join([*map(str, self.comparisons), *(f"{name} {told}." for name, told in self.places.items())])

    def to_json(self) -> list[dict[str, Any]]:
        places = self.places
        return [{**asdict(each), "verdict": each.verdict, "place": places[each.augmented]} for each in self.comparisons]


def helped(board: Leaderboard) -> Help:
    """Every augmented entry against its plain contender and each other entry of the same engine ("xgboost/weights").

    Raises HelpError where an augmented contender, or its plain one, was not ranked.
    """
    ranked = {entry.name: entry for entry in board.entries}
    told: list[Against] = []
    for entry in board.entries:
        if isinstance(entry.contender, Augmented):
            plain = entry.contender.contender.name
            others = [name for name in ranked if name == plain or name.startswith(plain + "/")]
            told += [_against(board, entry, ranked[name]) for name in others]
    if not told:
        reasons = "; ".join(f"{failure.name}: {failure.reason}" for failure in board.failures) or "none entered"
        raise HelpError(f"no augmented contender was ranked beside its plain one ({reasons}). Give it more minutes.")
    return Help(board, tuple(told))


def _against(board: Leaderboard, entry: Entry, other: Entry) -> Against:
    spared, band = error_reduction(board.metric, board.truth, entry.predicted, other.predicted, seed=board.split.seed)
    return Against(entry.name, other.name, spared, band)
