"""A file of this machine is answered as a server would: whole, a range, or not at all."""

import os

import pytest
import requests

from numerai_kedro.files.local_answer import FileAdapter, path_of

CONTENT = bytes(range(100))


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "a file"
    path.write_bytes(CONTENT)
    return path


@pytest.fixture
def session():
    with requests.Session() as session:
        session.mount("file://", FileAdapter())
        yield session


def etag_of(path):
    stat = path.stat()
    return f'"{stat.st_size:x}-{stat.st_mtime_ns:x}"'


def test_a_whole_file_has_its_length_and_a_tag_of_size_and_time(session, file):
    answer = session.get(file.as_uri())
    assert (answer.status_code, answer.content) == (200, CONTENT)
    assert answer.headers["Content-Length"] == "100"
    assert answer.headers["ETag"] == etag_of(file)
    assert "Content-Range" not in answer.headers
    assert answer.url == file.as_uri()


@pytest.mark.parametrize(
    ("asked", "first", "last"),
    [("90-", 90, 99), ("0-0", 0, 0), ("10-19", 10, 19), ("90-500", 90, 99)],
)
def test_a_range_is_those_bytes(session, file, asked, first, last):
    answer = session.get(file.as_uri(), headers={"Range": f"bytes={asked}"})
    assert (answer.status_code, answer.content) == (206, CONTENT[first : last + 1])
    assert answer.headers["Content-Range"] == f"bytes {first}-{last}/100"
    assert answer.headers["Content-Length"] == str(last - first + 1)


def test_a_range_of_another_version_is_the_whole_file(session, file):
    headers = {"Range": "bytes=90-", "If-Range": etag_of(file)}
    assert session.get(file.as_uri(), headers=headers).status_code == 206
    answer = session.get(file.as_uri(), headers=headers | {"If-Range": '"other"'})
    assert (answer.status_code, answer.content) == (200, CONTENT)


@pytest.mark.parametrize(("asked", "status"), [("99-", 206), ("100-", 416), ("101-", 416)])
def test_a_range_behind_the_end_is_refused(session, file, asked, status):
    answer = session.get(file.as_uri(), headers={"Range": f"bytes={asked}"})
    assert answer.status_code == status
    assert len(answer.content) == (status == 206)


def test_an_empty_file_and_one_of_a_byte_are_whole(session, file):
    for content in (b"", b"x"):
        file.write_bytes(content)
        answer = session.get(file.as_uri())
        assert (answer.status_code, answer.content) == (200, content)
    answer = session.get(file.as_uri(), headers={"Range": "bytes=1-"})
    assert answer.status_code == 416


def test_what_is_no_file_is_not_found_and_nothing_is_written(session, file):
    assert session.get(file.parent.as_uri()).status_code == 404
    assert session.get((file.parent / "absent").as_uri()).status_code == 404
    assert session.put(file.as_uri(), data=b"new").status_code == 405
    assert file.read_bytes() == CONTENT


def test_a_file_that_changes_while_it_is_read_breaks_off(session, file):
    answer = session.get(file.as_uri(), stream=True)
    assert answer.raw.read(60) == CONTENT[:60]
    os.utime(file, ns=(1, 1))
    assert answer.raw.read(None) == CONTENT[60:]
    with pytest.raises(requests.ConnectionError, match="changed while it was read"):
        answer.raw.read()


def test_addresses_of_other_machines_and_none_are_refused(tmp_path):
    assert path_of("file:///folder/of%20mine") == path_of("file://localhost/folder/of%20mine")
    assert str(path_of("file:///folder/of%20mine")) == "/folder/of mine"
    for url in ("file://elsewhere/folder", "file:", "file:///a%00b"):
        with pytest.raises(ValueError, match="should be file:///folder/of/this/machine"):
            path_of(url)
