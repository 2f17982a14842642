"""Shared by all tests: no waits between attempts, no keys from the developer's own environment."""

import pytest
import tenacity


@pytest.fixture(autouse=True)
def _hermetic(monkeypatch):
    monkeypatch.setattr("numerai_kedro.files.download.WAIT", tenacity.wait_none())
    for name in ("NUMERAI_PUBLIC_ID", "NUMERAI_SECRET_KEY", "HTTP_PROXY", "http_proxy"):
        monkeypatch.delenv(name, raising=False)
