"""Finished work is not done twice: what is up to date, and the store of folds and fits."""

from numerai_kedro.cache.fold_store import FoldStore
from numerai_kedro.cache.result_code import code_of, is_of_other_code

__all__ = ["FoldStore", "code_of", "is_of_other_code"]
