"""Every reason is documented, in the table generated from them."""

from numerai_kedro.reasons import CONSEQUENCES, BlockReason, reasons_table
from tests.project import ROOT


def test_the_documentation_holds_the_table():
    assert reasons_table() in (ROOT / "docs" / "gate.md").read_text()


def test_each_has_a_kind_and_a_fix_and_a_text_of_its_own():
    assert {reason.kind for reason in BlockReason} == CONSEQUENCES.keys()
    assert all(reason.remedy for reason in BlockReason)
    assert len({str(reason) for reason in BlockReason}) == len(BlockReason.__members__)
