import json
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from numerai_kedro.demo.server import DemoServer
from numerai_kedro.demo.tournament import DEMO_PUBLIC_ID, DEMO_SECRET_KEY
from numerai_kedro.errors import ConfigurationError, CredentialsError
from numerai_kedro.runtime import connection
from numerai_kedro.runtime.connection import connect, open_demo, serving_url
from numerai_kedro.runtime.tournament_settings import TournamentSettings


@pytest.fixture
def settings(demo_folder):
    return TournamentSettings(
        name="demo", size="tiny", seed=0, data_version="v5.3", data_folder=demo_folder
    )


@pytest.fixture(autouse=True)
def _stop_servers():
    yield
    while connection._serving:
        connection._serving.popitem()[1].close()


def test_connecting_to_the_demo_starts_one_server(settings):
    first, second = connect(settings), connect(settings)
    assert first.transport.url == second.transport.url
    assert "demo" in first.models()


def test_a_server_in_the_foreground_is_found_and_no_other_started(settings):
    with DemoServer(open_demo(settings)) as server:
        assert connect(settings).transport.url == server.url
        assert connection._serving == {}
    assert serving_url(settings) is None


def test_a_server_that_was_killed_is_not_believed_in(settings):
    demo = open_demo(settings)
    (demo.folder / "server.json").write_text(json.dumps({"port": 9, "pid": 1}))
    assert serving_url(settings) is None
    assert connect(settings).models()


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"port": "x"}', '{"port": null}'])
def test_a_torn_note_of_the_server_is_no_obstacle(settings, content):
    (open_demo(settings).folder / "server.json").write_text(content)
    assert serving_url(settings) is None


class _Stranger(BaseHTTPRequestHandler):
    body = b'{"instance": "somebody else"}'

    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(self.body)

    def log_message(self, *arguments):
        pass


@pytest.mark.parametrize("body", [b'{"instance": "somebody else"}', b"[1]", b"hello"])
def test_another_program_on_the_port_is_not_taken_for_the_demo(settings, body, monkeypatch):
    monkeypatch.setattr(_Stranger, "body", body)
    stranger = HTTPServer(("127.0.0.1", 0), _Stranger)
    threading.Thread(target=stranger.serve_forever, args=(0.05,), daemon=True).start()
    note = {"port": stranger.server_address[1], "pid": 1}
    (open_demo(settings).folder / "server.json").write_text(json.dumps(note))
    assert serving_url(settings) is None
    stranger.shutdown()
    stranger.server_close()


def test_the_demo_never_sees_the_users_keys(settings):
    client = connect(settings, "USERS", "KEYS")
    assert client.token.header() == f"Token {DEMO_PUBLIC_ID}${DEMO_SECRET_KEY}"


def real(tmp_path, url=None):
    return TournamentSettings(
        name="numerai", size="numerai", data_version="v5.3", data_folder=tmp_path, api_url=url
    )


def test_the_real_tournament_runs_against_a_local_server_in_its_place(settings, tmp_path):
    """Same code path: only address and keys differ."""
    with DemoServer(open_demo(settings)) as server:
        client = connect(real(tmp_path, server.url), DEMO_PUBLIC_ID, DEMO_SECRET_KEY)
        assert client.round_info()["number"] == 1412
        assert "demo" in client.models()
        keyless = connect(real(tmp_path, server.url))
        assert keyless.data_files()
        with pytest.raises(CredentialsError, match="NUMERAI_PUBLIC_ID"):
            keyless.models()


def test_the_real_tournament_has_numerais_address(tmp_path):
    assert connect(real(tmp_path)).transport.url == "https://api-tournament.numer.ai"


def test_a_client_knows_its_tournament(settings, tmp_path):
    demo = connect(settings)
    assert (demo.name, demo.is_real) == ("demo", False)
    assert (connect(real(tmp_path)).name, connect(real(tmp_path)).is_real) == ("numerai", True)


def test_the_demo_at_an_address_elsewhere_is_refused(settings):
    elsewhere = settings.model_copy(update={"api_url": "https://me:secret@api-tournament.numer.ai"})
    with pytest.raises(ConfigurationError, match=r"is demo, and api_url .* not on this") as refused:
        connect(elsewhere)
    assert "secret" not in str(refused.value)


def test_the_real_tournament_in_the_folder_of_a_demo_is_refused(settings, demo_folder):
    open_demo(settings)
    with pytest.raises(ConfigurationError, match=r"is numerai, and .* holds a demo tournament"):
        connect(real(demo_folder))


def test_a_folder_of_another_demo_is_refused(settings):
    open_demo(settings)
    with pytest.raises(ConfigurationError, match="size tiny and seed 0, not of tiny and 3"):
        connect(settings.model_copy(update={"seed": 3}))
