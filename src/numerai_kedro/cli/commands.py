"""Commands beside Kedro's own; Kedro finds `cli` by its name.

kedro tournament status | use | wait | schedule | clean | advance | serve
kedro replay
kedro drill
"""

from __future__ import annotations

import os
import threading
import time
import warnings
from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from numerai_kedro.compute.fault_injection import KINDS, check_place

if TYPE_CHECKING:
    from kedro.config import OmegaConfigLoader
    from kedro.framework.startup import ProjectMetadata

    from numerai_kedro.runtime.tournament_settings import TournamentSettings

# Kedro's own: it registers resolvers by a name that newer OmegaConf calls deprecated, and announces
# a new spelling of --pipeline. Neither is the user's to fix.
warnings.filterwarnings("ignore", r"register_new_resolver\(\) is deprecated", UserWarning)
warnings.filterwarnings("ignore", "Option '--pipeline' is deprecated")

ENV = "KEDRO_ENV"
SETTINGS = ("data_version", "data_folder", "size", "seed", "api_url")


def _choose_env(context: click.Context, parameter: click.Parameter, value: str | None) -> None:
    if value is not None:
        os.environ[ENV] = value  # child processes of the command need it, too


with_env = click.option(
    "--env",
    "-e",
    callback=_choose_env,
    expose_value=False,
    help=f"Folder of conf/ beside base; {ENV}, or local, by default.",
)


@click.group(name="numerai_kedro")
def cli() -> None:
    """Commands of this project."""


@cli.group()
def tournament() -> None:
    """The tournament: which one, what round, what was submitted."""


@tournament.command()
@click.option(
    "--all", "everything", is_flag=True, help="All rounds and scores, not the last ten and paid."
)
@with_env
@click.pass_obj
def status(metadata: ProjectMetadata, everything: bool) -> None:
    """Which tournament and round, what was submitted, and what it scored."""
    from numerai_kedro.cli.status import status_lines
    from numerai_kedro.runtime.connection import connect

    settings, keys = load_settings(metadata.project_path)
    demo = f", size {settings.size}, seed {settings.seed}" if settings.name == "demo" else ""
    click.echo(f"tournament  {settings.name}{demo}, data {settings.data_version}")
    client = connect(settings, *keys, prepare=False)
    newest = client.newest_round()
    click.echo(f"round       {newest.number}, {newest.describe().partition(', ')[2]}")
    if client.token is None:
        from numerai_kedro.numerai.file_source import NO_SUBMISSION, FileSource
        from numerai_kedro.numerai.transport import NO_KEYS

        click.echo(f"submitted   {NO_SUBMISSION if isinstance(client, FileSource) else NO_KEYS}")
        return
    click.echo("\n".join(status_lines(client, newest, settings.data_folder, everything)))


@tournament.command()
@click.argument("name", type=click.Choice(["demo", "numerai", "files"]))
@click.option(
    "--folder",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Of files: one that holds a data version's files, downloaded before.",
)
@click.option("--data-version", help="Of files, such as v5.3; that of globals.yml by default.")
@click.option("--size", help="Of the demo: tiny, demo, evidence or full.")
@click.option("--seed", type=click.IntRange(min=0), help="Another seed is another world.")
@with_env
@click.pass_obj
def use(
    metadata: ProjectMetadata,
    name: str,
    folder: Path | None,
    data_version: str | None,
    size: str | None,
    seed: int | None,
) -> None:
    """Choose the tournament that every other command talks to."""
    from numerai_kedro.errors import ConfigurationError
    from numerai_kedro.runtime import tournament_settings as known

    if (name == "files") != (folder is not None) or (data_version and name != "files"):
        raise ConfigurationError(
            "kedro tournament use: files takes --folder and --data-version, and nothing else does."
        )
    if name != "demo" and (size is not None or seed is not None):
        raise ConfigurationError("kedro tournament use: --size and --seed belong to the demo.")
    path = metadata.project_path / "conf" / os.environ.get(ENV, "local") / "globals.yml"
    path.parent.mkdir(exist_ok=True)  # Kedro refuses an environment without a folder
    current, _ = _read_configuration(metadata.project_path)
    if name == "demo" == current.get("tournament") and (size is None) != (seed is None):
        # One of the two alone changes the demo that is chosen now.
        size, seed = size or current.get("size"), current.get("seed") if seed is None else seed
    size = size or (known.DEFAULT_SIZE if name == "demo" else known.NUMERAI_SIZE)
    seed = known.DEFAULT_SEED if seed is None else seed
    data_folder = known.data_folder_of(name, size, seed)
    tournament_name = "numerai" if name == "files" else name
    chosen: dict[str, Any] = {"tournament": tournament_name, "size": size, "seed": seed}
    chosen["data_folder"] = data_folder
    dropped: list[str] = []
    if folder is not None:
        from numerai_kedro.numerai.file_source import check_folder

        chosen["data_version"] = data_version or current.get("data_version", "")
        check_folder(folder, chosen["data_version"])
        chosen["api_url"] = folder.absolute().as_uri()
    elif str(current.get("api_url") or "").startswith("file:"):
        chosen["api_url"] = None
        dropped = ["data_version"]  # which was the folder's
    _typed(current | chosen, metadata.project_path)
    write_local_globals(path, chosen, dropped)
    click.echo(f"From now on: {name}, size {size}, seed {seed}; its files are in {data_folder}.")


@tournament.command()
@click.option("--rounds", type=click.IntRange(min=0), default=0, help="Five a week.")
@click.option("--weeks", type=click.IntRange(min=0), default=0, help="One new era each.")
@with_env
@click.pass_obj
def advance(metadata: ProjectMetadata, rounds: int, weeks: int) -> None:
    """Move the demo's clock into a later round; what is submitted there stays."""
    from numerai_kedro.runtime.connection import open_demo, prepare_with_bar

    demo = open_demo(_demo_settings(metadata, "advance"))
    reached = demo.clock.advance(rounds, weeks)
    prepare_with_bar(demo)
    click.echo(
        f"The demo is in round {reached.number}, {demo.clock.now():%a %d %b %Y %H:%M} UTC, open "
        f"until {reached.close_staking_time:%a %H:%M}."
    )


@tournament.command()
@with_env
@click.pass_obj
def wait(metadata: ProjectMetadata) -> None:
    """Wait for the next round that is open and has no submission of ours; end when it is there.

    On the demo the clock moves to that moment. An error that ends the waiting is told to
    `notify.on_failure`: the submission that follows it in a timer would never run.
    """
    from numerai_kedro.errors import NumeraiKedroError
    from numerai_kedro.reporting.notify import NotifyParams, notify
    from numerai_kedro.strict import read_block

    settings, keys = load_settings(metadata.project_path)
    begin = time.monotonic()
    try:
        _wait_for_opening(metadata.project_path, settings, keys)
    except NumeraiKedroError as error:
        block = _loader(metadata.project_path)["parameters"].get("notify", {})
        commands = read_block(NotifyParams, "notify", block)
        notify(commands, settings.data_folder, ["wait"], time.monotonic() - begin, error)
        raise


def _wait_for_opening(
    project_path: Path, settings: TournamentSettings, keys: tuple[str | None, str | None]
) -> None:
    from numerai_kedro.errors import ConfigurationError
    from numerai_kedro.numerai import opening
    from numerai_kedro.numerai.file_source import NO_SUBMISSION, FileSource
    from numerai_kedro.runtime.connection import connect, open_demo

    client = connect(settings, *keys, prepare=False)
    if isinstance(client, FileSource):
        raise ConfigurationError(f"kedro tournament wait: {NO_SUBMISSION}")
    data_folder, outputs = settings.data_folder, settings.data_folder / "07_model_output"
    newer_here = opening.inputs_changed(data_folder, project_path / "conf")

    def is_done(number: int) -> bool:
        def changed_since(moment: float) -> bool:
            return newer_here(moment) or opening.live_file_changed(client, data_folder, number)

        return opening.is_dealt_with(outputs, number, changed_since)

    reached = opening.wait_for_opening(
        client,
        is_done,
        click.echo,
        open_demo(settings).clock.wait if settings.name == "demo" else time.sleep,
        lambda number: opening.is_held(outputs, number),
    )
    click.echo(reached.describe())


@tournament.command()
@with_env
@click.pass_obj
def schedule(metadata: ProjectMetadata) -> None:
    """Print systemd timers and crontab lines for this checkout; nothing is installed."""
    from numerai_kedro.cli.schedule import schedule_text

    click.echo(schedule_text(metadata.project_path))


@tournament.command()
@click.option("--free", is_flag=True, help="Delete what can be made again.")
@with_env
@click.pass_obj
def clean(metadata: ProjectMetadata, free: bool) -> None:
    """Show what the data folder takes, and with --free delete the models of finished folds."""
    from numerai_kedro.cli.clean import free_space, usage_table

    settings, _ = load_settings(metadata.project_path)
    click.echo(usage_table(settings.data_folder))
    if free:
        click.echo(free_space(settings.data_folder))


@tournament.command()
@click.option("--port", type=click.IntRange(0, 65535), default=0, help="0 takes a free one.")
@click.option(
    "--speed",
    type=click.FloatRange(min=0),
    default=0.0,
    help="Seconds that pass on the demo in a real one; 0: its clock stands still.",
)
@click.option(
    "--wall-clock",
    is_flag=True,
    help="Show the demo's rounds at this machine's time, and let its clock run as fast.",
)
@with_env
@click.pass_obj
def serve(metadata: ProjectMetadata, port: int, speed: float, wall_clock: bool) -> None:
    """Serve the demo in the foreground, for any client of Numerai's API; Ctrl-C ends it."""
    from numerai_kedro.demo.server import DemoServer
    from numerai_kedro.errors import ConfigurationError
    from numerai_kedro.runtime import connection

    settings = _demo_settings(metadata, "serve")
    running = connection.serving_url(settings)
    if running is not None:
        raise ConfigurationError(f"The demo is served already, at {running}; stop that one first.")
    if wall_clock and speed:
        raise ConfigurationError(
            "--wall-clock lets the clock run as fast as this machine's; leave --speed out."
        )
    demo = connection.open_demo(settings, speed=1.0 if wall_clock else speed)
    connection.prepare_with_bar(demo)
    try:
        server = DemoServer(demo, port, wall_clock=wall_clock)
    except OSError as error:
        raise ConfigurationError(
            f"Port {port} is not available ({error.strerror}); choose another, or 0 for any."
        ) from None
    with server:
        click.echo(_instructions(server.url, demo.keys, wall_clock=wall_clock))
        try:
            _forever()
        except KeyboardInterrupt:
            click.echo("Stopped.")


def _forever() -> None:
    threading.Event().wait()


@cli.command()
@click.option("--weeks", type=click.IntRange(min=1), required=True, help="Runs; a week apart.")
@with_env
@click.pass_obj
def replay(metadata: ProjectMetadata, weeks: int) -> None:
    """Run weekly for successive weeks of the demo, and print the table of what happened."""
    from numerai_kedro.cli.replay import replay as run_replay

    run_replay(metadata.project_path, _demo_settings(metadata, "replay"), weeks)


@cli.command()
@click.option("--inject", type=click.Choice(KINDS), required=True, help="What goes wrong.")
@click.option("--at", default="middle", help="first, middle, last, a step, evaluation or loading.")
@click.option("--times", type=click.IntRange(min=1), default=1, help="Steps in a row.")
@click.option("--model", default="tabm", help="Which network.")
@with_env
@click.pass_obj
def drill(metadata: ProjectMetadata, inject: str, at: str, times: int, model: str) -> None:
    """Let something go wrong in a network's fit on the demo, and show what was done about it."""
    from numerai_kedro.cli import drill as drilling

    _demo_settings(metadata, "drill")
    check_place(inject, at)
    setting = drilling.setting_of(metadata.project_path, model)
    calm = drilling.undisturbed(setting)
    drilling.show(drilling.drill(setting, calm, inject, at, times))


def load_settings(project_path: Path) -> tuple[TournamentSettings, tuple[str | None, str | None]]:
    """Read the settings of the tournament and the keys, as `kedro run` reads them.

    Raises
    ------
    ConfigurationError
        A setting is missing or of the wrong type; the message names it.
    """
    from numerai_kedro.runtime.tournament_settings import keys_of

    globals_, credentials = _read_configuration(project_path)
    return _typed(globals_, project_path), keys_of(credentials.get("numerai"))


def write_local_globals(path: Path, chosen: dict[str, Any], dropped: Collection[str] = ()) -> None:
    """Write the choice into a globals.yml, which keeps its other keys except `dropped` ones.

    Raises
    ------
    ConfigurationError
        The file exists and holds no mapping; it is left as it is.
    """
    import yaml

    from numerai_kedro.errors import ConfigurationError
    from numerai_kedro.files import atomic_write

    try:
        present = yaml.safe_load(path.read_text(encoding="utf-8")) if path.exists() else {}
    except yaml.YAMLError:
        present = "no YAML"  # no mapping either, so that it is refused below
    if not isinstance(present or {}, dict):
        raise ConfigurationError(f"{path}: holds no mapping of names to values; fix or delete it.")
    existing = {key: value for key, value in (present or {}).items() if key not in dropped}
    text = yaml.safe_dump(existing | chosen, sort_keys=False)
    with atomic_write(path) as handle:
        handle.write(text.encode())


def _read_configuration(project_path: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    from kedro.config import MissingConfigException
    from omegaconf.errors import OmegaConfBaseException
    from yaml import YAMLError

    from numerai_kedro.errors import ConfigurationError

    try:
        loader = _loader(project_path)
        return dict(loader["globals"]), dict(loader["credentials"])
    except (MissingConfigException, OmegaConfBaseException, YAMLError, ValueError) as broken:
        raise ConfigurationError(
            f"globals.yml or credentials.yml in conf/base or conf/local cannot be read: "
            f"{' '.join(str(broken).split())}"
        ) from None


def _loader(project_path: Path) -> OmegaConfigLoader:
    from numerai_kedro.runtime.config_loader import ReadOnceLoader
    from numerai_kedro.settings import CONFIG_LOADER_ARGS

    return ReadOnceLoader(str(project_path / "conf"), env=os.environ.get(ENV), **CONFIG_LOADER_ARGS)


def _typed(globals_: dict[str, Any], project_path: Path) -> TournamentSettings:
    from pydantic import ValidationError

    from numerai_kedro.errors import ConfigurationError
    from numerai_kedro.runtime.tournament_settings import TournamentSettings

    values = {key: globals_[key] for key in SETTINGS if key in globals_}
    values["name"] = globals_.get("tournament")
    try:
        settings = TournamentSettings.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        where = {"name": "tournament"}.get(str(first["loc"][0]), first["loc"][0])
        raise ConfigurationError(
            f"globals.yml: {where}: {first['msg']} (conf/base or conf/local)."
        ) from None
    return settings.model_copy(update={"data_folder": project_path / settings.data_folder})


def _demo_settings(metadata: ProjectMetadata, command: str) -> TournamentSettings:
    from numerai_kedro.errors import ConfigurationError

    settings, _ = load_settings(metadata.project_path)
    if settings.name != "demo":
        raise ConfigurationError(
            f"{command}: only the demo can; choose it with kedro tournament use demo."
        )
    return settings


def _instructions(url: str, keys: tuple[str, str], *, wall_clock: bool) -> str:
    time = (
        "Rounds are shown at this machine's time, with which numerapi compares them."
        if wall_clock
        else """numerapi's check_round_open() and check_new_round() look at this machine's clock,
and say False; with --wall-clock the demo's rounds are moved onto it."""
    )
    return f"""The demo tournament is served at {url}; Ctrl-C ends it.

Any numerapi client is pointed at it so (there is no argument and no variable for it):

    import numerapi
    from numerapi import base_api
    base_api.API_TOURNAMENT_URL = "{url}"
    api = numerapi.NumerAPI("{keys[0]}", "{keys[1]}")

{time}
Runs of this project find it by themselves. With a proxy set, add 127.0.0.1 to NO_PROXY."""
