"""The winner's fits once more, on all rows but the test's."""

import logging
import time
from collections.abc import Sequence

from framework.contest.fits import Fits
from framework.contest.race import Done, Race

log = logging.getLogger(__name__)


def refit_all(names: Sequence[str], race: Race, fits: Fits, *, end: float) -> None:
    """These once more, with the validation rows among the training rows, where time allows; they are kept in `fits`.

    end: in seconds of time.time().
    """
    more = 1 + len(fits.first.truth) / max(1, len(fits.split.fold.train))
    first = {name: fits.of_fold(name) for name in names}
    for name in sorted(names, key=lambda n: first[n].seconds):
        expected, left = 1.0 + 1.3 * more * first[name].seconds, end - time.time()
        if expected < left:
            race.start(first[name].settled, seconds=left, until=end, refit=True)
        else:
            log.info("%s: not refit, it would take %.0f s and %.0f s are left", name, expected, left)
    while race.running:
        for outcome in race.poll():
            if isinstance(outcome, Done):
                fits.refits[outcome.contender.name] = outcome.packed
            else:
                log.info("%s: not refit (%s: %s)", outcome.contender.name, outcome.status, outcome.reason)
