"""Keys go into the connection and nowhere else."""

import pickle

import pytest
from kedro.io import DatasetError

from numerai_kedro.datasets import tournament
from numerai_kedro.datasets.tournament import TournamentDataset
from numerai_kedro.errors import ConfigurationError

KEYS = {"public_id": "PUBLIC", "secret_key": "CANARY"}


def dataset(tmp_path, **changed):
    options = {
        "tournament": "demo",
        "size": "tiny",
        "seed": 0,
        "data_version": "v5.3",
        "api_url": None,
        "filepath": str(tmp_path),
        "credentials": KEYS,
    }
    return TournamentDataset(**options | changed)


def test_one_connection_a_run_made_when_it_is_needed(tmp_path, monkeypatch):
    connections = []
    monkeypatch.setattr(
        tournament, "connect", lambda _, *keys: connections.append(keys) or object()
    )
    entry = dataset(tmp_path)
    assert connections == []
    assert entry.load() is entry.load()
    assert connections == [tuple(KEYS.values())]
    assert pickle.loads(pickle.dumps(entry))._client is None


def test_empty_keys_are_none(tmp_path, monkeypatch):
    connections = []
    monkeypatch.setattr(
        tournament, "connect", lambda _, *keys: connections.append(keys) or object()
    )
    dataset(tmp_path, credentials={"public_id": "", "secret_key": ""}).load()
    assert connections == [(None, None)]


def test_no_description_shows_a_key(tmp_path):
    entry = dataset(tmp_path)
    for text in (repr(entry), str(entry), str(entry._describe())):
        assert "CANARY" not in text
    with pytest.raises(DatasetError) as refused:
        entry.save("x")
    assert "CANARY" not in str(refused.value)


def test_a_size_that_is_none_is_said_before_anything_connects(tmp_path):
    with pytest.raises(ConfigurationError, match='size "huge" is none of the demo'):
        dataset(tmp_path, size="huge")
