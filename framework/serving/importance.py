"""How much a served model needs each of its columns: as it was measured in its contest, else by its own arithmetic."""

import json
import logging
import weakref
from dataclasses import dataclass
from typing import Any

import numpy as np

from framework.registry.registration import IMPORTANCE
from framework.serving.served import Served
from framework.serving.typical import typical_rows

log = logging.getLogger(__name__)

ROWS = 100  # composed ones, where nothing was measured


@dataclass(frozen=True)
class Importance:
    """measure: what the numbers are, a sentence. columns: (name, number), the most important first."""

    measure: str
    columns: tuple[tuple[str, float], ...]

    def to_json(self) -> dict[str, Any]:
        """Plain data."""
        columns = [{"column": name, "importance": value} for name, value in self.columns]
        return {"measure": self.measure, "columns": columns}


def importance_of(served: Served) -> Importance | None:
    """The importances that the model was registered with, else those that its exact explainer tells; None: neither.

    May take a second or two, once for each served model.
    """
    kept = _found.get(served.name)
    if kept is None or kept[0]() is not served:
        kept = _found[served.name] = weakref.ref(served), _kept(served) or _computed(served)
    return kept[1]


_found: dict[str, tuple[weakref.ref[Served], Importance | None]] = {}  # by name; a model that is gone may go


def _kept(served: Served) -> Importance | None:
    """Of the model folder."""
    path = None if served.folder is None else served.folder / IMPORTANCE
    if path is None or not path.is_file():
        return None
    try:
        told = json.loads(path.read_text(encoding="utf-8"))
        return Importance(str(told["measure"]), tuple((str(name), float(value)) for name, value in told["columns"]))
    except (OSError, ValueError, KeyError, TypeError) as error:
        log.warning("%s cannot be read (%s): importances are computed", path, error)
        return None


def _computed(served: Served) -> Importance | None:
    """The mean size of each column's contributions over rows composed of what the model keeps of its training."""
    from framework.explainers.exact import explainer_of

    predictor = served.predictor
    if predictor.reference is None or predictor.problem.kind == "clustering":
        return None
    rows = typical_rows(predictor.schema, predictor.reference, rows=ROWS)
    try:
        explainer = explainer_of(predictor.model, predictor.schema, rows)
        found = None if explainer is None else explainer(rows)
    except Exception:  # the border to the model and its explainer: a page without importances is still a page
        log.exception("the importances of %s cannot be computed", served.name)
        return None
    if found is None:
        return None
    sizes = found.importance()
    ranked = [(found.features[place], float(sizes[place])) for place in np.argsort(-sizes, kind="stable")]
    measure = f"Mean size of its contribution ({found.space}) to {ROWS} rows composed of the training columns."
    return Importance(measure, tuple(ranked))
