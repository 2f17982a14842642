"""Each fault leads to its own remedy, which is recorded."""

import dataclasses
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from tests.models.sizes import NETWORKS
from tests.panels import small_panel
from tests.training.torch.test_loop import PARAMS, TARGETS, NoDropout, Small, run, weights

from numerai_kedro.cache import FoldStore
from numerai_kedro.compute import pressure
from numerai_kedro.compute.fault_injection import Order, variable
from numerai_kedro.compute.isolation import Inline, Worker
from numerai_kedro.compute.machine import SIMULATED_GPU
from numerai_kedro.compute.remedies import AGAIN, until_it_fits
from numerai_kedro.data.folds import Fold
from numerai_kedro.errors import NumeraiKedroError, ProcessDied, ResourceError
from numerai_kedro.models.registry import family
from numerai_kedro.training.fit_runner import FitRunner
from numerai_kedro.training.network_params import LEAST_ROWS
from numerai_kedro.training.protocol import EarlyStoppingSplit, FitContext
from numerai_kedro.training.recipe import Recipe
from numerai_kedro.training.torch import care, checkpoint
from numerai_kedro.training.torch.care import RESTORES, Diverged
from numerai_kedro.training.torch.loop import predictions_of
from numerai_kedro.training.walk_forward import predict_fold, with_location


@pytest.fixture(scope="module")
def panel(tmp_path_factory):
    return small_panel(tmp_path_factory.mktemp("care") / "panel", n_eras=12)


def said(one):
    return [(line["symptom"], line["remedy"]) for line in one.at.recoveries]


def order(inject, at, tmp_path, times=1):
    return Order(inject, at, times, str(tmp_path / "count")).given()


def test_an_explosion_goes_back_at_half_the_rate(panel, tmp_path, monkeypatch):
    monkeypatch.setattr(care.health, "WARM_STEPS", 5)
    training = run(panel, work=tmp_path / "work", params=PARAMS.model_copy(update={"epochs": 6}))
    real, calls = training._step, []

    def step(features, labels):
        calls.append(1)
        loss = real(features, labels)
        return 1e3 * loss if 20 <= len(calls) < 23 else loss

    training._step = step
    training.train()
    (symptom, remedy), *_ = said(training)
    assert symptom == "loss exploded"
    assert remedy == "back to epoch 1, half the rate"
    assert training.at.recoveries[0]["result"] == "training went on"
    assert (training.at.epoch, training.at.rate_factor) == (6, 0.5)


def test_lines_get_their_result_back_to_the_last_that_has_one(panel):
    training = run(panel)
    training.at.step = 7
    for symptom in "abc":
        training.care.note(symptom, "evidence", "remedy")
    training.at.recoveries[0]["result"] = "known"
    training.care.settled("went on")
    assert [line["result"] for line in training.at.recoveries] == ["known", "went on", "went on"]
    assert training.at.recoveries[0]["place"] == "step 7 of 36"


def test_skipped_batches_are_counted_to_three_or_twelve_of_a_scaler(panel):
    training = run(panel)
    scaler = SimpleNamespace(get_scale=lambda: 1024.0)
    for times, by in ((3, None), (12, scaler)):
        training.at.skips = 0
        for number in range(times):
            assert training.care.symptom_of(None) is None, number
            training.care.skipped("loss nan", by)
        symptom, evidence = training.care.symptom_of(None)
        assert (symptom, evidence) == ("not finite again and again", "3 in a row")
    assert len(training.at.recoveries) == 3  # a scaler that looks for its scale is no fault


@pytest.mark.parametrize(("rows", "halved"), [(1_000, 20), (40, 20), (34, 17), (20, 16), (17, 16)])
def test_rows_are_halved_from_those_of_the_longest_batch_to_sixteen(panel, rows, halved):
    training = run(panel)
    training.micro_rows = rows
    training.care.halve("evidence")
    assert training.micro_rows == training.care.held_rows == halved
    training.care.held_rows = None
    training.micro_rows = 40
    training.care.halve("evidence", "little memory left")
    assert (training.micro_rows, training.care.held_rows) == (20, None)
    assert said(training)[-1] == ("little memory left", "20 rows at once")


def test_a_checkpoint_needs_room_for_its_weights_five_times(panel, tmp_path, monkeypatch):
    training, asked = run(panel, work=tmp_path / "work"), []
    monkeypatch.setattr(
        care.pressure, "disk_pressure", lambda folder, n_bytes: asked.append((folder, n_bytes))
    )
    assert training.care.has_room()
    n_weights = 8 * 16 + 16 + 16 * 4 + 4
    assert asked == [(tmp_path / "work", 5.0 * 4 * n_weights)]


def test_memory_is_looked_at_every_five_seconds_and_after_a_remedy_in_a_minute(panel, monkeypatch):
    now, evidence = [1_000.0], [None]
    monkeypatch.setattr(care, "time", SimpleNamespace(monotonic=lambda: now[0]))
    looks = []
    monkeypatch.setattr(
        care.pressure, "memory_pressure", lambda: looks.append(now[0]) or evidence[0]
    )
    training = run(panel)
    for seconds, found in ((4.9, None), (5.0, None), (9.9, "0.1 GB left"), (10.0, "0.1 GB left")):
        now[0], evidence[0] = 1_000.0 + seconds, found
        training.care.look_at_memory()
    assert looks == [1_005.0, 1_010.0]
    assert training.micro_rows == 20
    for seconds in (69.9, 70.0):
        now[0] = 1_000.0 + seconds
        training.care.look_at_memory()
    assert looks[2:] == [1_070.0]
    assert training.micro_rows == 16


def test_a_plateau_halves_the_rate_once(panel):
    training = run(panel, params=PARAMS.model_copy(update={"epochs": 7}))
    training._step = lambda features, labels: 1.5 if training.at.epoch else 1.4
    training.train()
    assert said(training) == [("plateau", "half the rate")]
    assert training.at.rate_factor == 0.5


class Dead(Small):
    """Learns, but predicts the same for every row."""

    def forward(self, features):
        predictions = super().forward(features)
        return predictions if self.training else predictions * 0


def test_dead_predictions_go_back_and_in_the_end_are_given_up(panel, tmp_path):
    valid = small_panel(tmp_path / "valid", n_eras=6, seed=3)
    training = run(panel, Dead, valid=valid, target=TARGETS[0], work=tmp_path / "work")
    with pytest.raises(Diverged, match="dead predictions: constant in 6 of 6 eras") as raised:
        training.train()
    symptoms = [line["symptom"] for line in raised.value.lines]
    assert symptoms == ["dead predictions"] * (RESTORES + 1)
    results = [line["result"] for line in raised.value.lines]
    assert results == [*["it came back"] * RESTORES, ""]


@pytest.mark.parametrize("fault", ["nan", "overflow"])
@pytest.mark.parametrize("at", ["first", "middle", "last"])
def test_a_batch_that_is_not_finite_is_skipped(panel, tmp_path, fault, at):
    training = run(panel, work=tmp_path / "work")
    with order(fault, at, tmp_path):
        training.train()
    assert said(training) == [("not finite", "batch skipped")]
    assert training.at.epoch == PARAMS.epochs
    assert all(torch.isfinite(value).all() for value in training.best.values())


def test_a_scale_that_is_found_is_no_fault_and_one_that_never_is_goes_back(panel):
    training = run(panel)
    scaler = torch.amp.GradScaler("cpu")
    for skipped in range(1, care.SCALER_SKIPS_IN_A_ROW + 1):
        assert training.care.symptom_of(None) is None
        training.care.skipped("norm of the gradient inf", scaler)
        assert training.at.skips == pytest.approx(skipped / 4)
    assert training.care.symptom_of(None) == ("not finite again and again", "3 in a row")
    assert not training.at.recoveries


def test_it_goes_on_in_full_precision_and_then_gives_up(panel, tmp_path):
    training = run(panel, work=tmp_path / "work")
    with order("nan", "middle", tmp_path, times=10_000), pytest.raises(Diverged) as raised:
        training.train()
    remedies = [line["remedy"] for line in raised.value.lines]
    assert sum(remedy.endswith("in full precision") for remedy in remedies) == RESTORES - 1
    assert remedies[-1] == "given up"


def test_out_of_memory_in_loading_changes_nothing(panel, tmp_path):
    calm, training = run(panel), run(panel)
    calm.train()
    with order("oom", "loading", tmp_path):
        training.train()
    assert said(training) == [("out of memory in loading", "rows are picked before they are moved")]
    for name, value in weights(calm).items():
        assert torch.equal(weights(training)[name], value)


@pytest.mark.parametrize("fault", ["oom", "nan", "overflow"])
def test_a_fault_in_evaluation_changes_nothing(panel, tmp_path, fault):
    valid = small_panel(tmp_path / "valid", n_eras=6, seed=3)
    validation = {"valid": valid, "target": TARGETS[0]}
    calm, training = run(panel, **validation), run(panel, **validation)
    calm.train()
    with order(fault, "evaluation", tmp_path):
        training.train()
    symptoms = {symptom for symptom, _ in said(training)} - {"overfitted"}
    assert symptoms == ({"out of memory in evaluation"} if fault == "oom" else set())
    assert training.at.scores == pytest.approx(calm.at.scores, abs=1e-6)


def test_what_cannot_be_predicted_at_all_is_a_sentence(panel, tmp_path):
    with order("oom", "evaluation", tmp_path, times=99), pytest.raises(ResourceError, match="16"):
        predictions_of(Small(8).eval(), panel, 40, torch.device("cpu"))


class KeepsLess(NoDropout):
    kept = False

    def checkpoint_activations(self):
        type(self).kept = True


def test_when_few_rows_are_still_too_many_less_is_kept(panel, tmp_path):
    training = run(panel, KeepsLess)
    training.micro_rows = LEAST_ROWS
    with order("oom", "middle", tmp_path):
        training.train()
    assert KeepsLess.kept
    assert said(training) == [("out of memory", "the backward pass computes again what it needs")]


def test_little_memory_left_halves_the_rows(panel, monkeypatch):
    monkeypatch.setattr(care, "LOOK_S", -1.0)
    monkeypatch.setattr(pressure, "memory_pressure", lambda: "0.30 GB of memory left")
    training = run(panel, NoDropout)
    training.train()
    assert said(training) == [("little memory left", "20 rows at once")]


def test_without_room_on_the_disk_there_is_no_checkpoint_and_a_model(panel, tmp_path, monkeypatch):
    monkeypatch.setattr(pressure, "disk_pressure", lambda folder, wanted: "0.10 GB of disk left")
    training = run(panel, work=tmp_path / "work")
    training.train()
    assert said(training) == [("little disk left", "no checkpoint")]
    assert not (tmp_path / "work").exists()
    assert training.at.epoch == PARAMS.epochs


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="a disk that is full, of Linux")
def test_a_disk_that_fills_up_in_a_checkpoint_is_no_checkpoint_and_a_model(
    panel, tmp_path, monkeypatch
):
    monkeypatch.setattr(checkpoint, "_write", lambda *_: Path("/dev/full").write_bytes(b"x"))
    training = run(panel, work=tmp_path / "work")
    training.train()
    assert set(said(training)) == {("no checkpoint could be written", "none, it goes on")}
    assert training.at.epoch == PARAMS.epochs


@pytest.fixture(scope="module")
def history(tmp_path_factory):
    return small_panel(tmp_path_factory.mktemp("history") / "panel", n_eras=40)


FOLD = Fold("test-1", (1, 28), (33, 40))


def recipe(**changed):
    kind = family("tabm")
    params = kind.params_type.model_validate(NETWORKS["tabm"])
    base = Recipe("tabm", kind, params, TARGETS[:1], 1, 1, 0, threads=1)
    return dataclasses.replace(base, **{"valid_eras": 4, "purge_eras": 4} | changed)


def predicted(history, store, made, executor=None):
    runner = FitRunner(store, executor or Inline())
    parts = list(predict_fold(made, history, FOLD, 4, runner))
    lines = [line for part in parts for line in with_location(part.fits, FOLD.name, store)]
    return np.concatenate([part.predictions for part in parts]), lines


@pytest.mark.slow
@pytest.mark.parametrize("at", ["middle", "evaluation", "loading"])
def test_a_killed_fit_goes_on_from_its_checkpoint_to_the_same_model(history, tmp_path, at):
    calm, _ = predicted(history, FoldStore(tmp_path / "calm"), recipe())
    store = FoldStore(tmp_path / "store")
    with Worker("tabm") as worker, order("kill", at, tmp_path):
        outcome = until_it_fits(
            "fit", "tabm", (), lambda steps: predicted(history, store, recipe(), worker)
        )
    np.testing.assert_array_equal(outcome.value[0], calm)
    assert [line.remedy for line in outcome.remedies] == [AGAIN]
    assert not list((tmp_path / "store" / "work").glob("*"))


@pytest.mark.parametrize("step", [1, 5])
def test_a_fit_ended_while_it_learns_what_was_held_back_goes_on_there(history, tmp_path, step):
    kind = family("tabm")
    params = kind.params_type.model_validate(NETWORKS["tabm"])

    def fit(folder, progress):
        model = kind(params, seed=0, threads=1)
        context = FitContext(work=tmp_path / folder)
        return model.fit(history, EarlyStoppingSplit(4, 4), TARGETS[0], progress, context)

    totals = []
    calm = fit("calm", lambda done, total: totals.append(total))
    rest = totals[-1]
    assert totals[0] > rest

    steps = iter(range(1, step + 1))

    def end(done, total):
        if total == rest and next(steps) == step:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fit("work", end)
    seen = []
    again = fit("work", lambda done, total: seen.append(total))
    np.testing.assert_array_equal(again.predict(history), calm.predict(history))
    assert set(seen) == {rest}  # everything before was finished


def test_a_lost_gpu_leaves_its_work_to_the_cpu(history, tmp_path):
    calm, _ = predicted(history, FoldStore(tmp_path / "calm"), recipe())
    with variable(SIMULATED_GPU, "12"), order("gpu-lost", "middle", tmp_path):
        predictions, lines = predicted(
            history, FoldStore(tmp_path / "store"), recipe(device="cuda")
        )
    np.testing.assert_array_equal(predictions, calm)
    first = lines[0]
    assert (first["symptom"], first["remedy"]) == ("the GPU failed", "fitted on the CPU")
    assert first["result"] == "succeeded"


def test_what_a_card_holds_is_remembered(history, tmp_path, monkeypatch):
    store, kind = FoldStore(tmp_path / "store"), family("tabm")
    params = kind.params_type.model_validate(NETWORKS["tabm"])
    monkeypatch.setenv(SIMULATED_GPU, "12")

    def fit():
        model = kind(params, seed=0, threads=1, device="cuda")
        context = FitContext(notes=store)
        return model.fit(history, EarlyStoppingSplit(4, 4), TARGETS[0], context=context).recoveries

    with order("oom", "first", tmp_path):
        assert "out of memory" in [line["symptom"] for line in fit()]
    limits = []
    monkeypatch.setattr(care.Care, "fit_to", lambda self, memory: limits.append(memory))
    lines = [line for line in fit() if line["symptom"] != "overfitted"]
    assert (limits, lines) == ([], [])


@pytest.mark.parametrize("error", [ProcessDied("tabm", -9, 1.0, 8.0, False), Diverged("no")])
def test_no_gpu_is_blamed_for_what_was_killed_or_diverged(history, error):
    (fit,) = recipe(device="cuda").fits(history, FOLD.train)
    with pytest.raises(type(error)):
        fit.on_cpu(error)
    assert fit.on_cpu(RuntimeError("CUDA error: launch failure")).device == "cpu"


def test_less_is_kept_once_however_often_the_run_goes_back(panel, tmp_path):
    calls = []
    kind = type("Counts", (NoDropout,), {"checkpoint_activations": lambda self: calls.append(1)})
    training = run(panel, kind, work=tmp_path / "work")
    training.micro_rows = LEAST_ROWS
    training.care.halve("as a test")
    training.save()
    training.care.rollback("as a test", "none")
    assert calls == [1]


def test_what_is_not_finite_is_refused_before_it_is_kept(history, tmp_path):
    store = FoldStore(tmp_path / "store")
    with order("nan", "evaluation", tmp_path, times=10_000), pytest.raises(NumeraiKedroError):
        predicted(history, store, recipe(valid_eras=0))
    assert not list((tmp_path / "store" / "predictions").glob("*.f32"))
    assert np.isfinite(predicted(history, store, recipe(valid_eras=0))[0]).all()
