"""Connect to a tournament; for the demo, find a server or become one."""

from __future__ import annotations

import json
import threading
import time
from typing import TYPE_CHECKING

import requests

from numerai_kedro.errors import ConfigurationError, without_password
from numerai_kedro.files.bounded_session import BoundedSession
from numerai_kedro.files.local_answer import PREFIX
from numerai_kedro.numerai.client import Client
from numerai_kedro.numerai.file_source import FileSource
from numerai_kedro.numerai.transport import DEADLINE_S, TIMEOUT_S, Wait, is_loopback
from numerai_kedro.progress import steps_bar
from numerai_kedro.runtime.tournament_settings import TournamentSettings

if TYPE_CHECKING:
    from numerai_kedro.demo.server import DemoServer
    from numerai_kedro.demo.tournament import DemoTournament

PING_TIMEOUT_S = (0.5, 2.0)
# One server per data folder and process; its daemon thread ends with the process.
_serving: dict[str, DemoServer] = {}
_lock = threading.Lock()


def connect(
    settings: TournamentSettings,
    public_id: str | None = None,
    secret_key: str | None = None,
    *,
    prepare: bool = True,
    timeout_s: tuple[float, float] = TIMEOUT_S,
    deadline_s: float = DEADLINE_S,
    wait: Wait = time.sleep,
) -> Client:
    """Connect as the settings say; the one place where demo and real differ.

    Parameters
    ----------
    settings : TournamentSettings
    public_id, secret_key
        Of the real tournament; the demo has its own.
    prepare
        Build the demo's world and files now, with a bar, rather than at the first download.
    timeout_s, deadline_s, wait
        See `Transport`.

    Raises
    ------
    CredentialsError
        Only one of the two keys is given.
    ConfigurationError
        The data folder holds another tournament, or the address is another tournament's.
    """
    _check_one_tournament(settings)
    url = settings.api_url
    if settings.name == "demo":
        from numerai_kedro.demo.tournament import DEMO_PUBLIC_ID, DEMO_SECRET_KEY

        public_id, secret_key = DEMO_PUBLIC_ID, DEMO_SECRET_KEY
        url = url or serving_url(settings) or _serve_here(settings, prepare=prepare)
    elif url is not None and url.startswith(PREFIX):
        return FileSource(url, settings.data_version)
    elif url is None:
        from numerapi import base_api

        url = base_api.API_TOURNAMENT_URL
    return Client(
        url,
        settings.data_version,
        public_id,
        secret_key,
        name=settings.name,
        timeout_s=timeout_s,
        deadline_s=deadline_s,
        wait=wait,
    )


def _check_one_tournament(settings: TournamentSettings) -> None:
    """Refuse settings that mix the demo and the real tournament."""
    url, folder = settings.api_url, settings.data_folder
    if settings.name == "demo" and url and (url.startswith(PREFIX) or not is_loopback(url)):
        raise ConfigurationError(
            f"globals.yml: tournament is demo, and api_url {without_password(url)} is not on this "
            "machine; take api_url out, or choose with kedro tournament use numerai."
        )
    if settings.name != "demo" and (folder / "tournament" / "tournament.sqlite").exists():
        raise ConfigurationError(
            f"globals.yml: tournament is {settings.name}, and data_folder {folder} holds a demo "
            "tournament; choose with kedro tournament use numerai, which gives it a folder of its "
            "own."
        )


def open_demo(settings: TournamentSettings, speed: float = 0.0) -> DemoTournament:
    """State of the demo in the settings, without a server."""
    from numerai_kedro.demo.tournament import DemoTournament

    return DemoTournament(settings.data_folder, settings.size, settings.seed, speed=speed)


def serving_url(settings: TournamentSettings) -> str | None:
    """Address at which the demo is already served; None if no server answers for it.

    A server's file may outlive it, and its port may by now belong to another program: only an
    answer with this demo's own identity counts.
    """
    demo = open_demo(settings)
    try:
        port = int(json.loads((demo.folder / "server.json").read_text())["port"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
    url = f"http://127.0.0.1:{port}"
    try:
        with BoundedSession(url, sum(PING_TIMEOUT_S)) as session:
            answer = session.get(f"{url}/ping", timeout=PING_TIMEOUT_S)
        ours = answer.json().get("instance") == demo.store.fact("instance")
    except (requests.RequestException, ValueError, AttributeError):
        return None
    return url if ours else None


def prepare_with_bar(demo: DemoTournament) -> None:
    """Build world and files of the newest round, with a bar on a terminal."""
    with steps_bar(f"demo tournament ({demo.size}, seed {demo.seed})") as progress:
        demo.prepare(progress)


def _serve_here(settings: TournamentSettings, *, prepare: bool) -> str:
    from numerai_kedro.demo.server import DemoServer

    key = str(settings.data_folder.absolute())
    with _lock:
        if key not in _serving:
            demo = open_demo(settings)
            if prepare:
                prepare_with_bar(demo)
            _serving[key] = DemoServer(demo).start()
        return _serving[key].url
