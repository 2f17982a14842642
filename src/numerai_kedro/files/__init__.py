"""Durable files: the atomic writer, digests, the lock of a data folder, downloads.

Imports `errors` only. Nothing else in the project opens a durable file for writing.
"""

from numerai_kedro.files.arrays import read_arrays, write_arrays
from numerai_kedro.files.atomic import atomic_folder, atomic_path, atomic_write
from numerai_kedro.files.digests import digest_bytes, digest_file, digest_json
from numerai_kedro.files.direct import DirectWriter
from numerai_kedro.files.download import RemoteFile, fetch
from numerai_kedro.files.locks import folder_lock

__all__ = [
    "DirectWriter",
    "RemoteFile",
    "atomic_folder",
    "atomic_path",
    "atomic_write",
    "digest_bytes",
    "digest_file",
    "digest_json",
    "fetch",
    "folder_lock",
    "read_arrays",
    "write_arrays",
]
