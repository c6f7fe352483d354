from pathlib import Path

import pytest

from cluster.horovod import build as horovod_build
from cluster.horovod.build import PATCHES, HorovodBuildError, build, fetch, key, patch


def test_horovod_is_installed_and_speaks_over_gloo() -> None:
    import horovod.torch as hvd

    assert hvd.gloo_built()
    assert not hvd.mpi_built()
    hvd.init()
    try:
        assert (hvd.rank(), hvd.size()) == (0, 1)
    finally:
        hvd.shutdown()


def test_a_wheel_that_is_kept_is_not_built_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CONTENDERS_CACHE", str(tmp_path))
    shelf = tmp_path / "wheels" / key()
    shelf.mkdir(parents=True)
    kept = shelf / "horovod-0.28.1-cp311-cp311-linux_x86_64.whl"
    kept.touch()
    monkeypatch.setenv("PATH", str(tmp_path))  # no compiler to be found
    assert build() == kept


def test_a_missing_compiler_is_told_with_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CONTENDERS_CACHE", str(tmp_path))
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(HorovodBuildError, match=r"cmake, g\+\+, make.*apt-get install"):
        build()


def test_another_torch_another_patch_or_gpus_mean_another_wheel(monkeypatch: pytest.MonkeyPatch) -> None:
    keys = {key()}
    monkeypatch.setattr(horovod_build, "version", lambda name: "9.9.0")
    keys.add(key())
    monkeypatch.setenv("HOROVOD_GPU_OPERATIONS", "NCCL")
    keys.add(key())
    monkeypatch.setattr(horovod_build, "PATCHES", {})
    keys.add(key())
    assert len(keys) == 4


def test_every_patch_finds_its_one_place(tmp_path: Path) -> None:
    for name, (old, _) in PATCHES.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"before\n{old}\nafter\n", encoding="utf-8")
    patch(tmp_path)
    assert all(new in (tmp_path / name).read_text(encoding="utf-8") for name, (_, new) in PATCHES.items())
    with pytest.raises(HorovodBuildError, match="0 times, not once"):
        patch(tmp_path)


def test_another_source_than_the_known_release_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(horovod_build, "SHA256", "0" * 64)
    with pytest.raises(HorovodBuildError, match=r"(?s)DO NOT MATCH|Expected sha256"):
        fetch(tmp_path)
    assert not list(tmp_path.glob("horovod-*"))
