"""promote(): the challenger becomes champion where fresh rows show that it is better, and else stays what it is."""

import html
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from framework.comparison import Comparison, compare_models
from framework.data.fresh import answered
from framework.predictor import Predictor
from framework.registry.aliases import move
from framework.registry.lookup import aliases, fetch, find, search
from framework.registry.permission import permitted
from framework.registry.reasons import against, known_rows
from framework.registry.version import ARCHIVED, CHALLENGER, CHAMPION, RegistryError
from framework.tracking import client

if TYPE_CHECKING:
    from mlflow import MlflowClient

LEAST_ROWS = 50
ALPHA = 0.05


class RefusedError(RegistryError):
    """A challenger that fresh rows do not show to be better."""


@dataclass(frozen=True)
class Promotion:
    """What came of it. Prints as text; true where the challenger is the champion now.

    challenger, champion: versions as they were; champion None: there was none. reasons: against it, whether they were
    overruled (`forced`) or not. why: what the person said. comparison: None where there was no champion to compare.
    """

    name: str
    challenger: int
    champion: int | None
    done: bool
    forced: bool
    rows: int
    source: str
    reasons: tuple[str, ...] = ()
    why: str = ""
    remarks: tuple[str, ...] = ()
    comparison: Comparison | None = field(default=None, repr=False)

    def __bool__(self) -> bool:
        return self.done

    @property
    def verdict(self) -> str:
        """In one sentence."""
        if not self.done:
            stays = f"version {self.champion} stays the champion" if self.champion is not None else "none is"
            return f"version {self.challenger} of {self.name!r} is not promoted, {stays}: {'; '.join(self.reasons)}."
        was = f", it was version {self.champion}" if self.champion is not None else "; there was none"
        forced = f", by force ({self.why}) against: {'; '.join(self.reasons)}" if self.forced else ""
        return f"version {self.challenger} of {self.name!r} is its champion now{was}{forced}."

    def or_refuse(self) -> "Promotion":
        """Itself. Raises RefusedError with the verdict where the challenger is not the champion now."""
        if not self.done:
            raise RefusedError(self.verdict)
        return self

    @property
    def details(self) -> str:
        """The scores and what else a reader should know."""
        return "\n".join([*([str(self.comparison)] if self.comparison else []), *self.remarks])

    def __str__(self) -> str:
        return f"{self.verdict}\n{self.details}".strip()

    def _repr_html_(self) -> str:
        below = self.comparison._repr_html_() if self.comparison else ""
        return f"<p>{html.escape(self.verdict)}</p>{below}"

    def to_json(self) -> dict[str, Any]:
        """Plain data."""
        told = {key: getattr(self, key) for key in ("name", "challenger", "champion", "done", "forced", "rows")}
        told |= {key: getattr(self, key) for key in ("source", "why", "verdict")}
        lists = {"reasons": list(self.reasons), "remarks": list(self.remarks)}
        return {**told, **lists, "comparison": self.comparison and self.comparison.to_json()}


@permitted()
def promote(
    name: str,
    rows: Any,
    *,
    challenger: int | None = None,
    alpha: float = ALPHA,
    least: int = LEAST_ROWS,
    force: bool = False,
    why: str = "",
    seed: int = 0,
    store: str | None = None,
) -> Promotion:
    """Holds the challenger against the champion on the same fresh rows, and makes it champion where it is better.

    rows: with answers, as `read` takes them; neither model may have learned from them. challenger: a version; what the
    alias points to by default. Better: in the champion's metric, by a paired test at level `alpha`, on `least` rows or
    more. The old champion gets the alias `archived`. Without a champion there is no test.
    force: overrules these reasons, and then needs a `why` for the history. It does not overrule another question.
    Raises RegistryError without a challenger, for a force without a why, and where somebody else moved the aliases
    meanwhile; DataError, SchemaError or ComparisonError for rows or models that cannot be compared.
    """
    if force and not why.strip():
        raise RegistryError("force overrules the test, and the history has to tell why. Pass why.")
    api = client(store)
    search(api, name)
    now = aliases(api, name)
    version = challenger if challenger is not None else now.get(CHALLENGER)
    if version is None:
        raise RegistryError(
            f"model {name!r} has no challenger. Register one with alias='challenger', or say which version."
        )
    find(api, name, version)
    held = now.get(CHAMPION)
    if held == version:
        raise RegistryError(f"version {version} of {name!r} is its champion already.")
    folders = {f"version {each}": fetch(api, name, str(each)) for each in (version, held) if each is not None}
    models = {called: Predictor.open(folder) for called, folder in folders.items()}
    new = models[f"version {version}"]
    fresh = answered(rows, new.problem, new.schema.classes)
    compared = compare_models(models, fresh, scored=models.get(f"version {held}", new).problem.metric, seed=seed)
    reasons = against(compared, f"version {version}", alpha=alpha, least=least)
    remarks: list[str] = []
    for called, folder in folders.items():
        seen, unknown = known_rows(called, models[called], folder, fresh)
        reasons, remarks = reasons + seen, remarks + unknown
    done = force or not reasons
    promotion = Promotion(
        name, version, held, done, force and bool(reasons), len(fresh), fresh.source, tuple(reasons), why,
        tuple(remarks), compared if held is not None else None,
    )  # fmt: skip
    if done:
        _promote(api, promotion, now)
    return promotion


def _promote(api: "MlflowClient", made: Promotion, now: dict[str, int]) -> None:
    """Moves the aliases, the reason in the history being what the rows showed and what the person said."""
    to: dict[str, int | None] = {CHAMPION: made.challenger}
    if now.get(CHALLENGER) == made.challenger:
        to[CHALLENGER] = None
    if made.champion is not None:
        to[ARCHIVED] = made.champion
    elif now.get(ARCHIVED) == made.challenger:
        to[ARCHIVED] = None
    shown = made.comparison.sentence if made.comparison else f"there was no champion; {made.rows} rows"
    told = "; ".join(part for part in (made.why, shown, *(f"against: {each}" for each in made.reasons)) if part)
    expected = {CHAMPION: made.champion, CHALLENGER: now.get(CHALLENGER)}
    move(api, made.name, to, act="forced" if made.forced else "promoted", why=told, expected=expected)
