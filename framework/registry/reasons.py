"""Reasons against a promotion: what fresh rows say of two models, and whether they are fresh."""

import math
from pathlib import Path

from framework.comparison import Comparison
from framework.data.fresh import Fresh
from framework.data.sketch import RowSketch, row_hashes
from framework.predictor import Predictor
from framework.registry.registration import SEEN

SEEN_SHARE = 0.05  # of fresh rows that may be known to a model, beyond what repeats by chance


def against(compared: Comparison, new: str, *, alpha: float, least: int) -> list[str]:
    """Reasons in the scores of the new model, named `new`, and of the one that it would follow, if there is one.

    alpha: the paired test's p-value has to be below it. least: rows.
    """
    reasons = []
    if compared.rows < least:
        reasons.append(f"{compared.rows} rows are too few to tell, {least} are asked for")
    if len(compared.lines) == 1:
        return reasons
    best, other = compared.lines
    p_value, old = other.noise, other if best.name == new else best
    told = f"{compared.metric.title} {compared.told(new)} against {compared.told(old.name)}"
    if not math.isfinite(p_value):
        reasons.append(f"these rows do not tell the two apart at all ({told})")
    elif best.name != new:
        reasons.append(f"it is not better: {told}")
    elif p_value >= alpha:
        reasons.append(f"it is not better by more than chance: {told}, p = {p_value:.2g} (needs < {alpha:g})")
    return reasons


def known_rows(called: str, model: Predictor, folder: Path, fresh: Fresh) -> tuple[list[str], list[str]]:
    """A reason where the model has seen these rows, and a remark where nobody can say.

    called: what the model is named in the sentence. folder: its model folder, with the sketch that `register` keeps.
    """
    if not (folder / SEEN).is_file():
        return [], [f"Whether {called} has seen these rows is not known: it was registered without its contest."]
    sketch = RowSketch.load(folder / SEEN)
    share = sketch.seen(row_hashes(model.schema.conform(fresh.raw, strict=False)[0], fresh.truth.y))
    if math.isnan(share):
        return [], [f"Whether {called} has seen these rows cannot be told: they are too few."]
    if share > SEEN_SHARE + sketch.repeated:
        return [f"{called} has learned from {share:.0%} of these rows, or was chosen by them: they are not fresh"], []
    return [], []
