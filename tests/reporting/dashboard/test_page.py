"""The page opens offline, and nothing from outside becomes markup."""

from html.parser import HTMLParser

import pytest
from tests.reporting.dashboard.samples import figures, leaders, ledger, outcome, summary

from numerai_kedro.reporting.dashboard.feature_tables import claims
from numerai_kedro.reporting.dashboard.page import render_page

KILLED = {"symptom": "killed", "remedy": "fitted again on every second era"}
CANARY = '"><script>alert(1)</script><img src=x onerror=alert(1)>'


class Elements(HTMLParser):
    def __init__(self):
        super().__init__()
        self.tags, self.handlers, self.links = [], [], []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.handlers += [name for name, _ in attrs if name.startswith("on")]
        self.links += [v for name, v in attrs if name in {"src", "href"}]


def parsed(page):
    elements = Elements()
    elements.feed(page)
    return elements


def test_the_page_asks_nothing_of_the_network():
    assert parsed(render_page(summary(), figures(), leaders(), ledger())).links == []


@pytest.mark.parametrize("where", ["name", "detail"])
def test_texts_from_outside_are_no_markup(where):
    honest = parsed(render_page(summary(), figures(), leaders(), ledger()))
    evil = summary(**{where: CANARY})
    name = CANARY if where == "name" else "lightgbm"
    page = render_page(evil, figures(name), leaders(name), ledger(evidence=CANARY))
    elements = parsed(page)
    assert elements.tags == honest.tags
    assert elements.handlers == []


def test_the_page_stays_small():
    assert len(render_page(summary(), figures(), leaders(), ledger()).encode()) < 6_000_000


def test_what_was_measured_over_seeds_stands_on_the_page(monkeypatch):
    table = {"title": "Worth", "heads": ["room", "CORR"], "rows": [["<b>", ".03"]], "said": "Ten."}
    monkeypatch.setattr("numerai_kedro.reporting.dashboard.feature_tables.claims", lambda: [table])
    page = render_page(summary(), figures(), leaders(), ledger())
    assert "<h3>Worth</h3>" in page
    assert "<th>&lt;b&gt;</th><td>.03</td>" in page
    assert "<p>Ten.</p>" in page


def test_tables_of_claims_can_be_drawn():
    shown = claims()
    assert shown
    for claim in shown:
        assert all(len(row) == len(claim["heads"]) for row in claim["rows"])


def test_the_verdict_comes_first():
    page = render_page(
        summary(status="blocked", detail="CORR missed by .004"), figures(), leaders(), ledger()
    )
    body = page[page.index("<body>") :]
    assert body.index("blocked") < body.index("<table>")


def test_every_check_says_its_value_its_threshold_and_what_to_do():
    run = summary()
    decision = run["gate"]["1412-demo"]
    (check,) = decision["checks"]
    warning = check | {"kind": "warning", "label": "exposure", "value": 0.26, "threshold": 0.22}
    decision["checks"] = [
        check | {"remedy": "improve the models"},
        warning | {"remedy": "neutralise"},
    ]
    decision["warnings"] = ["exposure is far above the benchmark's"]
    page = render_page(run, figures(), leaders(), ledger())
    for text in ("improve the models", "neutralise", "✗ missed", "⚠ warning", ">.2600<", " .2200<"):
        assert text in page
    assert "⚠ exposure is far above the benchmark&#x27;s" in page


def test_who_predicts_in_whose_place_says_why():
    run = summary()
    receipt, decision = run["receipts"]["1412-demo"], run["gate"]["1412-demo"]
    receipt["feeds"] = decision["feeds"] = "champion"
    decision |= {"reasons": ["payoff is low"], "champion_checks": decision["checks"]}
    page = render_page(run, figures(), leaders(), ledger())
    assert "predicted by the champion: payoff is low" in page
    assert "What was asked of the champion" in page


@pytest.mark.parametrize("status", ["accepted", "pending", "unconfirmed", "written", "late"])
def test_a_round_that_was_not_sent_stands_out_on_the_page(status):
    sent = render_page(summary(status=status), figures(), leaders(), ledger())
    assert 'class="verdict bad"' not in sent
    for other in ("blocked", "refused", "failed", "closed", "moved"):
        page = render_page(summary(status=other), figures(), leaders(), ledger())
        assert 'class="verdict bad"' in page


def test_what_speaks_for_a_change_of_configuration_stands_under_the_gate():
    run = summary()
    assert "than the champion" not in render_page(run, figures(), leaders(), ledger())
    run["gate"]["1412-demo"]["superior_to_champion"] = 0.25
    text = "nothing of ours earns more than the champion has a p value of 0.25"
    assert text in render_page(run, figures(), leaders(), ledger())


def test_models_say_their_parameters_their_tuning_and_what_was_tried():
    run = summary()
    run["outcomes"]["lightgbm"] = outcome([KILLED], "no memory")
    run["outcomes"]["xgboost"] = {
        "status": "failed",
        "stage": "fit",
        "symptom": "no module xgboost",
        "remedies": [],
    }
    page = render_page(run, figures(), leaders(), ledger())
    for text in (
        "no trial was better than preset example, which stays",
        "killed: fitted again on every second era; the incumbent fit stays: no memory",
        "fit: no module xgboost",
        "max_depth 3, learning_rate",
        "Recoveries",
        "out of memory in loading",
    ):
        assert text in page
    assert "Leaderboard" not in render_page(run, figures(), leaders().head(0), ledger())
