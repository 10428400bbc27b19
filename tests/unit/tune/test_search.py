"""Optuna and ASHA, begun and rebuilt; no cluster is needed."""

from types import SimpleNamespace

import pytest
from optuna.samplers import GPSampler, NSGAIISampler, QMCSampler, RandomSampler, TPESampler
from optuna.trial import TrialState
from ray.tune.schedulers import FIFOScheduler

from raygenex.config.load import parse_config
from raygenex.tune.records import TrialRecord
from raygenex.tune.search import EPOCHS, FAILED, StudySearch, sampler, scheduler
from raygenex.tune.space import Space

SPACE = {"model.dropout": {"uniform": [0, 0.8]}, "train.learning_rate": {"log_uniform": [1e-5, 1e-2]}}


def make(**tune):
    return parse_config({"tune": {"space": SPACE} | tune}, "test")


def begin(config, records=()):
    space = Space(config)
    return StudySearch(config.tune, space.distributions(), list(records), space.first(), config.seed)


def ended(search, trial, auroc, **more):
    search.on_trial_complete(trial, {"valid_auroc": auroc, EPOCHS: 1, FAILED: "", "training_iteration": 1, **more})


def record(number, params, aurocs, state="finished", **values):
    history = [{"epoch": float(epoch), "valid_auroc": auroc} for epoch, auroc in enumerate(aurocs)]
    values = {"valid_auroc": max(aurocs), **values} if aurocs else {}
    return TrialRecord(number=number, params=params, state=state, history=history, values=values)


def params(dropout, rate=1e-3):
    return {"model.dropout": dropout, "train.learning_rate": rate}


def test_the_first_trial_is_the_file_and_numbers_count_on():
    search = begin(make())
    proposals = [search.suggest(f"t{place}") for place in range(4)]
    assert proposals[0] == {"number": 0, "params": params(0.5, 1e-4)}
    assert [proposal["number"] for proposal in proposals] == [0, 1, 2, 3]
    assert len({tuple(proposal["params"].values()) for proposal in proposals}) == 4
    for proposal in proposals:
        assert 0 <= proposal["params"]["model.dropout"] <= 0.8
        assert 1e-5 <= proposal["params"]["train.learning_rate"] <= 1e-2


def test_the_same_seed_proposes_the_same():
    def propose(seed):
        search = begin(make().model_copy(update={"seed": seed}))
        found = []
        for place in range(15):
            found.append(search.suggest(f"t{place}"))
            ended(search, f"t{place}", 0.5 + 0.01 * place)
        return found

    assert propose(1) == propose(1)
    assert propose(1) != propose(2)


def test_an_interrupted_trial_comes_again_first_under_its_number():
    known = [
        record(0, params(0.5, 1e-4), [0.6]),
        record(1, params(0.1), [0.5], "running"),
        record(2, params(0.2), [0.7]),
    ]
    search = begin(make(), known)
    assert search.suggest("a") == {"number": 1, "params": params(0.1)}
    later = [search.suggest(name) for name in "bcd"]
    assert [proposal["number"] for proposal in later] == [3, 4, 5]
    assert all(proposal["params"] not in [one.params for one in known] for proposal in later)


def test_what_was_not_begun_before_an_interruption_is_proposed_under_its_number():
    config = make(first=[{}, {"model.dropout": 0.3}])
    search = begin(config, [record(0, params(0.5, 1e-4), [0.6])])
    assert search.suggest("a") == {"number": 1, "params": params(0.3, 1e-4)}
    assert search.suggest("b")["number"] == 2


def test_a_study_that_goes_on_proposes_other_settings_than_before():
    first = begin(make(first=[], sampler="random"))
    proposals = [first.suggest(f"t{place}") for place in range(3)]
    known = [record(one["number"], one["params"], [0.5]) for one in proposals]
    second = begin(make(first=[], sampler="random"), known)
    again = [second.suggest(f"u{place}")["params"] for place in range(3)]
    assert not [one for one in again if one in [record.params for record in known]]


def test_trials_of_earlier_processes_guide_the_sampler():
    """Forty trials say that much dropout is better: the next proposals have much of it."""
    known = [record(number, params(0.02 * number), [0.5 + 0.01 * number]) for number in range(40)]
    search = begin(make(first=[]), known)
    mean = sum(search.suggest(f"t{place}")["params"]["model.dropout"] for place in range(8)) / 8
    assert mean > 0.55


def test_a_failed_trial_is_no_result():
    search = begin(make())
    for name in "abc":
        search.suggest(name)
    ended(search, "a", 0.75)
    ended(search, "b", float("nan"), **{FAILED: "it broke"})
    search.on_trial_complete("c", error=True)
    states = [trial.state for trial in search.study.trials]
    assert states == [TrialState.COMPLETE, TrialState.FAIL, TrialState.FAIL]
    assert search.study.best_value == 0.75


def test_several_objectives_go_their_own_ways():
    config = make(objectives=["valid_auroc", "size_mb"], sampler="nsga2")
    search = begin(config, [record(0, params(0.5, 1e-4), [0.6], size_mb=3.0)])
    assert [direction.name for direction in search.study.directions] == ["MAXIMIZE", "MINIMIZE"]
    assert search.study.trials[0].values == [0.6, 3.0]
    search.suggest("a")
    ended(search, "a", 0.7, size_mb=2.0)
    assert search.study.trials[1].values == [0.7, 2.0]


@pytest.mark.parametrize(
    ("name", "kind"),
    [("tpe", TPESampler), ("gp", GPSampler), ("random", RandomSampler), ("qmc", QMCSampler), ("nsga2", NSGAIISampler)],
)
def test_the_sampler_is_a_choice(name, kind):
    assert isinstance(sampler(name, 3), kind)


def decide(asha, name, aurocs):
    """Let a trial report until ASHA stops it; return the epochs that it had."""
    trial = SimpleNamespace(trial_id=name)
    asha.on_trial_add(None, trial)
    best = 0.0
    for done, auroc in enumerate(aurocs, start=1):
        best = max(best, auroc)
        if asha.on_trial_result(None, trial, {EPOCHS: done, "valid_auroc": best}) == "STOP":
            return done
    return len(aurocs)


def test_asha_stops_the_poorer_trials_at_the_rungs():
    """With rungs after 1, 3 and 9 epochs and a third that goes on, the poorest of three is stopped at the first."""
    config = make(grace_epochs=1, reduction=3).tune
    asha = scheduler(config, 20, [])
    assert decide(asha, "good", [0.9] * 19) == 19
    assert decide(asha, "fair", [0.8] * 19) == 1
    assert decide(asha, "better", [0.95] * 19) == 19
    # Two thirds of the way from 0.8 over 0.9 to 0.95 is 0.9167.
    assert decide(asha, "below", [0.91] * 19) == 1
    assert decide(asha, "above", [0.92] * 19) == 3


def test_asha_remembers_the_trials_of_earlier_processes():
    config = make(grace_epochs=1, reduction=3).tune
    histories = {0: [0.9] * 19, 1: [0.8], 2: [0.95] * 19, 3: []}
    known = [
        record(number, params(0.1), aurocs, "finished" if aurocs else "failed") for number, aurocs in histories.items()
    ]
    asha, other = scheduler(config, 20, known), scheduler(config, 20, [])
    for number in range(3):
        decide(other, f"earlier-{number}", histories[number])
    for auroc in (0.85, 0.91, 0.92, 0.94, 0.96):
        epochs = [decide(each, f"next {auroc}", [auroc] * 19) for each in (asha, other)]
        assert epochs[0] == epochs[1]
        assert (epochs[0] == 1) == (auroc < 0.9)


@pytest.mark.parametrize(
    "tune", [{"stop_early": False}, {"grace_epochs": 20}, {"objectives": ["valid_auroc", "size_mb"]}]
)
def test_nothing_is_stopped(tune):
    assert type(scheduler(make(**tune).tune, 20, [])) is FIFOScheduler
