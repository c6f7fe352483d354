"""What engines import, before a fit's time begins."""

from importlib import import_module

from framework.contender import Contender


def prepare(contender: Contender) -> None:
    """Imports what it says it is trained by (`imports`), and what a wrapped one is.

    That takes up to some seconds, once in a process: no fit's time is to pay for it, nor to be judged by it.
    """
    for name in getattr(contender, "imports", ()):
        import_module(name)
    inner = getattr(contender, "contender", None)
    if inner is not None:
        prepare(inner)
