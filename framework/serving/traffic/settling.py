"""What follows from a test that has decided: the registry's rule is asked to promote, or the champion stays."""

import pandas as pd

from cluster.user_error import UserError
from framework.monitoring.prediction_log import FEATURE
from framework.serving.source import registered
from framework.serving.traffic.online import Standing
from framework.serving.traffic.plan import Plan


def settled(plan: Plan, found: Standing) -> tuple[bool, str]:
    """Whether the new arm is the registry's champion now, and a sentence that says why.

    Where it did better, `promote` compares both versions on the logged rows and moves the aliases, with its line in
    the history; what it refuses is not promoted. So rows have to be logged whole.
    """
    from framework.registry import promote

    champion, challenger = plan.arms[0].version, plan.arms[1].version
    shown = f"online test, {found.metric}: {found.look}"
    if not found.better:
        return False, f"version {challenger} does worse than version {champion}: {shown}."
    try:
        made = promote(registered(plan.base), fresh_rows(plan, found.known), challenger=int(challenger), why=shown)
    except UserError as error:
        return False, f"version {challenger} is not promoted: {error} ({shown})."
    return made.done, made.verdict if made.done else f"{made.verdict} ({shown})"


def fresh_rows(plan: Plan, known: pd.DataFrame) -> pd.DataFrame:
    """The logged rows with what came true, as `promote` takes them: the model's columns and its target."""
    rows = known[[name for name in known.columns if name.startswith(FEATURE)]]
    rows = rows.rename(columns=lambda name: name.removeprefix(FEATURE))
    return rows.assign(**{str(plan.question.target): known["outcome"].to_numpy()})
