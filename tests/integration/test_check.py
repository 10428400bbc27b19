"""The full check with its promoters read in tasks of Ray."""

import shutil
from pathlib import Path

import h5py
import pytest

from raygenex.config.load import parse_config
from raygenex.data.check import scan
from raygenex.data.check.check import check
from raygenex.errors import ClusterError, DataError

pytestmark = pytest.mark.usefixtures("ray_cluster")


def test_tasks_find_what_one_process_finds(promoters: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Several tasks a split, in whatever order they end.
    monkeypatch.setattr(scan, "BLOCK_BYTES", 200 * 5)
    files = {"train": f"{promoters}/train.h5", "valid": [f"{promoters}/valid.h5"], "test": f"{promoters}/test.h5"}
    config = parse_config({"data": files, "check": {"workers": 2}}, "test")
    shown: list[tuple[int, int]] = []
    found = check(config.data, config.check, lambda done, total: shown.append((done, total)), cluster=config.cluster)
    assert found.values() == check(config.data, config.check).values()
    assert len(shown) > 5
    assert [done for done, _ in shown] == sorted({done for done, _ in shown})
    assert shown[-1] == (281, 281)


def test_what_a_task_finds_wrong_is_one_sentence(promoters: Path, tmp_path: Path) -> None:
    shutil.copytree(promoters, tmp_path / "data")
    with h5py.File(tmp_path / "data" / "valid.h5", "r+") as handle:
        handle["promoter"][3, 5] = True
    files = {name: f"{tmp_path}/data/{name}.h5" for name in ("train", "valid")}
    config = parse_config({"data": files, "check": {"workers": 2}}, "test")
    with pytest.raises(DataError, match=r"valid\.h5") as info:
        check(config.data, config.check, cluster=config.cluster)
    with pytest.raises(DataError) as alone:
        check(config.data, config.check)
    assert str(info.value) == str(alone.value)
    many = parse_config({"data": files, "check": {"workers": 99}}, "test")
    with pytest.raises(ClusterError, match=r"check\.workers"):
        check(many.data, many.check, cluster=many.cluster)
