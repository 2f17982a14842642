"""Limits of version 1 and 2, of the process's own group and of those above it."""

import pytest

from numerai_kedro.compute import cgroups


@pytest.fixture
def tree(tmp_path, monkeypatch):
    """Write files of groups; say which group the process is in."""

    def build(own, files):
        for place, text in files.items():
            path = tmp_path / "cgroup" / place
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        (tmp_path / "own").write_text(own)

    monkeypatch.setattr(cgroups, "ROOT", tmp_path / "cgroup")
    monkeypatch.setattr(cgroups, "OF_PROCESS", tmp_path / "own")
    return build


def test_version_1_is_read_from_its_own_hierarchy(tree):
    tree(
        "4:memory:/job\n1:cpu:/\n0::/\n",
        {
            "memory/memory.limit_in_bytes": "9223372036854771712",
            "memory/job/memory.limit_in_bytes": "4000",
            "memory/job/memory.usage_in_bytes": "3000",
            "memory/job/memory.stat": "cache 700\ntotal_inactive_file 500\n",
            "memory/job/memory.oom_control": "oom_kill_disable 0\noom_kill 2\n",
        },
    )
    assert cgroups.memory_limit() == 4000
    assert cgroups.memory_left() == 1500
    assert cgroups.oom_kills() == 2


def test_the_tightest_group_of_version_2_counts(tree):
    tree(
        "0::/user/job\n",
        {
            "user/memory.max": "5000\n",
            "user/memory.current": "4500\n",
            "user/job/memory.max": "max\n",
            "user/job/memory.events": "oom 3\noom_kill 1\n",
            "user/job/cpu.max": "150000 100000\n",
        },
    )
    assert cgroups.memory_limit() == 5000
    assert cgroups.memory_left() == 500
    assert cgroups.oom_kills() == 1
    assert cgroups.cores() == 1


@pytest.mark.parametrize("own", ["", "0::/gone\n", "4:memory:/docker/abc\n"])
def test_without_groups_there_is_no_limit(tree, own):
    tree(own, {})
    assert cgroups.memory_limit() is None
    assert cgroups.memory_left() is None
    assert cgroups.oom_kills() == 0
    assert cgroups.cores() >= 1


def test_a_container_that_sees_only_its_own_mount_is_limited_by_it(tree):
    tree("4:memory:/docker/abc\n", {"memory/memory.limit_in_bytes": "4000"})
    assert cgroups.memory_limit() == 4000
