"""The memory of a study."""

import pytest

from raygenex.errors import CheckpointError
from raygenex.tune.records import STUDY, TRIALS, Ledger, StudyState, TrialRecord

STATE = StudyState(identity="abc", run_id="run")


def record(number, state="finished", auroc=0.5):
    return TrialRecord(
        number=number,
        params={"model.dropout": 0.1 * number},
        state=state,
        history=[{"epoch": 0.0, "train_loss": 0.7, "valid_loss": 0.7, "valid_auroc": auroc}],
        values={"valid_auroc": auroc},
    )


def test_what_is_kept_is_read_again(tmp_path):
    ledger = Ledger(tmp_path / "tune")
    assert ledger.read() is None
    ledger.begin(STATE)
    kept = [record(2, "running"), record(0), record(1, "failed"), record(3, "stopped", 0.123456789012345)]
    for one in kept:
        ledger.keep(one)
    again = Ledger(tmp_path / "tune")
    assert again.read() == STATE
    assert again.records == {one.number: one for one in kept}
    assert [one.number for one in again.ended] == [0, 1, 3]
    assert [one.number for one in again.scored] == [0, 3]


@pytest.mark.parametrize("name", [STUDY, f"{TRIALS}/0001.json"])
@pytest.mark.parametrize("content", ["{", "{}", "\xff"])
def test_a_damaged_file_is_one_sentence(tmp_path, name, content):
    ledger = Ledger(tmp_path)
    ledger.begin(STATE)
    ledger.keep(record(1))
    (tmp_path / name).write_bytes(content.encode("latin1"))
    with pytest.raises(CheckpointError, match=r"is damaged: restore it, or pass --force") as info:
        Ledger(tmp_path).read()
    assert name in str(info.value)


def test_a_trial_is_rewritten_without_leaving_parts(tmp_path):
    ledger = Ledger(tmp_path)
    ledger.begin(STATE)
    one = record(1, "running")
    for epoch in range(3):
        one.history.append({"epoch": float(epoch)})
        ledger.keep(one)
    assert sorted(path.name for path in (tmp_path / TRIALS).iterdir()) == ["0001.json"]
