from pathlib import Path

import pytest

from numerai_kedro.errors import ConfigurationError
from numerai_kedro.runtime.tournament_settings import TournamentSettings, data_folder_of, keys_of


def settings(**changes):
    defaults = {"name": "demo", "data_version": "v5.3", "data_folder": Path("data/demo")}
    return TournamentSettings(**defaults | changes)


def test_an_empty_address_means_the_tournaments_own():
    assert settings(api_url="").api_url is None
    assert settings(api_url="http://127.0.0.1:1/").api_url == "http://127.0.0.1:1"


@pytest.mark.parametrize(
    ("name", "size"), [("demo", "huge"), ("demo", "numerai"), ("numerai", "tiny")]
)
def test_a_size_that_the_tournament_lacks_is_refused_with_those_it_has(name, size):
    with pytest.raises(ConfigurationError, match=f'"{size}" is none of .*: '):
        settings(name=name, size=size)


def test_a_negative_seed_is_refused():
    with pytest.raises(ConfigurationError, match="count from 0"):
        settings(seed=-1)


def test_every_choice_has_a_folder_of_its_own():
    choices = [("demo", "demo", 0), ("demo", "demo", 1), ("demo", "tiny", 0), ("numerai", "x", 0)]
    folders = [data_folder_of(*choice) for choice in choices]
    assert folders == ["data/demo", "data/demo-demo-1", "data/demo-tiny-0", "data/numerai"]


def test_keys_are_read_from_a_mapping_and_nothing_else():
    assert keys_of(None) == keys_of({"public_id": ""}) == (None, None)
    assert keys_of({"public_id": "a", "secret_key": "b"}) == ("a", "b")
    with pytest.raises(ConfigurationError, match="numerai: should hold public_id and secret_key"):
        keys_of("abc")
