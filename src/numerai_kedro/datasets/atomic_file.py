"""JSON, parquet, text and figures, each written to a temporary name and renamed."""

from __future__ import annotations

import json
import math
from abc import abstractmethod
from pathlib import Path
from typing import IO, Any, Generic, TypeVar

import pandas as pd
import plotly.graph_objects as go
import plotly.io
import pyarrow as pa
from kedro.io import AbstractDataset, DatasetError
from kedro.utils import load_obj
from kedro_datasets._typing import JSONPreview, PlotlyPreview, TablePreview
from pydantic import BaseModel

from numerai_kedro.cache.content import parts_at
from numerai_kedro.errors import StoreError
from numerai_kedro.files import atomic_write
from numerai_kedro.files.kept_json import digest_of

Value = TypeVar("Value")
PREVIEW_ROWS = 8
SEAL = "seal"
# What reading a damaged table or text raises: many errors, because the description of a table's
# columns has no checksum, and pandas trusts it.
UNREADABLE = (pa.ArrowException, OSError, ValueError, TypeError, LookupError, RecursionError)
SAID = 200  # characters quoted from a library's message about a damaged file


class AtomicFileDataset(AbstractDataset[Value, Value], Generic[Value]):
    """One file, replaced as a whole.

    Parameters
    ----------
    filepath
        Relative paths are relative to the project.
    metadata
        For Kedro-Viz: the layer.
    """

    def __init__(self, *, filepath: str, metadata: dict[str, Any] | None = None) -> None:
        self._path = Path(filepath)
        self.metadata = metadata

    def load(self) -> Value:
        """Read the file."""
        if not self._path.exists():
            raise DatasetError(f"{self._path} does not exist yet")
        return self._read(self._path)

    def save(self, data: Value) -> None:
        """Replace the file."""
        with atomic_write(self._path) as handle:
            self._write(data, handle)

    def contents(self) -> dict[str, Path | str]:
        """The file, for fingerprints."""
        return parts_at(self._path)

    def _exists(self) -> bool:
        return self._path.exists()

    def _describe(self) -> dict[str, Any]:
        return {"filepath": str(self._path)}

    @abstractmethod
    def _read(self, path: Path) -> Value: ...

    @abstractmethod
    def _write(self, data: Value, handle: IO[bytes]) -> None: ...


class JSONDataset(AtomicFileDataset[Any]):
    """JSON with sorted keys: the same value, the same bytes; NaN becomes null."""

    def _read(self, path: Path) -> Any:
        try:
            return json.loads(path.read_text(encoding="utf-8"))
        except (ValueError, RecursionError) as error:
            raise damaged(path, error) from None

    def _write(self, data: Any, handle: IO[bytes]) -> None:
        text = json.dumps(without_nan(data), indent=1, sort_keys=True, allow_nan=False)
        handle.write(text.encode())

    def preview(self) -> JSONPreview:
        """The text, for Kedro-Viz."""
        return JSONPreview(json.dumps(self.load()))


class TypedDataset(AtomicFileDataset[BaseModel]):
    """A pydantic model, as JSON: nodes get the object, people can read the file.

    Parameters
    ----------
    kind
        Dotted path of its class.
    """

    def __init__(self, *, filepath: str, kind: str, metadata: dict[str, Any] | None = None) -> None:
        super().__init__(filepath=filepath, metadata=metadata)
        self._kind = kind

    def _read(self, path: Path) -> BaseModel:
        kind: type[BaseModel] = load_obj(self._kind)
        try:
            return kind.model_validate_json(path.read_bytes())
        except ValueError as error:
            raise damaged(path, error) from None

    def _write(self, data: BaseModel, handle: IO[bytes]) -> None:
        handle.write(json.dumps(data.model_dump(mode="json"), indent=1, sort_keys=True).encode())

    def preview(self) -> JSONPreview:
        """The text, for Kedro-Viz."""
        return JSONPreview(self._path.read_text(encoding="utf-8"))


class SealedDataset(JSONDataset):
    """A JSON object that is stored with its digest, so that a damaged one is never used."""

    def _read(self, path: Path) -> Any:
        content = super()._read(path)
        if not isinstance(content, dict):
            raise damaged(path, TypeError("no object"))
        seal = content.pop(SEAL, None)
        # Files from before seals existed have none; a misspelt seal (a flipped bit) is not "none".
        unsealed = seal is None and not any(map(_is_nearly_a_seal, content))
        if not unsealed and seal != digest_of(content):
            raise damaged(path, ValueError("not what was written"))
        return content

    def _write(self, data: Any, handle: IO[bytes]) -> None:
        plain = json.loads(json.dumps(without_nan(data)))
        super()._write({**plain, SEAL: digest_of(plain)}, handle)


def _is_nearly_a_seal(name: str) -> bool:
    """Whether exactly one letter differs from the name of a seal."""
    letters = zip(name, SEAL, strict=False)
    return len(name) == len(SEAL) and sum(a != b for a, b in letters) == 1


class ReadingsDataset(JSONDataset):
    """JSON of measurements and postponed work; no fingerprint includes it."""

    def contents(self) -> dict[str, Path | str]:
        """Constant: new readings make nothing stale."""
        return {"": "readings"}

    def unfinished(self) -> str | None:
        """Why they should be taken again; their content does not tell that they are damaged."""
        try:
            self._read(self._path)
        except FileNotFoundError:
            return "is missing"
        except StoreError:
            return "is damaged"
        return None


class ParquetDataset(AtomicFileDataset[pd.DataFrame]):
    """A pandas frame; pages carry checksums, which find every flipped bit."""

    def _read(self, path: Path) -> pd.DataFrame:
        try:
            return pd.read_parquet(path, page_checksum_verification=True)
        except UNREADABLE as error:
            raise damaged(path, error) from None

    def _write(self, data: pd.DataFrame, handle: IO[bytes]) -> None:
        data.to_parquet(handle, write_page_checksum=True, compression="zstd")

    def preview(self) -> TablePreview:
        """The first rows, for Kedro-Viz."""
        rows = self.load().head(PREVIEW_ROWS).reset_index()
        return TablePreview(json.loads(rows.to_json(orient="split")))


class TextDataset(AtomicFileDataset[str]):
    """UTF-8 text: the dashboard, the csv of a submission."""

    def _read(self, path: Path) -> str:
        try:
            return path.read_text(encoding="utf-8")
        except UnicodeDecodeError as error:
            raise damaged(path, error) from None

    def _write(self, data: str, handle: IO[bytes]) -> None:
        handle.write(data.encode())


class FigureDataset(AtomicFileDataset[go.Figure]):
    """A Plotly figure as JSON."""

    def _read(self, path: Path) -> go.Figure:
        try:
            return plotly.io.from_json(path.read_text(encoding="utf-8"))
        except (ValueError, RecursionError) as error:
            raise damaged(path, error) from None

    def _write(self, data: go.Figure, handle: IO[bytes]) -> None:
        handle.write(plotly.io.to_json(data).encode())

    def preview(self) -> PlotlyPreview:
        """The figure, for Kedro-Viz."""
        return PlotlyPreview(json.loads(self._path.read_text(encoding="utf-8")))


def damaged(path: Path, error: Exception) -> StoreError:
    """The error for a file that cannot be read."""
    message = " ".join(str(error).split())[:SAID]
    return StoreError(
        f"{path}: cannot be read ({message or type(error).__name__}): a fault of the disk, or "
        "changed by hand; delete it and run kedro run --pipeline=weekly, which makes it again."
    )


def without_nan(value: Any) -> Any:
    """The value with None for NaN and infinity, which JSON lacks."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {str(name): without_nan(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [without_nan(item) for item in value]
    return value
