"""Finished work is not done twice: the content-addressed store of folds and fits.

May import `errors`, `files`, `panel` and `statistics`.
"""

from numerai_kedro.incremental.fold_store import FoldStore
from numerai_kedro.incremental.result_code import code_of, is_of_other_code

__all__ = ["FoldStore", "code_of", "is_of_other_code"]
