"""A figure that a notebook shows: plain matplotlib, which shows none of its own without pyplot."""

from matplotlib.figure import Figure

from framework.explainers.page import png


class Picture(Figure):
    """What a cell ends with is drawn below it."""

    def _repr_png_(self) -> bytes:
        return png(self)
