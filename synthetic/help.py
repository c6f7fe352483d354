"""Whether synthetic rows helped: each augmented contender against the plain one, and against class weights."""

from dataclasses import asdict, dataclass
from typing import Any

from cluster.user_error import UserError
from framework.gain import error_reduction
from framework.leaderboard import Entry, Leaderboard
from framework.statistics import Interval
from synthetic.augmented import Augmented


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
    def verdict(self) -> str:
        if self.interval.low > 0:
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

    def __str__(self) -> str:
        return "\n".join(map(str, self.comparisons))

    def to_json(self) -> list[dict[str, Any]]:
        return [{**asdict(each), "verdict": each.verdict} for each in self.comparisons]


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
