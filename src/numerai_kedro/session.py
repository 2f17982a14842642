"""The session behind `kedro run`: a run owns its data folder, errors become sentences."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from typing import Any

from kedro.framework.session import KedroSession
from kedro.io import DatasetError

from numerai_kedro.errors import ConfigurationError, NumeraiKedroError
from numerai_kedro.files import folder_lock

logger = logging.getLogger(__name__)


class WeeklySession(KedroSession):
    """A `KedroSession` whose `run` locks the data folder and unwraps our errors."""

    def run(self, *args: Any, **kwargs: Any) -> dict[str, Any]:
        """Run as Kedro does; see `KedroSession.run` for the arguments.

        Raises
        ------
        NumeraiKedroError
            Whatever the user can mend, without the wrapping and without a traceback.
        """
        try:
            with folder_lock(self._data_folder()):
                return super().run(*args, **kwargs)
        except Exception as error:
            sentence = sentence_of(error)
            if sentence is None:
                raise
            logger.debug("what was behind it", exc_info=error)
            raise sentence from None

    def _data_folder(self) -> str:
        config = self._get_config_loader()
        return str(self._project_path / config["globals"]["data_folder"])


def sentence_of(error: BaseException) -> NumeraiKedroError | None:
    """Find the sentence for the user in an error and its causes; None where it is a bug."""
    for cause in _causes(error):
        if isinstance(cause, NumeraiKedroError):
            return cause
    for cause in _causes(error):
        named = type(cause).__name__
        if named in {"ParameterValidationError", "ValidationError"}:
            return ConfigurationError(f"parameters: {_one_line(cause)}")
        if isinstance(cause, DatasetError) and "does not exist yet" in str(cause):
            missing = _one_line(cause).rpartition(". ")[2]
            return ConfigurationError(
                f"{missing}; run the pipeline that makes it first, or kedro run --pipeline=weekly."
            )
        if named == "MissingConfigException":
            return ConfigurationError(_one_line(cause))
    return None


def _causes(error: BaseException | None) -> Iterable[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split())
