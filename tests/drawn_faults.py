"""Faults drawn at random, in the process itself: what each does, and what must hold afterwards.

Each kind of fault is a function: it draws what goes wrong, injects it into real code (the client
against the demo's server, the submitting node, the stores on disk), asserts what its docstring
says, and returns how the attempt ended.
"""

from __future__ import annotations

import hashlib
import json
import os
import pickle
import random
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from kedro.io import DatasetError

from numerai_kedro.cache import FoldStore
from numerai_kedro.data import open_panel
from numerai_kedro.data.segment import _map
from numerai_kedro.datasets.atomic_file import JSONDataset, ParquetDataset, SealedDataset
from numerai_kedro.datasets.outcome import OutcomeDataset
from numerai_kedro.demo.faults import Fault
from numerai_kedro.demo.server import DemoServer
from numerai_kedro.demo.tournament import DemoTournament
from numerai_kedro.errors import NumeraiKedroError, StoreError
from numerai_kedro.files import digest_bytes, fetch
from numerai_kedro.files.kept_json import read_kept, write_kept
from numerai_kedro.files.trusted_pickle import CONTENT, MANIFEST, read_trusted, write_trusted
from numerai_kedro.numerai.client import Client
from numerai_kedro.numerai.submission import to_csv
from numerai_kedro.pipelines.submission.nodes import submit
from numerai_kedro.reasons import BlockReason
from numerai_kedro.runtime.parameters import SubmissionParams
from numerai_kedro.runtime.sentences import sentence_of
from tests.panels import TARGETS, small_panel
from tests.secret_forms import forms

KEYS = ("CANARYPUBLIC0123456789", "CANARYSECRETABCDEFGHIJ")
WORDS = {reason.value for reason in BlockReason}
STATUSES = (400, 401, 403, 404, 408, 418, 429, 500, 502, 503)
# Bodies of a 200 that are no valid answer.
BODIES = (
    "",
    "null",
    "[]",
    "{}",
    '{"data": null}',
    '{"data": {}}',
    '{"errors": []}',
    '{"errors": [{"message": "Internal error"}]}',
    '{"data": null, "errors": [{"message": "Rate limit exceeded, try again in 1 second"}]}',
    '{"data": null, "errors": [{"message": null}]}',
    '{"data": null, "errors": "no list"}',
    "<html>" * 50,
    "[" * 5000,
    "\x00\xff",
)


@dataclass
class Stage:
    """What faults are played on: a served tiny demo with keys of its own, and a folder."""

    demo: DemoTournament
    server: DemoServer
    folder: Path
    waited: list[float] = field(default_factory=list)
    number: int = 0

    def client(self, keys: tuple[str, str] | tuple[()] = KEYS) -> Client:
        """A client that does not wait."""
        limits: dict[str, Any] = {"timeout_s": (5.0, 20.0), "deadline_s": 20.0}
        return Client(
            self.server.url, "v5.3", *keys, name="demo", wait=self.waited.append, **limits
        )

    def room(self) -> Path:
        """A new folder."""
        self.number += 1
        folder = self.folder / str(self.number)
        folder.mkdir()
        return folder

    def live_ids(self) -> np.ndarray:
        files = self.demo.archive.files(self.demo.latest(self.demo.clock.now()))
        return pd.read_parquet(files["live.parquet"], columns=["era"]).index.to_numpy()

    def csv(self, drawing: random.Random) -> bytes:
        """A valid submission of the open round."""
        ids = self.live_ids()
        ranks = np.random.default_rng(drawing.randrange(2**32)).permutation(len(ids))
        return to_csv(pd.DataFrame({"id": ids, "prediction": (ranks + 0.5) / len(ids)}))

    def n_submissions(self, content: bytes | None = None) -> int:
        """How many submissions the server holds, with this content or in total."""
        store = self.demo.store
        submissions = store.submissions()
        return sum(
            content is None or store.content_of(submission.id) == content
            for submission in submissions
        )


def is_a_sentence(error: BaseException) -> str:
    """Assert that the error is ours, one line, and shows no key; return the name of its class."""
    sentence = sentence_of(error)
    if sentence is None:
        raise AssertionError(f"a traceback: {error!r}") from error
    text = str(sentence)
    assert text.strip(), repr(error)
    assert "\n" not in text, text
    assert not any(form in text for key in KEYS for form in forms(key)), text
    return type(sentence).__name__


# --- a submission that was changed on its way ----------------------------------------------------


def _cells(content: bytes) -> list[list[str]]:
    return [line.split(",") for line in content.decode().splitlines()] or [[""]]


def _text(cells: list[list[str]]) -> bytes:
    return ("\n".join(",".join(row) for row in cells) + "\n").encode()


def mutate(content: bytes, drawing: random.Random) -> bytes:
    """One to three changes of ids, values, rows, columns or bytes."""
    for _ in range(drawing.choice([1, 1, 1, 2, 3])):
        content = drawing.choice(MUTATIONS)(content, drawing)
    return content


def _other_value(content: bytes, drawing: random.Random) -> bytes:
    cells = _cells(content)
    row = cells[drawing.randrange(1, len(cells))] if len(cells) > 1 else [""]
    values = ["", "nan", "NaN", "inf", "-inf", "0", "1", "-0.1", "1.0000001", "1e400", "x", '"']
    row[-1] = drawing.choice(values)
    return _text(cells)


def _other_id(content: bytes, drawing: random.Random) -> bytes:
    cells = _cells(content)
    row = cells[drawing.randrange(1, len(cells))] if len(cells) > 1 else [""]
    ids = ["", "nan", "n000000000000", row[0].upper(), f" {row[0]}", f"{row[0]}\0", "é", "1.0"]
    row[0] = drawing.choice(ids)
    return _text(cells)


def _rows(content: bytes, drawing: random.Random) -> bytes:
    head, *rows = _cells(content)
    how = drawing.choice(["drop", "double", "empty", "half", "one"])
    if how == "drop" and rows:
        rows.pop(drawing.randrange(len(rows)))
    elif how == "double" and rows:
        rows.insert(drawing.randrange(len(rows)), list(drawing.choice(rows)))
    elif how == "empty":
        rows = []
    elif how == "half":
        rows = rows[: len(rows) // 2]
    else:
        rows = rows[:1]
    return _text([head, *rows])


def _all_values(content: bytes, drawing: random.Random) -> bytes:
    head, *rows = _cells(content)
    how = drawing.choice(["constant", "tied", "scaled", "shifted", "nearly constant"])
    for number, row in enumerate(rows):
        new = {
            "constant": 0.5,
            "tied": (number % 3 + 1) / 5,
            "scaled": number + 1,
            "shifted": number / len(rows) - 0.1,
            "nearly constant": 0.5 + number * 1e-7,
        }[how]
        row[-1] = repr(new)
    return _text([head, *rows])


def _columns(content: bytes, drawing: random.Random) -> bytes:
    cells = _cells(content)
    how = drawing.choice(["names", "turned", "more", "fewer", "no head"])
    if how == "names":
        cells[0] = drawing.choice([["id", "p"], ["ID", "prediction"], ["prediction", "id"], ["id"]])
    elif how == "turned":
        cells = [row[::-1] for row in cells]
    elif how == "more":
        cells = [[*row, "0.5"] for row in cells]
    elif how == "fewer":
        cells = [row[:1] for row in cells]
    else:
        cells = cells[1:]
    return _text(cells)


def _bytes(content: bytes, drawing: random.Random) -> bytes:
    if not content:
        return content
    at = drawing.randrange(len(content))
    how = drawing.choice(["flip", "cut", "insert", "nothing", "garbage"])
    if how == "flip":
        flipped = bytes([content[at] ^ (1 << drawing.randrange(7))])
        changed = content[:at] + flipped + content[at + 1 :]
    elif how == "cut":
        changed = content[:at]
    elif how == "insert":
        changed = content[:at] + drawing.choice([b"\n", b",", b'"', b"\r", b"\0"]) + content[at:]
    else:
        changed = b"" if how == "nothing" else bytes(drawing.choices(range(1, 127), k=200))
    return changed.decode("utf-8", "ignore").encode()


def _earlier_ids(content: bytes, drawing: random.Random) -> bytes:
    """Replace all or some ids by those of a week ago."""
    head, *rows = _cells(content)
    for row in rows if drawing.random() < 0.5 else rows[: len(rows) // 2]:
        row[0] = f"n{digest_bytes(row[0].encode())[:15]}"
    return _text([head, *rows])


MUTATIONS = (_other_value, _other_id, _rows, _all_values, _columns, _bytes, _earlier_ids)


def is_valid(content: bytes, live_ids: set[str]) -> bool:
    """Whether a csv is a valid submission: independent of the tested code, without pandas.

    A carriage return breaks a line for a reader of csv, and is no part of a number.
    """
    if b"\r" in content:
        return False
    try:
        head, *rows = [line.split(",") for line in content.decode().split("\n")]
        rows = [row for row in rows if row != [""]]
        values = [float(row[1]) for row in rows]
    except (ValueError, IndexError):
        return False
    if head != ["id", "prediction"] or any(len(row) != 2 for row in rows):
        return False
    ids = [row[0] for row in rows]
    return (
        len(ids) == len(set(ids))
        and set(ids) == live_ids
        and all(0 < value < 1 for value in values)
        and len(set(values)) >= 0.9 * len(values)
        and float(np.std(values, ddof=1)) > 1e-3
    )


class _Live:
    """The part of a live panel that the submitting node reads."""

    def __init__(self, ids: np.ndarray) -> None:
        self._ids = ids

    def ids(self) -> np.ndarray:
        return self._ids


def mutated_submission(stage: Stage, drawing: random.Random) -> str:
    """A csv that was changed after the gate, whose decision may have been edited to fit.

    Only a valid csv that a decision vouches for is uploaded; any other is refused with a reason of
    the enumeration.
    """
    content = stage.csv(drawing)
    changed = mutate(content, drawing)
    edited = drawing.random() < 0.7
    ids, before = stage.live_ids(), stage.n_submissions()
    decision = {
        "passed": True,
        "reasons": [],
        "predictions_digest": digest_bytes(changed if edited else content),
    }
    slots, number = {"demo": "ensemble"}, stage.demo.latest(stage.demo.clock.now()).number
    receipts = submit(
        stage.client(),
        _Live(ids),
        {f"{number}-demo": changed.decode()},
        {f"{number}-demo": decision},
        slots,
        {"number": number, "is_open": True},
        [],
        {},
        SubmissionParams(slots=slots, upload="auto", late="refuse", unfamiliar_rule="submit"),
    )
    (receipt,) = receipts.values()
    uploaded = stage.n_submissions() - before
    vouched = edited or changed == content
    if vouched and is_valid(changed, {str(stock) for stock in ids}):
        assert (receipt["status"], uploaded) == ("accepted", 1), receipt
        return "still valid, accepted"
    assert uploaded == 0, (changed[:300], receipt)
    assert receipt["status"] in {"refused", "blocked"}, receipt
    assert receipt["reason"] in WORDS, receipt
    if vouched:
        assert receipt["reason"] != BlockReason.NOT_CHECKED.value, receipt
    return receipt["reason"]


# --- a file of the tournament that does not come as it should ------------------------------------

GET_FAULTS = ("status", "cut", "ignore_range", "no_length", "splice", "changed")


def disturbed_download(stage: Stage, drawing: random.Random) -> str:
    """One to eight answers are wrong, over a file and a partial download that may be damaged.

    The result is the server's file or the one from before; the next download succeeds.
    """
    files = stage.demo.archive.files(stage.demo.latest(stage.demo.clock.now()))
    name = drawing.choice(["live.parquet", "features.json", "meta_model.parquet"])
    truth, target = files[name].read_bytes(), stage.room() / name
    client = stage.client()
    remote = client.remote_file(name)
    before = None
    if drawing.random() < 0.3:
        fetch(remote, target)
        before = truth
        if drawing.random() < 0.5:  # as a faulty disk does
            damaged = bytearray(truth)
            damaged[drawing.randrange(len(truth))] ^= 1
            before = bytes(damaged)
            target.write_bytes(before)
    if drawing.random() < 0.3:  # as a killed run leaves it
        part = target.with_name(f"{name}.partial")
        part.write_bytes(truth[: drawing.randrange(len(truth))])
    drawn = drawing.choices(GET_FAULTS, k=drawing.randint(1, 8))
    for kind in drawn:
        value = drawing.randrange(len(truth)) if kind == "cut" else drawing.choice(STATUSES)
        stage.server.faults.add(Fault("get", kind, value, name))

    def sound(path: Path) -> None:
        if path.read_bytes() not in (truth, truth[::-1]):
            raise StoreError(f"{path}: torn.")

    # A file of another version is whole, too: the next download replaces it.
    other = truth[::-1] if {"changed", "splice"} & set(drawn) else truth
    allowed = [truth, other, before]
    try:
        fetch(remote, target, sound, verify_joined=sound)
        ended = "came all the same"
    except NumeraiKedroError as error:
        ended = is_a_sentence(error)
    content = target.read_bytes() if target.exists() else None
    assert content in [*allowed, None], drawn
    assert content is not None or before is None, drawn
    stage.server.faults.clear()
    fetch(remote, target, sound, verify_joined=sound)
    assert target.read_bytes() == truth, drawn
    assert [path.name for path in target.parent.iterdir() if ".partial" in path.name] == []
    return ended


# --- a service that misbehaves -------------------------------------------------------------------


def _answers_of(client: Client, model_id: str) -> dict[str, Callable[[], Any]]:
    return {
        "round_info": lambda: {
            key: value
            for key, value in client.round_info().items()
            if key not in ("server_time", "text")
        },
        "data_files": lambda: sorted(client.data_files()),
        "models": client.models,
        "submissions": lambda: [submission["id"] for submission in client.submissions(model_id)],
        "scores": lambda: client.scores(model_id).to_dict("list"),
        "close_time": lambda: client.close_time(1412),
    }


# What each asks for, as far as another value can be put in its place.
FIELD_OF = {
    "round_info": "rounds",
    "data_files": "listDatasets",
    "models": "account",
    "submissions": "submissions",
    "scores": "submissionScores",
    "close_time": "rounds",
}
# Unreadable in the place of a list or an object.
SHAPES = (7, "text", True, {"a": 1}, [[]], 1e300, None)


def misbehaving_service(stage: Stage, drawing: random.Random) -> str:
    """One to seven answers are wrong: the client returns the right value or one of our errors."""
    client = stage.client()
    model = stage.demo.store.models()[0].id
    if not stage.n_submissions():  # so that an empty list would be a wrong one
        client.submit(stage.csv(drawing), model)
    answers = _answers_of(client, model)
    name = drawing.choice(sorted(answers))
    right = answers[name]()
    for _ in range(drawing.randint(1, 7)):
        stage.server.faults.add(_wrong_answer(drawing, operation=FIELD_OF[name]))
    try:
        answer = answers[name]()
        # The tournament does not say when a round closes; the key may not see the models.
        unsaid = (name, answer) in (("close_time", None), ("models", {}))
        assert unsaid or repr(answer) == repr(right), (name, answer, right)
        ended = "answered all the same"
    except NumeraiKedroError as error:
        ended = is_a_sentence(error)
    finally:
        stage.server.faults.clear()
    assert repr(answers[name]()) == repr(right), name
    return ended


def _wrong_answer(drawing: random.Random, on: str = "", operation: str = "") -> Fault:
    point = drawing.choice(["post", "answer"])
    kind = drawing.choice(["status", "status", "body", "shape", "html", "bad_json", "drop"])
    if kind == "shape" and operation:
        body = json.dumps({"data": {operation: drawing.choice(SHAPES)}})
        return Fault(point, "status", 200, on, body=body)
    # A server that reports too many requests has not carried this one out.
    bodies, statuses = BODIES, STATUSES
    if point == "answer":
        bodies = tuple(content for content in BODIES if "Rate limit" not in content)
        statuses = tuple(status for status in STATUSES if status != 429)
    if kind in ("body", "shape"):
        return Fault(point, "status", 200, on, body=drawing.choice(bodies))
    after = (("Retry-After", drawing.choice(["1", "0.5", "soon", "-1"])),)
    return Fault(point, kind, drawing.choice(statuses), on, headers=after)


UPLOAD_STEPS = (
    "submission_upload_auth",
    "submissionDownloadAuth",
    "create_submission",
    "submissions",
    "rounds",
    "account",
)


def disturbed_upload(stage: Stage, drawing: random.Random) -> str:
    """Up to five answers of an upload are wrong, in each of up to three attempts.

    At the end the tournament has these predictions once, and the receipt says that it accepted
    them. Where nobody could look them up at all, they may have been sent again: the same
    predictions twice harm nobody, a round without any does.
    """
    content, slot = stage.csv(drawing), stage.client().models()["demo"]
    number = stage.demo.latest(stage.demo.clock.now()).number
    ended, receipt, n_blind = [], None, 0
    for attempt in range(drawing.randint(1, 3)):
        for _ in range(drawing.randint(1, 5)):
            stage.server.faults.add(_wrong_step(drawing, first=attempt == 0))
        client = _Watched.of(stage.client())
        try:
            receipt = client.submit(content, slot, number, known=receipt)
            ended.append(receipt["status"])
        except NumeraiKedroError as error:
            ended.append(is_a_sentence(error))
        finally:
            stage.server.faults.clear()
        n_blind += client.blind
        assert stage.n_submissions(content) <= 1 + n_blind, ended
    for _ in range(2):  # the first answer may be that it is still pending
        receipt = stage.client().submit(content, slot, number, known=receipt)
    assert receipt["status"] == "accepted", (ended, receipt)
    assert 1 <= stage.n_submissions(content) <= 1 + n_blind, ended
    return f"{ended[0]}{', sent again unseen' if stage.n_submissions(content) > 1 else ''}"


class _Watched(Client):
    """A client that remembers whether it failed to get a list of submissions."""

    blind = False

    @classmethod
    def of(cls, client: Client) -> _Watched:
        client.__class__ = cls
        assert isinstance(client, cls)
        return client

    def submissions(self, model_id: str) -> list[dict[str, Any]]:
        try:
            return super().submissions(model_id)
        except NumeraiKedroError:
            self.blind = True
            raise


def _wrong_step(drawing: random.Random, first: bool) -> Fault:
    kind = drawing.choice(["answer", "answer", "put", "listing"])
    if kind == "put":
        return Fault("put", drawing.choice(["status", "drop"]), drawing.choice(STATUSES))
    if kind == "listing":
        # A list never loses a submission that it has already shown.
        word = drawing.choice(["pending", "word", "absent" if first else "word"])
        return Fault("listing", word, body="thinking", times=drawing.randint(1, 3))
    step = drawing.choice(UPLOAD_STEPS)
    return _wrong_answer(drawing, on=step, operation=step)


# --- files that are damaged ----------------------------------------------------------------------

FRAME = pd.DataFrame({"id": [f"n{k}" for k in range(50)], "value": np.linspace(0, 1, 50)})
VALUE = {"round": 1412, "weights": {"lightgbm": 0.7, "xgboost": 0.3}, "text": "as judged"}


@dataclass(frozen=True)
class Kept:
    """One way of storing something: how it is written and read back."""

    write: Callable[[Path], Any]
    read: Callable[[Path], Any]


def _write_panel(folder: Path) -> None:
    small_panel(folder / "panel", n_eras=6)


def _read_panel(folder: Path) -> Any:
    _map.cache_clear()  # as another process would see the files
    panel = open_panel(folder / "panel")
    matrices = [panel.features(int(era)).tobytes() for era in panel.eras]
    targets = [panel.target(name).tobytes() for name in TARGETS]
    return matrices, targets, panel.ids().tolist()


def _write_dataset(make: Callable[[Path], Any], value: Any) -> Callable[[Path], None]:
    return lambda folder: make(folder).save(value)


def _fold_store(folder: Path) -> Any:
    """A model, predictions and a value; each is computed again where its file is damaged."""
    store = FoldStore(folder / "store")
    model = store.model({"kind": "model"}, lambda: {"trees": [1, 2, 3]})
    predicted = store.predictions(
        {"kind": "predictions"}, lambda: np.linspace(0, 1, 20, dtype=np.float32)
    )
    return model, predicted.tolist(), store.value({"kind": "value"}, lambda: {"corr": 0.0123})


KEPT = {
    "kept_json": Kept(
        lambda folder: write_kept(folder / "value.json", VALUE),
        lambda folder: read_kept(folder / "value.json"),
    ),
    "copied_json": Kept(
        lambda folder: write_kept(folder / "value.json", VALUE, copied=True),
        lambda folder: read_kept(folder / "value.json", copied=True),
    ),
    "receipt": Kept(
        _write_dataset(lambda f: SealedDataset(filepath=str(f / "receipt.json")), VALUE),
        lambda folder: SealedDataset(filepath=str(folder / "receipt.json")).load(),
    ),
    "parquet": Kept(
        _write_dataset(lambda f: ParquetDataset(filepath=str(f / "frame.parquet")), FRAME),
        lambda folder: (
            ParquetDataset(filepath=str(folder / "frame.parquet")).load().to_dict("list")
        ),
    ),
    "model": Kept(
        lambda folder: write_trusted(folder / "model", {"trees": list(range(200))}),
        lambda folder: read_trusted(folder / "model"),
    ),
    "panel": Kept(_write_panel, _read_panel),
    "fold_store": Kept(_fold_store, _fold_store),
}


def damage(path: Path, drawing: random.Random) -> str:
    """Halve, empty, flip a bit of, overwrite or delete a file; what is mapped keeps its bytes."""
    how = drawing.choice(["flip", "flip", "flip", "halve", "empty", "garbage", "delete", "longer"])
    content = path.read_bytes()
    path.unlink()
    if how == "delete":
        return how
    if how == "flip" and content:
        at = drawing.randrange(len(content))
        changed = bytes([content[at] ^ (1 << drawing.randrange(8))])
        path.write_bytes(content[:at] + changed + content[at + 1 :])
    else:
        new = {
            "halve": content[: len(content) // 2],
            "empty": b"",
            "garbage": bytes(drawing.choices(range(256), k=len(content))),
            "longer": content + bytes(drawing.choices(range(256), k=8)),
        }
        path.write_bytes(new.get(how, b""))
    return how


def damaged_file(stage: Stage, drawing: random.Random) -> str:
    """One stored file is damaged: reading gives the original value or one of our errors."""
    name = drawing.choice(sorted(KEPT))
    kind, folder = KEPT[name], stage.room()
    kind.write(folder)
    right = kind.read(folder)
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    path = drawing.choice(files)
    how = f"{damage(path, drawing)} {path.relative_to(folder)}"
    try:
        assert kind.read(folder) == right, f"{name}, {how}: another value, in silence"
        ended = "as it was"
    except (DatasetError, NumeraiKedroError, FileNotFoundError) as error:
        ended = "gone" if isinstance(error, FileNotFoundError) else is_a_sentence(error)
        assert ended != "gone" or not path.exists(), how
    kind.write(folder)
    assert kind.read(folder) == right
    return ended


# --- a pickle that would run something -----------------------------------------------------------


class _Poison:
    """Touches a file when it is unpickled."""

    def __init__(self, call: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
        self._call, self._arguments = call, arguments

    def __reduce__(self) -> tuple[Any, ...]:
        return self._call, self._arguments


def poisoned_pickle(stage: Stage, drawing: random.Random) -> str:
    """A model's pickle is replaced, with or without a manifest that fits: nothing runs."""
    folder = stage.room()
    touched = folder / "touched"
    call = drawing.choice(
        [
            (os.system, (f"touch {touched}",)),
            (exec, (f"open({str(touched)!r}, 'w')",)),
            (eval, (f"open({str(touched)!r}, 'w')",)),
            (Path.touch, (touched,)),
            (shutil.copy, (__file__, str(touched))),
        ]
    )
    poison: Any = _Poison(*call)
    for _ in range(drawing.randrange(4)):  # hidden at some depth
        poison = drawing.choice([lambda p: [p], lambda p: {"model": p}, lambda p: (1, p)])(poison)
    write_trusted(folder / "model", {"trees": [1]})
    content = pickle.dumps(poison, protocol=drawing.choice([2, 3, 4, 5]))
    (folder / "model" / CONTENT).write_bytes(content)
    if drawing.random() < 0.7:
        manifest = {"sha256": hashlib.sha256(content).hexdigest(), "bytes": len(content)}
        (folder / "model" / MANIFEST).write_text(json.dumps(manifest | {"data_version": ""}))
    kind = "numerai_kedro.datasets.stores.ModelDataset"
    outcome = OutcomeDataset(dataset={"type": kind, "filepath": str(folder / "model")})
    for read in (lambda: read_trusted(folder / "model"), outcome.load):
        try:
            value = read()
            assert type(value).__name__ == "Failed", value
        except (NumeraiKedroError, DatasetError) as error:
            is_a_sentence(error)
        assert not touched.exists()
    return "refused"


def damaged_json(stage: Stage, drawing: random.Random) -> str:
    """A plain JSON record, whose digest stands in the run's records, is damaged: no traceback."""
    folder = stage.room()
    dataset = JSONDataset(filepath=str(folder / "folds.json"))
    dataset.save(VALUE)
    how = damage(folder / "folds.json", drawing)
    try:
        dataset.load()
    except (DatasetError, NumeraiKedroError) as error:
        return "gone" if how == "delete" else is_a_sentence(error)
    return "read, and compared with its record by the run"


# How often each is drawn, relative to the others.
KINDS: dict[Callable[[Stage, random.Random], str], int] = {
    mutated_submission: 35,
    disturbed_download: 15,
    misbehaving_service: 15,
    disturbed_upload: 15,
    damaged_file: 15,
    poisoned_pickle: 3,
    damaged_json: 2,
}
