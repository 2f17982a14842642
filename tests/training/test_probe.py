"""The probe times the fit alone, without building the rows or binning them."""

import sys
import time
from types import SimpleNamespace

import pytest

from numerai_kedro.training import probe


@pytest.mark.parametrize("seconds", [2.0, 4.0])
def test_only_the_fastest_fit_counts_and_on_the_threads_asked_for(monkeypatch, seconds):
    now, cells, threads = [0.0], [], []
    disturbed = iter([3.0, 0.0, 1.0])

    class Dataset:
        """Binned once: when it is told to, or else by the first fit."""

        def __init__(self, features, label, params):
            self.features, self.binned = features, False

        def construct(self):
            now[0] += 0 if self.binned else 100
            self.binned = True
            return self

    def train(params, data, num_boost_round):
        data.construct()
        now[0] += seconds + next(disturbed)
        threads.append(params["num_threads"])
        cells.append(data.features.size * num_boost_round)

    fake = SimpleNamespace(Dataset=Dataset, train=train)
    monkeypatch.setitem(sys.modules, "lightgbm", fake)
    monkeypatch.setattr(time, "perf_counter", lambda: now[0])
    assert probe.lightgbm_work_per_second(3) == probe.PROBE_WORK / seconds
    assert {*cells} == {probe.N_ROWS * probe.N_FEATURES * probe.N_TREES}
    assert threads == [3] * probe.N_FITS
