"""Transformations of the user's own are fitted by window, and see no era or target beyond it."""

import sys
import threading
from types import ModuleType
from typing import ClassVar

import numpy as np
import pytest
from tests.panels import small_panel
from tests.runners import runner_at
from tests.training.test_walk_forward import FOLDS, PURGE, recipe

from numerai_kedro.cache import FoldStore
from numerai_kedro.data import open_panel, write_panel
from numerai_kedro.data.joined import transform_of
from numerai_kedro.errors import ConfigurationError, Failed, PanelError
from numerai_kedro.features.fitted_transform import levels_between
from numerai_kedro.features.own_transforms import columns_by_name, derive
from numerai_kedro.files.trusted_pickle import TRUSTED_VARIABLE, trust
from numerai_kedro.models.with_derived import WithDerived
from numerai_kedro.own_code import note_sources
from numerai_kedro.training.engineered import Engineered, record_name
from numerai_kedro.training.fit_runner import FitRunner
from numerai_kedro.training.importance import importance_by_fold
from numerai_kedro.training.recipe import Option
from numerai_kedro.training.walk_forward import fit_live, walk_forward

MODULE = "own_features_of_tests"
NAME = f"{MODULE}.Squares"
TARGET = "target_ender_60"


class Squares:
    """Squares of the two features that go with the target best, centred by their training mean."""

    n_columns = 2
    fitted_on: ClassVar[list] = []

    def fit(self, panel, train_eras):
        label = panel.target(TARGET)
        rows = np.concatenate([panel.features(era) for era in train_eras]).astype(np.float64)
        slopes = (rows - 2).T @ (label - label.mean())
        self.best = np.argsort(-np.abs(slopes))[:2]
        self.means = rows[:, self.best].mean(axis=0)
        self.fitted_on.append(int(train_eras[-1]))

    def transform(self, panel):
        rows = np.concatenate([panel.features(era) for era in panel.eras])
        return (rows[:, self.best] - self.means) ** 2


@pytest.fixture(autouse=True)
def module(monkeypatch):
    """The module of the user's own classes."""
    own = ModuleType(MODULE)
    monkeypatch.setitem(sys.modules, MODULE, own)
    monkeypatch.setenv(TRUSTED_VARIABLE, "")
    trust(MODULE)

    def add(kind, **changes):
        name = changes.pop("name", "Squares")
        made = type(name, (kind,), {"__module__": MODULE, "fitted_on": [], **changes})
        setattr(own, name, made)
        return made

    add(Squares)
    own.add = add
    return own


@pytest.fixture
def panel(tmp_path):
    return small_panel(tmp_path / "panel", n_eras=FOLDS[-1].test[1])


def derived(panel, tmp_path, train=(1, 20), newest=25, name=NAME, source="of the code"):
    return derive(name, source, panel, train, newest, FoldStore(tmp_path / "store"))


def test_columns_are_the_levels_of_what_it_returns(panel, tmp_path):
    columns = derived(panel, tmp_path)
    write_panel(tmp_path / "columns", columns)
    written = open_panel(tmp_path / "columns")
    assert written.eras.tolist() == list(range(1, 26))
    assert [transform_of(name) for name in written.feature_names] == [NAME, NAME]
    values = columns.fitted.transform.transform(panel.select(eras=[23])).astype(np.float32)
    expected = (values[:, :, None] > columns.fitted.edges.T[None]).sum(axis=2)
    np.testing.assert_array_equal(written.features(23), expected)


def test_a_fit_and_its_columns_are_made_once(panel, tmp_path, module):
    kind = module.Squares
    first = derived(panel, tmp_path)
    again = derived(panel, tmp_path, newest=27)
    assert kind.fitted_on == [20]
    assert again.digest == first.digest
    derived(panel, tmp_path, train=(1, 21))
    assert kind.fitted_on == [20, 21]


def test_fits_learn_the_columns_of_their_own_window(panel, tmp_path):
    windows = {}
    for fold in FOLDS:
        columns = derived(panel, tmp_path, fold.train, fold.test[1])
        folder = tmp_path / record_name(NAME, fold.train[1])
        write_panel(folder, columns)
        windows[folder.name] = open_panel(folder)
    assert "." not in folder.name
    engineered = Engineered(own_features=windows)
    way = recipe().with_option(Option(features=[NAME]))
    recipes = [engineered.applied(way, fold.train, panel.feature_names) for fold in FOLDS]
    for fold, applied in zip(FOLDS, recipes, strict=True):
        (fit,) = applied.fits(panel, fold.train)
        assert (
            fit.train.feature_names[-2:] == windows[record_name(NAME, fold.train[1])].feature_names
        )
    store = FoldStore(tmp_path / "store")
    predictions, _ = walk_forward(panel, FOLDS, recipes, PURGE, FitRunner(store))
    assert np.isfinite(predictions["prediction"]).all()
    importance = importance_by_fold(panel, FOLDS, recipes, TARGET, 13, FitRunner(store))
    assert importance.loc[importance["feature"] == NAME, "gain"].gt(0).all()
    with pytest.raises(PanelError, match=rf"learns from {NAME}, and there are none for eras up to"):
        engineered.applied(way, (1, 5), panel.feature_names)
    off = Engineered(own_features=Failed("derive_features", "it failed"))
    with pytest.raises(PanelError, match=rf"{NAME}, and there are none: it failed"):
        off.applied(way, (1, 20), panel.feature_names)


def test_a_live_model_brings_its_transformations(panel, tmp_path):
    from numerai_kedro.files.trusted_pickle import read_trusted, write_trusted

    columns = derived(panel, tmp_path, newest=20)
    write_panel(tmp_path / "columns", columns)
    record = {record_name(NAME, 20): open_panel(tmp_path / "columns")}
    way = recipe().with_option(Option(features=[NAME]))
    applied = Engineered(own_features=record).applied(way, (1, 20), panel.feature_names)
    (model,) = fit_live(panel, (1, 20), applied, runner_at(tmp_path / "store"))
    write_trusted(tmp_path / "model", WithDerived(model, [columns.fitted]))
    read = read_trusted(tmp_path / "model")
    live = panel.select(eras=[24, 25])
    rows = [
        np.hstack([live.features(era), columns.fitted.derive(live.select(eras=[era]))])
        for era in (24, 25)
    ]
    expected = np.concatenate([model.predict_rows(piece) for piece in rows])
    np.testing.assert_array_equal(read.predict(live), expected)
    assert set(read.feature_names) == set(panel.feature_names)


def peek_at_a_later_era(self, panel, train_eras):
    panel.features(int(train_eras[-1]) + 1)


def peek_at_targets(self, panel):
    return np.column_stack([panel.target(TARGET)] * 2)


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"fit": peek_at_a_later_era}, "fit on eras 0001-0020 raised PanelError: .*era 0021"),
        ({"transform": peek_at_targets}, 'era 0001 raised PanelError: .*"target_ender_60"'),
        (
            {"transform": lambda self, panel: np.zeros((3, 2))},
            r"shape \(3, 2\) for era 0001; it should be \(40, 2\)",
        ),
        (
            {"transform": lambda self, panel: np.full((panel.n_rows, 2), np.nan)},
            "era 0001 that are not finite",
        ),
        ({"transform": lambda self, panel: 1 / 0}, "era 0001 raised ZeroDivisionError"),
        ({"__init__": lambda self, size: None}, "0001-0020 raised TypeError: .*size"),
        ({"fit": lambda self, panel, eras: {}["no"]}, "0001-0020 raised KeyError: 'no'"),
    ],
)
def test_what_goes_wrong_in_it_is_a_sentence(panel, tmp_path, module, changes, problem):
    module.add(Squares, **changes)
    with pytest.raises(PanelError, match=f"{NAME}: .*{problem}"):
        derived(panel, tmp_path)


def ranks_of(number):
    def transform(self, panel):
        rows = np.concatenate([panel.features(era) for era in panel.eras])
        return np.column_stack([rows[:, number].argsort().argsort()] * 2)

    return transform


def test_changed_code_of_the_same_state_derives_other_columns(panel, tmp_path, module):
    """Ranks have the same edges, whichever feature they are of."""
    stateless = {"fit": lambda self, panel, train_eras: None}
    levels = []
    for number, source in enumerate(("before", "after")):
        module.add(Squares, transform=ranks_of(number), **stateless)
        columns = derived(panel, tmp_path, source=source)
        era = panel.select(eras=[23])
        np.testing.assert_array_equal(columns.levels(era), columns.fitted.derive(era))
        levels.append(columns.levels(era))
    assert (levels[0] != levels[1]).any()


def test_a_stored_one_refuses_to_derive_by_changed_code(panel, tmp_path, monkeypatch):
    fitted = derived(panel, tmp_path).fitted
    monkeypatch.setenv("NUMERAI_KEDRO_OWN_TRANSFORMS", "{}")
    note_sources({NAME: "of the code"})
    assert fitted.derive(panel.select(eras=[23])).shape == (40, 2)
    note_sources({NAME: "of changed code"})
    with pytest.raises(PanelError, match=f"{NAME} has changed since it was fitted"):
        fitted.derive(panel.select(eras=[23]))


def test_a_column_of_few_values_has_a_level_for_each():
    column = np.array([-1.0] * 3 + [0.0] * 97, dtype=np.float32)
    for values in (column, -column):
        edges = levels_between(values[:, None])[:, 0]
        assert set(np.searchsorted(edges, values).tolist()) == {0, 1}


@pytest.mark.parametrize(
    ("state", "reason"), [(lambda: 0, "pickle"), (threading.Lock(), "cannot pickle")]
)
def test_what_cannot_be_pickled_is_a_sentence(panel, tmp_path, module, state, reason):
    def fit(self, panel, train_eras):
        Squares.fit(self, panel, train_eras)
        self.state = state

    module.add(Squares, fit=fit)
    with pytest.raises(PanelError, match=f"what it learned cannot be stored: .*{reason}"):
        derived(panel, tmp_path)


def test_what_cannot_be_read_back_is_refused_when_it_is_fitted(panel, tmp_path, module):
    def fit(self, panel, train_eras):
        Squares.fit(self, panel, train_eras)
        self.rng = np.random.default_rng(0)

    module.add(Squares, fit=fit)
    with pytest.raises(PanelError, match="cannot be stored: it names numpy"):
        derived(panel, tmp_path)


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"n_columns": 0}, "a whole number above 0"),
        ({"n_columns": "two"}, "a whole number above 0"),
        ({"name": "Other"}, "nowhere|cannot be imported"),
    ],
)
def test_a_class_that_is_no_transformation_is_refused(module, changes, problem):
    module.add(Squares, **changes)
    name = f"{MODULE}.Nowhere" if "name" in changes else NAME
    with pytest.raises(ConfigurationError, match=problem):
        columns_by_name([name])


def test_what_lacks_a_method_is_refused(module):
    module.Bare = type("Bare", (), {"n_columns": 1, "__module__": MODULE})
    with pytest.raises(
        ConfigurationError, match=r"no feature transformation.*lacks fit, transform"
    ):
        columns_by_name([f"{MODULE}.Bare"])
    assert columns_by_name([NAME]) == {NAME: 2}
