"""`kedro tournament …` in a project folder of its own."""

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import yaml
from click.testing import CliRunner
from tests.project import QUICK, TINY, Project
from tests.test_weekly import sentence

from numerai_kedro.cli import commands
from numerai_kedro.demo.server import DemoServer
from numerai_kedro.demo.tournament import DEMO_PUBLIC_ID, DEMO_SECRET_KEY
from numerai_kedro.errors import CredentialsError
from numerai_kedro.numerai import opening
from numerai_kedro.numerai.submission import to_csv
from numerai_kedro.runtime import connection
from numerai_kedro.runtime.connection import connect, open_demo

# Kedro registers resolvers by a name that newer OmegaConf calls deprecated; `cli` ignores that on
# the command line, where pytest's own filters do not stand before it.
pytestmark = pytest.mark.filterwarnings("ignore:register_new_resolver:UserWarning")

CONF = Path(__file__).parents[2] / "conf"


@pytest.fixture
def project(tmp_path, tiny_demo):
    """A project that uses a tiny demo, its world built already."""
    root = tmp_path / "project"
    shutil.copytree(CONF / "base", root / "conf" / "base")
    (root / "conf" / "local").mkdir()
    served = root / "data" / "demo-tiny-0" / "tournament"
    served.mkdir(parents=True)
    (served / "world").symlink_to(tiny_demo / "tournament" / "world")
    shutil.copytree(tiny_demo / "tournament" / "published", served / "published")
    yield root
    while connection._serving:
        connection._serving.popitem()[1].close()


@pytest.fixture
def kedro(project):
    def call(*arguments):
        metadata = SimpleNamespace(project_path=project)
        return CliRunner().invoke(commands.cli, ["tournament", *arguments], obj=metadata)

    return call


@pytest.fixture
def tiny(kedro):
    assert kedro("use", "demo", "--size", "tiny").exit_code == 0


def local_globals(project):
    return yaml.safe_load((project / "conf/local/globals.yml").read_text())


def submit(project):
    settings, _ = commands.load_settings(project)
    client = connect(settings)
    demo = open_demo(settings)
    files = demo.archive.files(demo.latest(demo.clock.now()))
    ids = pd.read_parquet(files["live.parquet"], columns=["era"]).index
    ranks = (np.arange(len(ids)) + 0.5) / len(ids)
    return client.submit(
        to_csv(pd.DataFrame({"id": ids, "prediction": ranks})), client.models()["demo"]
    )


def test_use_writes_plain_leaves_and_keeps_the_users_own(kedro, project):
    path = project / "conf/local/globals.yml"
    path.write_text("api_url: http://127.0.0.1:1\nmine: 7\n")
    answer = kedro("use", "demo", "--size", "tiny", "--seed", "5")
    assert answer.exit_code == 0, answer.output
    assert local_globals(project) == {
        "api_url": "http://127.0.0.1:1",
        "mine": 7,
        "tournament": "demo",
        "size": "tiny",
        "seed": 5,
        "data_folder": "data/demo-tiny-5",
    }


@pytest.mark.parametrize(
    ("arguments", "size", "folder"),
    [(["demo"], "demo", "data/demo"), (["numerai"], "numerai", "data/numerai")],
)
def test_use_without_options_is_the_default(kedro, project, arguments, size, folder):
    assert kedro("use", *arguments).exit_code == 0
    chosen = local_globals(project)
    assert (chosen["size"], chosen["seed"], chosen["data_folder"]) == (size, 0, folder)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["demo", "--size", "huge"], '"huge" is none of the demo tournament'),
        (["numerai", "--seed", "1"], "--size and --seed belong to the demo"),
    ],
)
def test_a_wrong_choice_changes_nothing(kedro, project, tiny, arguments, sentence):
    before = local_globals(project)
    answer = kedro("use", *arguments)
    assert answer.exit_code == 1
    assert sentence in answer.output
    assert local_globals(project) == before


@pytest.mark.parametrize("content", ["- a\n", "text", "a: [", "a: b: c"])
def test_a_broken_local_file_is_left_as_it_is(kedro, project, content):
    path = project / "conf/local/globals.yml"
    path.write_text(content)
    answer = kedro("use", "demo")
    assert answer.exit_code == 1
    assert isinstance(answer.exception, SystemExit), answer.exception
    assert path.read_text() == content


@pytest.mark.parametrize("options", [[], ["--all"]])
def test_status_tells_tournament_and_round_before_anything_was_run(kedro, tiny, options):
    answer = kedro("status", *options)
    assert answer.exit_code == 0, answer.output
    assert answer.output.splitlines() == [
        "tournament  demo, size tiny, seed 0, data v5.3",
        "round       1412, open for another 43 min",
        "submitted   nothing yet in this round",
    ]


def test_one_option_alone_changes_the_demo_that_is_chosen(kedro, project):
    kedro("use", "demo", "--size", "tiny", "--seed", "5")
    assert "size tiny, seed 7" in kedro("use", "demo", "--seed", "7").output
    assert "size demo, seed 7" in kedro("use", "demo", "--size", "demo").output
    assert "size demo, seed 0" in kedro("use", "demo").output
    kedro("use", "numerai")
    assert "size demo, seed 3" in kedro("use", "demo", "--seed", "3").output


@pytest.mark.slow
def test_status_tells_what_was_submitted_and_what_it_scored(kedro, project, tiny):
    receipt = submit(project)
    assert f"submitted   demo: {receipt['filename']}" in kedro("status").output
    assert kedro("advance", "--weeks", "3").exit_code == 0
    later = kedro("status").output
    assert "submitted   nothing yet in this round" in later
    assert "scored      demo, round 1412: corr60 " in later
    assert ", mmc60 " in later
    assert "(day " in later
    kedro("advance", "--weeks", "12")
    assert "(resolved)" in kedro("status").output


@pytest.mark.slow
def test_advance_moves_into_the_round_that_many_later(kedro, project, tiny):
    answer = kedro("advance", "--rounds", "3")
    assert answer.exit_code == 0, answer.output
    assert "The demo is in round 1415, Tue 08 Dec 2026" in answer.output
    settings, _ = commands.load_settings(project)
    demo = open_demo(settings)
    folders = {path.name for path in (demo.folder / "published").rglob("*") if path.is_dir()}
    assert "round-01415" in folders  # built now, with a progress bar, not while a client waits
    assert "week-0161" in folders


@pytest.mark.parametrize("arguments", [[], ["--rounds", "0"], ["--rounds", "-1"]])
def test_advance_by_nothing_is_refused(kedro, tiny, arguments):
    answer = kedro("advance", *arguments)
    assert answer.exit_code != 0
    assert isinstance(answer.exception, SystemExit)


@pytest.mark.parametrize("command", [["advance", "--rounds", "1"], ["serve"]])
def test_what_only_the_demo_can_is_refused_on_the_real_tournament(kedro, command):
    kedro("use", "numerai")
    answer = kedro(*command)
    assert answer.exit_code == 1
    assert "only the demo can" in answer.output


def _hear_ctrl_c():
    """Processes that a shell starts in the background ignore Ctrl-C, and so do their children."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.mark.slow
def test_what_serve_prints_points_an_unmodified_numerapi_at_it(project, tiny):
    """A process of its own, a script of its own; Ctrl-C ends it."""
    shutil.copy(CONF.parent / "pyproject.toml", project)
    (project / "src").mkdir()  # required by Kedro; the package itself is installed
    command = [sys.executable, "-m", "kedro", "tournament", "serve"]
    quiet = os.environ | {"PYTHONUNBUFFERED": "1", "KEDRO_DISABLE_TELEMETRY": "1"}
    with subprocess.Popen(
        command, cwd=project, stdout=subprocess.PIPE, text=True, env=quiet, preexec_fn=_hear_ctrl_c
    ) as served:
        try:
            printed = ""
            while "NO_PROXY" not in printed:
                line = served.stdout.readline()
                assert line, f"it ended after: {printed}"
                printed += line
            instructions = printed.partition("Any numerapi client")[2].splitlines()
            code = "\n".join(line[4:] for line in instructions if line[:4] == "    ")
            script = f"{code}\nprint(api.get_current_round(), *api.get_models())"
            ran = subprocess.run(
                [sys.executable, "-c", script], capture_output=True, text=True, timeout=60
            )
            assert ran.stdout.split() == ["1412", "demo", "demo_second", "demo_pickle"], ran.stderr
            served.send_signal(signal.SIGINT)
            assert "Stopped." in served.communicate(timeout=30)[0]
            assert served.returncode == 0
        finally:
            served.kill()
    assert not (project / "data/demo-tiny-0/tournament/server.json").exists()


def test_a_port_in_use_and_a_second_server_are_refused(kedro, project, tiny):
    settings, _ = commands.load_settings(project)
    with DemoServer(open_demo(settings)) as server:
        answer = kedro("serve")
        assert answer.exit_code == 1
        assert f"served already, at {server.url}" in answer.output
        (server.tournament.folder / "server.json").unlink()
        answer = kedro("serve", "--port", str(server.port))
        assert answer.exit_code == 1
        assert f"Port {server.port} is not available" in answer.output


@pytest.mark.parametrize("where", ["environment", "conf/local"])
def test_the_real_tournaments_keys_are_found(kedro, project, tiny, monkeypatch, where):
    settings, _ = commands.load_settings(project)
    with DemoServer(open_demo(settings)) as server:
        kedro("use", "numerai")
        commands.write_local_globals(project / "conf/local/globals.yml", {"api_url": server.url})
        without = kedro("status")
        assert without.exit_code == 0, without.output
        assert "create a key at numer.ai" in without.output
        if where == "environment":
            monkeypatch.setenv("NUMERAI_PUBLIC_ID", DEMO_PUBLIC_ID)
            monkeypatch.setenv("NUMERAI_SECRET_KEY", DEMO_SECRET_KEY)
        else:
            entry = {"numerai": {"public_id": DEMO_PUBLIC_ID, "secret_key": DEMO_SECRET_KEY}}
            (project / "conf/local/credentials.yml").write_text(yaml.safe_dump(entry))
            monkeypatch.setenv("NUMERAI_PUBLIC_ID", "not these: conf/local wins")
            monkeypatch.setenv("NUMERAI_SECRET_KEY", "not these: conf/local wins")
        status = kedro("status")
        assert status.exit_code == 0, status.output
        assert "create a key" not in status.output
        assert DEMO_SECRET_KEY not in status.output


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("seed: many\n", "seed"),
        ("tournament: nasdaq\n", "tournament"),
        ("size: big\n", '"big"'),
        ("data_version: [1]\n", "data_version"),
    ],
)
def test_a_wrong_setting_is_named(kedro, project, text, named):
    (project / "conf/local/globals.yml").write_text(text)
    answer = kedro("status")
    assert answer.exit_code == 1
    assert "globals.yml" in answer.output
    assert named in answer.output


def test_an_error_that_ends_the_waiting_is_told(kedro, project, tiny, monkeypatch):
    """Otherwise a timer's submission would never run, and nobody would know."""

    def refused(*arguments):
        raise CredentialsError("The keys were refused.")

    monkeypatch.setattr(opening, "wait_for_opening", refused)
    notice = project / "told.json"
    settings = {"notify": {"on_failure": f"cat > {notice}"}}
    (project / "conf/local/parameters.yml").write_text(yaml.safe_dump(settings))
    ended = kedro("wait")
    assert ended.exit_code == 1
    outcome = json.loads(notice.read_text())
    assert (outcome["pipelines"], outcome["outcome"]) == (["wait"], "failure")
    assert outcome["error"] == "The keys were refused."


@pytest.mark.slow
def test_env_chooses_another_configuration_for_commands_of_ours(tmp_path):
    project = Project.make(tmp_path / "project")
    other = project.folder / "conf" / "other"
    other.mkdir()
    chosen = TINY | {"seed": 5, "data_folder": "data/other"}
    (other / "globals.yml").write_text(yaml.safe_dump(chosen))
    run = project.kedro("tournament", "status", "--env", "other")
    assert run.returncode == 0, run.stderr
    assert "demo, size tiny, seed 5" in run.stdout


@pytest.mark.slow
@pytest.mark.parametrize(
    "kind", ["numerai_kedro.datasets.atomic_file.JSONDataset", "json.JSONDataset"]
)
def test_a_versioned_entry_works_or_is_refused_in_a_sentence(kind, tmp_path):
    project = Project.make(tmp_path / "project")
    project.local("parameters", QUICK)
    path = "data/demo-tiny-0/02_intermediate/version_change.json"
    project.local(
        "catalog", {"version_change": {"type": kind, "filepath": path, "versioned": True}}
    )
    run = project.kedro("run", "--pipeline=ingestion")
    assert "Traceback" not in run.stderr
    if kind.startswith("numerai_kedro"):
        assert "catalog: version_change: must only contain arguments valid" in sentence(run)
        return
    assert run.returncode == 0, run.stderr
    again = project.kedro("run", "--pipeline=ingestion")
    assert again.returncode == 0, again.stderr
