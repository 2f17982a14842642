"""Scarce memory and disk are reported, by control group, machine and stall information."""

import pytest

from numerai_kedro.compute import pressure

STALLED = "some avg10={} avg60=1.00 avg300=0.10 total=1\nfull avg10=0.00 avg60=0.00 total=0\n"


@pytest.mark.parametrize(
    ("left", "stalled", "words"),
    [
        (8.0, "0.00", None),
        (0.3, "0.00", "0.30 GB of memory left"),
        (8.0, "23.50", "in 24 % of the last ten seconds"),
    ],
)
def test_memory(tmp_path, monkeypatch, left, stalled, words):
    monkeypatch.setattr(pressure, "left_gb", lambda: left)
    monkeypatch.setattr(pressure, "STALLS", tmp_path / "memory")
    (tmp_path / "memory").write_text(STALLED.format(stalled))
    message = pressure.memory_pressure()
    assert message is None if words is None else words in message


def test_a_kernel_without_stall_information_stalls_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr(pressure, "STALLS", tmp_path / "absent")
    assert pressure.stalled_share() == 0.0


def test_disk_is_asked_where_the_folder_will_be(tmp_path):
    folder = tmp_path / "not" / "yet"
    assert pressure.disk_pressure(folder, 1.0) is None
    assert "GB of disk left, 1048576.00 wanted" in pressure.disk_pressure(folder, 2.0**50)
