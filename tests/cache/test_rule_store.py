"""The last rule that was understood is found again, whatever came after it."""

from numerai_kedro.cache.rule_store import RuleStore
from numerai_kedro.metrics.payout import PayoutRule

OLD, NEW = PayoutRule(0.75, 2.25, 0.05, 0.1), PayoutRule(3, 15)


def test_the_newest_rule_before_or_at_a_round_is_effective(tmp_path):
    store = RuleStore(tmp_path)
    assert store.newest(60, 1500) is None
    store.keep(60, 1175, OLD)
    store.keep(60, 1343, NEW)
    assert store.newest(60, 1174) is None
    assert store.newest(60, 1342) == (1175, OLD)
    assert store.newest(60, 1343) == (1343, NEW)
    assert store.newest(20, 1343) is None  # the rule of another horizon


def test_a_rule_that_stays_is_kept_once(tmp_path):
    store = RuleStore(tmp_path)
    for number in (1343, 1344, 1345):
        store.keep(60, number, NEW)
    assert [path.name for path in tmp_path.glob("60/*.json")] == ["1343.json"]


def test_a_damaged_file_is_passed_over_said_and_written_again(tmp_path, caplog):
    store = RuleStore(tmp_path)
    store.keep(60, 1175, OLD)
    for content in ('{"corr": 3', '{"corr": "x"}', '{"tc": 1}', "[]", "null"):
        (tmp_path / "60" / "1343.json").write_text(content)
        caplog.clear()
        assert store.newest(60, 1400) == (1175, OLD)
        assert "1343.json: holds no payout rule" in caplog.text
    store.keep(60, 1343, NEW)
    assert store.newest(60, 1400) == (1343, NEW)
