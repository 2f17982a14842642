"""No target may look ahead as far as the purge."""

import pytest

from numerai_kedro.errors import LeakError
from numerai_kedro.numerai.schema import check_horizons


def test_a_target_that_spans_the_purge_is_refused_in_a_sentence():
    check_horizons(["target_ender_20", "target_jasper_60"], purge_eras=13)
    check_horizons(["target_ender_20"], purge_eras=5)
    with pytest.raises(LeakError, match="target_ender_60 spans 12 weekly eras, and purge_eras is"):
        check_horizons(["target_ender_20", "target_ender_60"], purge_eras=12)
