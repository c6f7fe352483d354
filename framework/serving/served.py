"""One model as it is served: many requests in, an answer or a reason for each out."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate
from pathlib import Path
from typing import Any

import pandas as pd

from cluster.user_error import UserError
from framework.predictor import Predictor
from framework.serving.direct import Direct
from framework.serving.request import RequestError, Row, reason, table

log = logging.getLogger(__name__)

Answer = dict[str, Any]
Request = Sequence[Row]  # rows of the same columns, at least one


@dataclass(frozen=True)
class Served:
    """A predictor under the name it is asked by.

    uri: where it came from, as given to `serve`. version: its number in the registry; None for a folder.
    folder: the model folder on this machine, with what else was registered; None: not known.
    """

    name: str
    uri: str
    version: str | None
    predictor: Predictor
    folder: Path | None = None

    @cached_property
    def columns(self) -> frozenset[str]:
        return frozenset(column.name for column in self.predictor.schema.columns)

    @cached_property
    def direct(self) -> Direct | None:
        """The short way to its answers, where it has one."""
        return Direct.of(self.predictor)

    def example(self) -> Row:
        """A row of the training data, JSON-able."""
        return {column.name: column.example for column in self.predictor.schema.columns}

    def score(self, requests: Sequence[Request]) -> list[Answer | Exception]:
        """An answer for each request, or the reason why there is none, as if each had come alone.

        Requests are conformed together; those that do not fit, or draw a warning, are found by halving.
        """
        answered = self._directly(requests, [place for place, rows in enumerate(requests) if self._regular(rows)])
        left = [place for place in range(len(requests)) if place not in answered]
        if left:
            answered |= dict(zip(left, self._at_length([requests[place] for place in left]), strict=True))
        return [answered[place] for place in range(len(requests))]

    def _directly(self, requests: Sequence[Request], places: list[int]) -> dict[int, Answer | Exception]:
        """Answers by the request's place, of those of these that have a short way."""
        if self.direct is None or not places:
            return {}
        chosen = [requests[place] for place in places]
        try:
            items = self.direct.items(chosen)
        except Exception:  # the border to the model: the long way tells what is wrong
            return {}
        if items is not None:
            ends = list(accumulate(map(len, chosen)))
            starts = [0, *ends[:-1]]
            parts = zip(places, starts, ends, strict=True)
            return {place: self._answer(items[start:end], []) for place, start, end in parts}
        half = len(places) // 2
        if not half:
            return {}
        return self._directly(requests, places[:half]) | self._directly(requests, places[half:])

    def _at_length(self, requests: Sequence[Request]) -> list[Answer | Exception]:
        """The same by way of frames."""
        settled: dict[int, Exception] = {}
        fitting: list[tuple[list[int], pd.DataFrame, list[str]]] = []
        regular = [place for place, rows in enumerate(requests) if self._regular(rows)]
        self._conform(requests, regular, fitting, settled)
        for place in sorted(set(range(len(requests))) - set(regular)):
            self._conform(requests, [place], fitting, settled)
        try:
            answers = self._predict(requests, fitting)
        except Exception as error:  # the border to the model: one request's rows must not fail its neighbours
            if len(requests) > 1:
                return [self._at_length([request])[0] for request in requests]
            log.exception("model %s failed on a request", self.name)
            refused = isinstance(error, ValueError | ArithmeticError)
            sentence = f"model {self.name} cannot score these rows: {reason(error)}"
            return [RequestError(sentence, status=422 if refused else 500)]
        return [settled[place] if place in settled else answers[place] for place in range(len(requests))]

    def _conform(
        self,
        requests: Sequence[Request],
        places: list[int],
        fitting: list[tuple[list[int], pd.DataFrame, list[str]]],
        settled: dict[int, Exception],
    ) -> None:
        """Adds each of these requests to `fitting` (its rows as the model takes them) or to `settled` (its error)."""
        if not places:
            return
        try:
            raw = table([row for place in places for row in requests[place]])
            X, warnings = self.predictor.schema.conform(raw, strict=True)
        except UserError as error:
            if len(places) == 1:
                settled[places[0]] = error
                return
        except Exception as error:  # the border to whatever a client sends
            if len(places) == 1:
                log.exception("model %s could not read a request", self.name)
                settled[places[0]] = RequestError(
                    f"the rows cannot be read as columns of {self.name}: {reason(error)}", status=422
                )
                return
        else:
            if not warnings or len(places) == 1:
                fitting.append((places, X, warnings))
                return
        half = len(places) // 2
        self._conform(requests, places[:half], fitting, settled)
        self._conform(requests, places[half:], fitting, settled)

    def _predict(
        self, requests: Sequence[Request], fitting: list[tuple[list[int], pd.DataFrame, list[str]]]
    ) -> dict[int, Answer]:
        """Answers by the request's place; the model is asked once for all of them."""
        if not fitting:
            return {}
        X = fitting[0][1] if len(fitting) == 1 else pd.concat([part for _, part, _ in fitting], ignore_index=True)
        items = self._items(self.predictor.answer(self.predictor.model.predict(X), X))
        answers: dict[int, Answer] = {}
        start = 0
        for places, _, warnings in fitting:
            for place in places:
                stop = start + len(requests[place])
                answers[place] = self._answer(items[start:stop], warnings)
                start = stop
        return answers

    def _answer(self, items: list[dict[str, Any]], warnings: list[str]) -> Answer:
        return {"model": self.name, "version": self.version, "predictions": items, "warnings": warnings}

    def _regular(self, rows: Request) -> bool:
        """Whether a request has the model's columns and no others."""
        return rows[0].keys() == self.columns

    def _items(self, answered: pd.DataFrame) -> list[dict[str, Any]]:
        """One object a row: `prediction`; `probabilities` by class where the answer is a class; where there are
        intervals, `prediction_low` and `prediction_high`."""
        predictor = self.predictor
        if not predictor.problem.classified:
            names = ["prediction", *(["prediction_low", "prediction_high"] if predictor.band is not None else [])]
            columns = zip(*(answered[name].tolist() for name in names), strict=True)
            return [dict(zip(names, row, strict=True)) for row in columns]
        labels = [str(label) for label in predictor.schema.classes]
        shares = zip(*(answered[f"proba_{label}"].tolist() for label in labels), strict=True)
        return [
            {"prediction": value, "probabilities": dict(zip(labels, row, strict=True))}
            for value, row in zip(answered["prediction"].tolist(), shares, strict=True)
        ]


def flat(items: Sequence[Mapping[str, Any]]) -> dict[str, list[Any]]:
    """An answer's `predictions` by column, named as `Predictor.predict` names them: `proba_<class>` for each share."""
    first = items[0]
    told = {name: [item[name] for item in items] for name in first if name != "probabilities"}
    shares = {
        f"proba_{label}": [item["probabilities"][label] for item in items] for label in first.get("probabilities", {})
    }
    return told | shares
