"""The best entry becomes the winner: one honest model, and its score on the test rows, opened here and nowhere else."""

import logging
from dataclasses import dataclass
from typing import Any

from framework.calibration import Checked, calibrate
from framework.conformal import Band, ConformalError, band, coverage, forecast_band
from framework.contenders.calibrated import CalibratedModel
from framework.contenders.ensemble import Combined
from framework.contest.fits import Fits
from framework.leaderboard import Entry, Winner
from framework.metric import Metric, metric
from framework.monitoring.reference import Reference
from framework.predictor import Predictor
from framework.statistics import gap, interval

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Honest:
    """What the rows ranked on teach of a model besides its score: how its answers are to be read.

    calibration: of classes, the map of its probabilities where it helps. band: of values, the interval around each;
    None: the rows are too few.
    """

    calibration: Checked | None = None
    band: Band | None = None


def honest(best: Entry, fits: Fits, scored: Metric, *, seed: int) -> Honest:
    """Learned from the entry's answers on the rows ranked on, each by a model that had not seen the row.

    The model that is served is another one: the mean of the folds' models, or one fit on all rows. It is as good as
    those or better, so intervals as wide as out-of-fold errors ask are met with as often as they say, or more: the
    jackknife-like method of Barber et al. 2021, whose proof promises less than what is seen. A map learned from
    out-of-fold probabilities is what scikit-learn's CalibratedClassifierCV(ensemble=False) takes.
    A map that makes the contest's own metric worse on held-out rows is left out.
    """
    kind = fits.split.problem.kind
    if fits.split.problem.classified:
        checked = calibrate(best.predicted, fits.truth, scored=scored, seed=seed)
        return Honest(checked if checked.calibration.method != "none" else None)
    try:
        if kind == "regression":
            return Honest(band=band(best.predicted, fits.truth, seed=seed))
        if kind == "forecast":
            told = [best.predicted[place] for place in fits.ranked_on.places]
            return Honest(band=forecast_band(told, fits.asked()))
    except ConformalError as error:
        log.info("%s answers without intervals: %s", best.name, error)
    return Honest()


def crown(best: Entry, members: list[str], made: Combined | None, fits: Fits, *, seed: int) -> Winner:
    """An entry as a model, its answers made honest, and its score on the test rows.

    members: the fits that its model is made of. made: of an ensemble, how.
    """
    split, scored = fits.split, metric(fits.split.problem.metric)
    models = {name: fits.model(name) for name in members}
    model = made.make(models) if made else models[best.name]
    refit = set(members) <= set(fits.refits)
    found = honest(best, fits, scored, seed=seed)
    around = found.band.after(split.fold.pooled()) if found.band is not None and refit else found.band
    if found.calibration is not None:
        model = CalibratedModel(model, found.calibration.calibration)
    predicted, truth = model.predict(split.test.X), split.test.truth
    held = None if around is None else coverage(around, predicted, split.test.y, split.test.X)
    facts: dict[str, Any] = {
        "contender": best.name,
        "members": members,
        "folds": fits.folds,
        "refit": refit,
        "fingerprint": split.fingerprint,
        "seed": seed,
        "validation_score": best.score,
    }
    facts |= {"calibration": found.calibration.to_json()} if found.calibration else {}
    facts |= {"intervals": held.to_json()} if held else {}
    learned = [split.fold.train.X, split.fold.valid.X] if refit else [split.fold.train.X]
    reference = Reference.of(learned, predicted, schema=split.schema, problem=split.problem, seed=seed)
    validated = best.predicted if found.calibration is None else found.calibration.crossed
    return Winner(
        name=best.name,
        predictor=Predictor(split.problem.name, split.problem, split.schema, model, facts, around, reference),
        test_score=scored.score(truth, predicted),
        test_interval=interval(scored, truth, predicted, seed=seed),
        predicted=predicted,
        gap=gap(scored, (fits.truth, validated), (truth, predicted), seed=seed),
        refit=refit,
        calibration=found.calibration,
        coverage=held,
    )
