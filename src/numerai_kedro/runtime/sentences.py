"""Errors of Kedro, of libraries and of the system, as the sentence for who can fix them."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

import yaml
from kedro.io import DatasetError

from numerai_kedro.errors import (
    ConfigurationError,
    NumeraiKedroError,
    StoreError,
    without_password,
)
from numerai_kedro.files.space import refused
from numerai_kedro.strict import WHERE

# What Kedro puts before the sentence of a block of parameters, and of an entry of the catalog.
BLOCK = re.compile(r"- Parameter '([^']+)': (?:Failed to instantiate \S+ for parameter \S+ )?(.+)")
ENTRY = re.compile(r"(?:config for dataset|[Dd]ataset) '(?P<name>[^']+)'[.:]? *(?P<problem>.+)")
WRAPPERS = {"kedro", "kedro_datasets"}
SAID = 200  # characters of what a library says


def sentence_of(error: BaseException) -> NumeraiKedroError | None:
    """Find the sentence for the user in an error and its causes; None where it is a bug."""
    causes = list(_causes(error))
    for cause in causes:
        if isinstance(cause, NumeraiKedroError):
            return cause
    for translate in TRANSLATIONS:
        for cause in causes:
            if (sentence := translate(cause)) is not None:
                return sentence
    return None


def _system(error: BaseException) -> NumeraiKedroError | None:
    return refused(error) if isinstance(error, OSError) else None


def _parameters(error: BaseException) -> NumeraiKedroError | None:
    if type(error).__name__ != "ParameterValidationError":
        return None
    blocks = [f"{name}.{problem}" for name, problem in BLOCK.findall(str(error))]
    return ConfigurationError(f"parameters: {'; '.join(blocks) or _one_line(error)} {WHERE}")


def _pipeline(error: BaseException) -> NumeraiKedroError | None:
    if not (isinstance(error, ValueError) and str(error).startswith("Pipeline does not contain")):
        return None
    return ConfigurationError(
        f"{_one_line(error).rstrip('.')}; kedro registry describe names its nodes."
    )


def _not_made(error: BaseException) -> NumeraiKedroError | None:
    if not (isinstance(error, DatasetError) and "does not exist yet" in str(error)):
        return None
    missing = _one_line(error).rpartition(". ")[2]
    return ConfigurationError(
        f"{missing}; run the pipeline that makes it first, or kedro run --pipeline=weekly."
    )


def _entry(error: BaseException) -> NumeraiKedroError | None:
    match = ENTRY.search(_one_line(error)) if isinstance(error, DatasetError) else None
    if match is None:
        return None
    problem = match["problem"].partition(". ")[0].rstrip(".")  # hints of Kedro's follow
    return ConfigurationError(
        f"catalog: {match['name']}: {problem}. Correct the entry in conf/local or conf/base."
    )


def _database(error: BaseException) -> NumeraiKedroError | None:
    if type(error).__name__ not in ("OperationalError", "DatabaseError"):
        return None
    sentence = without_password(_one_line(error))[:SAID].rstrip(".")
    return StoreError(
        f"a database cannot be used: {sentence}. Free disk, give back the right to write there, or "
        "restore the file, and run the same command again."
    )


def _configuration(error: BaseException) -> NumeraiKedroError | None:
    if type(error).__name__ == "MissingConfigException":
        return ConfigurationError(_one_line(error))
    if isinstance(error, yaml.YAMLError):
        return ConfigurationError(f"{_one_line(error)} Correct the file: it is no YAML there.")
    return None


# In this order: what is said first says most.
TRANSLATIONS: tuple[Callable[[BaseException], NumeraiKedroError | None], ...] = (
    _system,
    _parameters,
    _pipeline,
    _not_made,
    _entry,
    _database,
    _configuration,
)


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    """An error and what it was raised from; what it met by chance only where Kedro wraps it."""
    while error is not None:
        yield error
        wraps = type(error).__module__.partition(".")[0] in WRAPPERS
        error = error.__cause__ or (error.__context__ if wraps else None)


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split())
