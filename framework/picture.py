"""A figure that a notebook shows: plain matplotlib, which shows none of its own without pyplot."""

import io

from matplotlib.figure import Figure


class Picture(Figure):
    """What a cell ends with is drawn below it."""

    def _repr_png_(self) -> bytes:
        return png(self)


def png(figure: Figure) -> bytes:
    """On white, whatever stands behind it."""
    stream = io.BytesIO()
    figure.savefig(stream, format="png", facecolor="white")
    return stream.getvalue()
