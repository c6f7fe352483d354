"""What a silo may be asked, by the kind of the message, and what it says where it cannot answer."""

from cluster.wire import Arrays, Facts

STATISTICS = frozenset({"moments", "histograms"})
SUMMING = frozenset({"share", "mask", "consent", "unmask"})  # what follows a question whose answers are summed
QUESTIONS = SUMMING | STATISTICS | {"join", "cells", "categories", "prepare", "train", "evaluate", "personal"}
Told = tuple[str, Facts, dict[str, Arrays]]  # kind, facts, groups


class UnknownQuestionError(RuntimeError):
    """A message that asks for what no silo does."""


class NotReadyError(RuntimeError):
    """A silo that is asked for a round before it has joined and been prepared: its process is a new one."""
