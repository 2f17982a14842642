"""Errors that a user can fix are one sentence, whichever library raised them."""

import errno
import sqlite3
from pathlib import Path

import pytest
from kedro.io import DatasetError
from sqlalchemy.exc import OperationalError

from numerai_kedro.errors import ConfigurationError, DiskFull, StoreError, SystemRefused
from numerai_kedro.runtime.sentences import sentence_of

REFUSALS = {
    errno.EROFS: "make the file system writable",
    errno.EACCES: "give this user the right to write there",
    errno.EMFILE: r"raise the limit of open files \(ulimit -n 4096\)",
    errno.EIO: "look after the disk",
}


@pytest.mark.parametrize("number", REFUSALS)
def test_what_the_system_refuses_names_the_file_and_what_helps(number, tmp_path):
    error = OSError(number, "refused", str(tmp_path / "folds.json"))
    wrapped = DatasetError("Failed while saving data to dataset")
    wrapped.__cause__ = error
    sentence = sentence_of(wrapped)
    assert isinstance(sentence, SystemRefused)
    assert sentence.message.startswith(f"{tmp_path / 'folds.json'}: refused; ")
    assert sentence.message.endswith("and run the same command again.")


def test_a_full_disk_is_one_wherever_it_is_met(tmp_path):
    named = sentence_of(OSError(errno.ENOSPC, "full", str(tmp_path / "a.parquet")))
    assert isinstance(named, DiskFull)
    assert f"{tmp_path / 'a.parquet'}: the disk is full" in named.message
    assert "free some" in sentence_of(OSError(errno.EDQUOT, "quota")).message


@pytest.mark.parametrize("number", [errno.ENOENT, errno.ECONNRESET, None])
def test_other_refusals_stay_bugs(number):
    assert sentence_of(OSError(number, "x") if number else OSError("x")) is None


@pytest.mark.parametrize(
    "text",
    [
        "An exception occurred when parsing config for dataset 'folds':\nClass 'Y' not found. "
        "Hint: if you are trying",
        "\nDataset 'folds' must only contain arguments valid for the constructor of 'x.Y'.",
    ],
)
def test_an_entry_that_cannot_be_made_is_named(text):
    sentence = sentence_of(DatasetError(text))
    assert isinstance(sentence, ConfigurationError)
    assert sentence.message.startswith("catalog: folds: ")
    assert "Hint" not in sentence.message


def test_a_database_that_cannot_be_opened_hides_its_password():
    closed = sqlite3.OperationalError("unable to open database file")
    assert isinstance(sentence_of(closed), StoreError)
    far = OperationalError("connect postgresql://me:secret@host/db", {}, closed)
    assert "secret" not in sentence_of(far).message


def test_a_bug_stays_one():
    assert sentence_of(KeyError("x")) is None
    assert sentence_of(RuntimeError(str(Path("x")))) is None
