"""A digest names a content: the same on every machine, another for any other content."""

import pytest

from numerai_kedro.files import digest_bytes, digest_file, digest_json, digests


def test_known_values_never_change():
    """Fold stores and panels written by an earlier version are found by these names."""
    assert digest_bytes(b"") == "99aa06d3014798d86001c324468d497f"
    assert digest_json({"b": [1, 2.5, None], "a": "ä"}) == digest_json(
        {"a": "ä", "b": [1, 2.5, None]}
    )


def test_a_file_has_the_digest_of_its_bytes(tmp_path, monkeypatch):
    monkeypatch.setattr(digests, "BLOCK_BYTES", 7)
    content = bytes(range(100))
    (tmp_path / "x").write_bytes(content)
    assert digest_file(tmp_path / "x") == digest_bytes(content)


def test_what_json_cannot_say_is_refused():
    with pytest.raises(ValueError, match="JSON"):
        digest_json({"x": float("nan")})
