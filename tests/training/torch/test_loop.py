"""A run ends with the same weights when resumed, run in parts, or repaired after a fault."""

import itertools
import math
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from tests.panels import small_panel
from torch import nn

from numerai_kedro.errors import ResourceError
from numerai_kedro.training.network_params import LoopParams
from numerai_kedro.training.torch import loop
from numerai_kedro.training.torch.batches import TrainingEras
from numerai_kedro.training.torch.care import RESTORES, SKIPS_IN_A_ROW, Diverged
from numerai_kedro.training.torch.loop import TrainingRun
from numerai_kedro.training.torch.losses import objective
from numerai_kedro.training.torch.microbatch import CountedMemory

TARGETS = ["target_ender_60", "target_ender_20"]
PARAMS = LoopParams(
    epochs=3,
    batch_rows=40,
    learning_rate=3e-3,
    weight_decay=0.01,
    warm_up=0.1,
    clip_norm=1.0,
    average_decay=0.9,
    corr_weight=0.5,
    patience=3,
)


class Small(nn.Module):
    """Two members, two targets, and dropout: a step that draws random numbers."""

    def __init__(self, n_features):
        super().__init__()
        self.first = nn.Linear(n_features, 16)
        self.dropout = nn.Dropout(0.2)
        self.last = nn.Linear(16, 4)

    def forward(self, features):
        hidden = self.dropout(torch.relu(self.first(features.float() / 4)))
        return self.last(hidden).view(len(features), 2, 2)


@pytest.fixture(scope="module")
def panel(tmp_path_factory):
    return small_panel(tmp_path_factory.mktemp("loop") / "panel", n_eras=12)


def run(panel, build=Small, **given):
    params = given.pop("params", PARAMS)
    eras = TrainingEras(panel, TARGETS, params.batch_rows)
    return TrainingRun(lambda: build(eras.n_features), eras, params, 0, **given)


def weights(one):
    return {name: value.clone() for name, value in one.bare.state_dict().items()}


def assert_equal(first, second):
    for name, value in first.items():
        assert torch.equal(value, second[name]), name


def test_the_same_seed_gives_the_same_weights_and_another_one_others(panel):
    first, second = run(panel), run(panel)
    first.train()
    second.train()
    assert_equal(weights(first), weights(second))
    assert_equal(first.best, second.best)
    other = TrainingRun(lambda: Small(first.eras.n_features), first.eras, PARAMS, 1)
    other.train()
    assert not torch.equal(weights(other)["first.weight"], weights(first)["first.weight"])


@pytest.mark.parametrize("epochs_before", [1, 2])
def test_a_resumed_run_is_the_unbroken_one_bit_by_bit(panel, tmp_path, epochs_before):
    whole = run(panel, work=tmp_path / "whole")
    whole.train()

    class Killed(Exception):
        pass

    def kill(done, total):
        if done == epochs_before * total / PARAMS.epochs + 2:
            raise Killed

    broken = run(panel, work=tmp_path / "broken")
    with pytest.raises(Killed):
        broken.train(kill)
    again = run(panel, work=tmp_path / "broken")
    torch.rand(7)  # whatever was drawn in between
    again.train()
    assert again.at == whole.at
    assert_equal(weights(again), weights(whole))
    assert_equal(again.average, whole.average)
    assert_equal(again.best, whole.best)
    ours, theirs = (training.optimiser.state_dict()["state"] for training in (again, whole))
    for number, state in theirs.items():
        assert_equal(state, ours[number])


def test_the_rate_warms_up_and_falls_by_half_a_cosine_to_a_hundredth(panel):
    training = run(panel, params=PARAMS.model_copy(update={"epochs": 10, "warm_up": 0.1}))
    assert training.n_steps == 120
    rates = {}
    for step in (0, 6, 11, 12, 66, 120):
        training.at.step = step
        rates[step] = training._rate() / PARAMS.learning_rate
    # 1 of 12 warm steps is done in the first; the cosine is half way down at step 66 of 12 to 120.
    expected = {0: 1 / 12, 6: 7 / 12, 11: 1.0, 12: 1.0, 66: 0.505, 120: 0.01}
    assert rates == pytest.approx(expected)
    training.at.rate_factor = 0.25
    assert training._rate() == pytest.approx(0.0025 * PARAMS.learning_rate)


def test_every_step_has_its_rate_and_the_average_follows_faster_early_on(panel):
    training = run(panel)
    batch = training.eras.epoch(0, 0)[0]
    for step, decay in ((0, 0.1), (8, 0.5), (1_000, PARAMS.average_decay)):
        training.at.step = step
        before = training.average["last.weight"].clone()
        training._step(*training.eras.load(batch, torch.device("cpu")))
        now = training.bare.last.weight.detach()
        expected = decay * before + (1 - decay) * now
        torch.testing.assert_close(training.average["last.weight"], expected)
        rates = {group["lr"] for group in training.optimiser.param_groups}
        assert rates == {training._rate()}


def test_matrices_decay_and_biases_do_not(panel):
    training = run(panel)
    network = training.bare
    groups = [
        (group["weight_decay"], [id(p) for p in group["params"]])
        for group in training.optimiser.param_groups
    ]
    assert groups == [
        (PARAMS.weight_decay, [id(network.first.weight), id(network.last.weight)]),
        (0.0, [id(network.first.bias), id(network.last.bias)]),
    ]


def test_a_loss_is_the_objective_of_the_batch_and_its_penalty(panel):
    class Penalised(NoDropout):
        def forward(self, features):
            return super().forward(features), features[:, 0].float()

    training = run(panel, Penalised)
    batch = training.eras.epoch(0, 0)[0]
    features, labels = training.eras.load(batch, torch.device("cpu"))
    with torch.no_grad():
        predictions, penalty = training.bare(features)
    expected = float(objective(predictions, labels, PARAMS.corr_weight) + penalty.mean())
    for rows in (40, 16):
        training.micro_rows = rows
        training.optimiser.zero_grad()
        assert training._backward(features, labels) == pytest.approx(expected, rel=1e-5)


def test_the_share_of_waiting_is_that_of_the_epochs_time(panel, monkeypatch):
    """A clock that is read once a second: 13 waits of a second, in 27."""
    seconds = itertools.count()
    monkeypatch.setattr(loop, "time", SimpleNamespace(monotonic=lambda: next(seconds)))
    training = run(panel, params=PARAMS.model_copy(update={"epochs": 1}))
    training.train()
    assert training.wait_share == pytest.approx(13 / 27)


def test_what_is_overfitted_is_noted_with_both_scores(panel, tmp_path, monkeypatch):
    valid = small_panel(tmp_path / "valid", n_eras=6, seed=3)
    training = run(panel, valid=valid, target=TARGETS[0])
    training.at.best_by_era, training.at.best_epoch, training.at.epoch = [0.01, 0.03], 2, 3
    seen = []

    def corr(learned, predictions):
        seen.append(learned.eras.tolist())
        return np.array([0.2, 0.4])

    monkeypatch.setattr(training, "_corr", corr)
    training._look_at_the_gap()
    assert seen == [[1, 3, 5, 7, 9]]
    (line,) = training.at.recoveries
    assert (line["symptom"], line["remedy"]) == ("overfitted", "epoch 2 of 3 kept")
    assert line["evidence"] == "CORR 0.300 on training eras, 0.020 on later ones"


def test_patience_counts_epochs_since_the_best_and_needs_eras_to_choose_by(panel, tmp_path):
    valid = small_panel(tmp_path / "valid", n_eras=6, seed=3)
    training, alone = run(panel, valid=valid, target=TARGETS[0]), run(panel)
    for epoch, over in ((5, False), (6, True), (7, True)):
        for one in (training, alone):
            one.at.best_epoch, one.at.epoch = 3, epoch
        assert training._patience_is_over() is over
        assert not alone._patience_is_over()


def test_eras_without_corr_count_as_0(panel):
    training = run(panel, target=TARGETS[0])
    two = panel.select(eras=[1, 2])
    predictions = np.concatenate([np.zeros(40), two.target(TARGETS[0])[40:]]).astype(np.float32)
    first, second = training._corr(two, predictions)
    assert first == 0
    assert second > 0.9


class NoDropout(Small):
    def __init__(self, n_features):
        super().__init__(n_features)
        self.dropout = nn.Identity()


@pytest.mark.parametrize("micro_rows", [16, 17, 39])
def test_a_batch_in_parts_has_the_gradients_of_the_whole(panel, micro_rows):
    whole, parts = run(panel, NoDropout), run(panel, NoDropout)
    parts.micro_rows = micro_rows
    whole.train()
    parts.train()
    for name, value in weights(whole).items():
        torch.testing.assert_close(weights(parts)[name], value, rtol=1e-5, atol=1e-6)
    assert parts.at.step == whole.at.step


def test_parts_draw_the_same_dropout_in_both_passes(panel):
    """The second pass reproduces the predictions for which the first took the loss's gradient."""
    training = run(panel)
    training.micro_rows = 16
    seen = []
    training.bare.last.register_forward_hook(
        lambda module, inputs, output: seen.append(output.detach())
    )
    features, labels = training.eras.load(training.eras.epoch(0, 0)[0], torch.device("cpu"))
    training._backward(features, labels)
    half = len(seen) // 2
    for first, second in zip(seen[:half], seen[half:], strict=True):
        assert torch.equal(first, second)


def test_valid_eras_choose_the_epoch(panel, tmp_path):
    valid = small_panel(tmp_path / "valid", n_eras=6, seed=3)
    training = run(panel, valid=valid, target=TARGETS[0])
    training.train()
    assert len(training.at.scores) == training.at.epoch
    assert training.at.scores[training.at.best_epoch - 1] == pytest.approx(
        np.mean(training.at.best_by_era)
    )
    assert np.mean(training.at.highest_by_era) == pytest.approx(max(training.at.scores))


def test_the_best_weights_are_the_averaged_ones_of_the_last_epoch_that_was_not_worse(
    panel, tmp_path, monkeypatch
):
    valid = small_panel(tmp_path / "valid", n_eras=6, seed=3)
    training, averages = run(panel, valid=valid, target=TARGETS[0]), []
    by_epoch = [[0.01] * 6, [0.03] * 6, [0.02] * 6]

    def corr(seen, predictions):
        if len(averages) < 3:  # afterwards the gap to the training eras is measured
            averages.append({name: value.clone() for name, value in training.average.items()})
        return np.array(by_epoch[len(averages) - 1])

    monkeypatch.setattr(training, "_corr", corr)
    training.train()
    assert training.at.best_epoch == 2
    assert_equal(training.best, averages[1])
    assert not torch.equal(averages[1]["first.weight"], averages[2]["first.weight"])
    assert training.at.scores == pytest.approx([0.01, 0.03, 0.02])


def test_without_eras_to_choose_by_the_best_weights_are_the_averaged_ones_at_the_end(panel):
    training = run(panel)
    before = {name: value.clone() for name, value in training.average.items()}
    training.train()
    assert training.at.best_epoch == training.at.epoch == PARAMS.epochs
    assert_equal(training.best, training.average)
    assert not torch.equal(training.best["first.weight"], before["first.weight"])


def test_predictions_are_those_of_the_best_weights_member_by_member_averaged(panel):
    training = run(panel)
    training.train()
    network = Small(len(panel.feature_names))
    network.load_state_dict(training.best)
    network.eval()
    with torch.no_grad():
        expected = network(torch.from_numpy(np.array(panel.features(2))))[:, :, 0].mean(dim=1)
    predicted = training.predict(panel.select(eras=[2]))
    np.testing.assert_allclose(predicted, expected.numpy(), rtol=1e-6)


@pytest.mark.parametrize(("lost", "worse"), [(0.0, False), (0.02, False), (0.06, True)])
def test_only_a_sure_loss_of_corr_is_one(panel, lost, worse):
    """Sixteen eras whose differences have a standard error of .04."""
    training, noise = run(panel), 0.16 * np.resize([1.0, -1.0], 16)
    training.at.highest_by_era = [0.05] * 16
    assert training._is_worse(0.05 - lost + noise * (15 / 16) ** 0.5) is worse


def test_patience_ends_a_run_that_gets_no_better(panel, tmp_path):
    valid = small_panel(tmp_path / "valid", n_eras=6, seed=3)
    params = PARAMS.model_copy(update={"epochs": 30, "learning_rate": 1e-8, "patience": 2})
    training = run(panel, valid=valid, target=TARGETS[0], params=params)
    training._choose = lambda: training.at.scores.append(0.0)  # nothing is ever better
    training.at.best_by_era = [0.0]
    training.train()
    assert training.at.epoch == 2


class Faulty(Small):
    """Predicts NaN in some of its forward passes."""

    bad = range(0)

    def __init__(self, n_features):
        super().__init__(n_features)
        self.calls = 0

    def forward(self, features):
        predictions = super().forward(features)
        if self.training:
            self.calls += 1
            if self.calls in self.bad:
                return predictions * math.nan
        return predictions


def faulty(*bad):
    return type("FaultyHere", (Faulty,), {"bad": bad})


@pytest.mark.parametrize("step", [1, 5, 12])
def test_one_bad_batch_is_skipped_and_the_run_goes_on(panel, step):
    training = run(panel, faulty(step))
    training.train()
    assert training.at.epoch == PARAMS.epochs
    assert [note["remedy"] for note in training.at.recoveries] == ["batch skipped"]
    assert all(torch.isfinite(value).all() for value in training.best.values())


def test_bad_batches_in_a_row_go_back_to_the_checkpoint_at_half_the_rate(panel, tmp_path):
    n = len(run(panel).eras.epoch(0, 0))
    training = run(panel, faulty(*range(n + 2, n + 2 + SKIPS_IN_A_ROW)), work=tmp_path / "work")
    training.train()
    assert training.at.epoch == PARAMS.epochs
    assert (training.at.rate_factor, training.at.order, training.at.restores) == (0.5, 1, 1)
    assert training.at.recoveries[-1]["remedy"].startswith("back to epoch 1, half the rate")
    assert all(torch.isfinite(value).all() for value in training.best.values())


def test_what_never_becomes_finite_is_given_up_with_a_sentence(panel, tmp_path):
    n = len(run(panel).eras.epoch(0, 0))
    training = run(panel, faulty(*range(n + 1, 10_000)), work=tmp_path / "work")
    with pytest.raises(Diverged, match=rf"after {RESTORES} restores; choose a lower learning_rate"):
        training.train()


@pytest.mark.parametrize("step", [1, 4, 12])
def test_out_of_memory_halves_the_parts_and_changes_nothing_else(panel, step):
    class Full(NoDropout):
        calls = 0

        def forward(self, features):
            if self.training and torch.is_grad_enabled() and len(features) > 20:
                type(self).calls += 1
                if type(self).calls >= step:
                    raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 1 GiB")
            return super().forward(features)

    reference, training = run(panel, NoDropout), run(panel, Full)
    reference.train()
    training.train()
    assert training.at.step == reference.at.step
    assert training.micro_rows == 20
    assert [note["symptom"] for note in training.at.recoveries] == ["out of memory"]
    for name, value in weights(reference).items():
        torch.testing.assert_close(weights(training)[name], value, rtol=1e-5, atol=1e-6)


class Wide(nn.Module):
    """Saves about 4 KiB a row."""

    def __init__(self, n_features):
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(n_features, 512), nn.ReLU(), nn.Linear(512, 512), nn.ReLU(), nn.Linear(512, 4)
        )

    def forward(self, features):
        return self.layers(features.float()).view(len(features), 2, 2)


def test_a_small_device_gets_parts_that_fit(tmp_path):
    panel = small_panel(tmp_path / "panel", n_eras=4, n_rows=600)
    params = PARAMS.model_copy(update={"batch_rows": 600, "epochs": 1})
    fixed = CountedMemory(Wide(len(panel.feature_names)), 1e12).fixed
    chosen = []
    for budget in (1.5e6, 3e6, 1e9):
        training = run(
            panel, Wide, params=params, memory=lambda net, b=budget: CountedMemory(net, fixed + b)
        )
        training.train()
        assert not training.at.recoveries
        chosen.append(training.micro_rows)
    assert chosen[0] < chosen[1] < chosen[2] == 600


def test_a_device_that_holds_nothing_is_said_to_be_too_small(tmp_path):
    panel = small_panel(tmp_path / "panel", n_eras=4, n_rows=600)
    with pytest.raises((ResourceError, torch.OutOfMemoryError)):
        run(panel, Wide, memory=lambda net: CountedMemory(net, 1e5))


def test_a_loss_of_corr_in_small_steps_is_one_in_the_end(panel, tmp_path, monkeypatch):
    """Each epoch is compared with the highest, not with the one before."""
    valid = small_panel(tmp_path / "valid", n_eras=16, seed=3)
    training = run(
        panel, valid=valid, target=TARGETS[0], params=PARAMS.model_copy(update={"epochs": 9})
    )
    noise = 0.16 * np.resize([1.0, -1.0], 16) * (15 / 16) ** 0.5
    values = iter([0.05 + k % 2 * noise - 0.03 * k for k in range(20)])
    monkeypatch.setattr(training, "_corr", lambda panel, predictions: next(values))
    training.train()
    assert training.at.best_epoch == 2
    assert training.at.epoch < 9


@pytest.mark.parametrize("part", ["network", "optimiser", "random"])
def test_a_torn_checkpoint_is_begun_anew(panel, tmp_path, part, caplog):
    whole = run(panel, work=tmp_path / "whole")
    whole.train()
    training = run(panel, work=tmp_path / "work")
    training.train()
    torn = tmp_path / "work" / f"{part}.safetensors"
    torn.write_bytes(torn.read_bytes()[:-9])
    again = run(panel, work=tmp_path / "work")
    again.train()
    assert "The fit restarts from the beginning" in caplog.text
    assert_equal(again.best, whole.best)


def test_rows_held_at_once_are_part_of_the_checkpoint(panel, tmp_path):
    """A run that halved them and was then killed continues with as many rows."""
    whole, broken = (run(panel, work=tmp_path / name) for name in ("whole", "broken"))
    n = len(whole.eras.epoch(0, 0))

    def halving(training, kill):
        def step(done, total):
            if done == n:
                training.care.halve("as a test")
            if kill and done == 2 * n + 1:
                raise KeyboardInterrupt

        return step

    whole.train(halving(whole, kill=False))
    with pytest.raises(KeyboardInterrupt):
        broken.train(halving(broken, kill=True))
    again = run(panel, work=tmp_path / "broken")
    again.train()
    assert again.micro_rows == 20
    assert_equal(again.best, whole.best)
