"""The page opens offline, and nothing from outside becomes markup."""

from html.parser import HTMLParser

import numpy as np
import pandas as pd
import pytest

from numerai_kedro.dashboard.figures import cumulative_corr, drawdown, live_scores_figure
from numerai_kedro.dashboard.page import render_page
from numerai_kedro.dashboard.summary import headline, summary_lines

CANARY = '"><script>alert(1)</script><img src=x onerror=alert(1)>'


def scores(text=".0213 [.0031, .0395]"):
    mean = {"mean": 0.02, "low": 0.0, "high": 0.04, "text": text}
    names = ("corr", "mmc", "bmc", "fnc", "max_exposure")
    return {name: mean for name in names} | {"sharpe": 1.31, "max_drawdown": 0.05}


def summary(name="lightgbm", detail="accepted for model demo", status="accepted"):
    return {
        "round": {"number": 1412, "text": "round 1412, open for another 47 min"},
        "data": {
            "tournament": "demo",
            "version": "v5.3",
            "target": "target_ender_60",
            "trained_on": "target_ender_60",
            "first_era": 1,
            "last_era": 400,
            "resolved_to": 387,
            "n_features": 160,
        },
        "scores": {"ensemble": scores(), name: scores(), "benchmark": scores()},
        "eras": [268, 387],
        "outcomes": {name: {"status": "finished"}},
        "gate": {
            "1412-demo": {
                "slot": name,
                "entry": "ensemble",
                "passed": True,
                "reasons": [],
                "checks": [
                    {
                        "label": name,
                        "value": None,
                        "side": "above",
                        "threshold": 0.0,
                        "passed": False,
                        "missed_by": None,
                    }
                ],
            }
        },
        "receipts": {"1412-demo": {"slot": name, "status": status, "detail": detail}},
        "cuts": [],
    }


def figures(name="lightgbm"):
    era_scores = pd.DataFrame(
        {"era": [1, 2, 1, 2], "model": ["ensemble"] * 2 + [name] * 2, "corr": np.arange(4.0)}
    )
    live = pd.DataFrame(
        {
            "roundNumber": [1400],
            "displayName": [name],
            "day": [3],
            "value": [0.01],
            "resolved": [False],
        }
    )
    return {
        "Cumulative CORR": cumulative_corr(era_scores),
        "Drawdown": drawdown(era_scores),
        "Live scores": live_scores_figure(live),
    }


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
    assert parsed(render_page(summary(), figures())).links == []


@pytest.mark.parametrize("where", ["name", "detail"])
def test_texts_from_outside_are_no_markup(where):
    honest = parsed(render_page(summary(), figures()))
    evil = summary(**{where: CANARY})
    page = render_page(evil, figures(CANARY if where == "name" else "lightgbm"))
    elements = parsed(page)
    assert elements.tags == honest.tags
    assert elements.handlers == []


def test_the_page_stays_small():
    assert len(render_page(summary(), figures()).encode()) < 6_000_000


def test_the_verdict_comes_first():
    page = render_page(summary(status="blocked", detail="CORR missed by .004"), figures())
    body = page[page.index("<body>") :]
    assert body.index("blocked") < body.index("<table>")


def test_summary_lines_say_what_the_run_came_to():
    lines = dict(summary_lines(summary()))
    assert lines["data"] == "v5.3, eras 0001-0400, target_ender_60 resolved to 0387"
    assert lines["lightgbm"].startswith("CORR .0213 [.0031, .0395]   MMC ")
    assert lines["ensemble"].endswith("Sharpe 1.31")
    assert "round 1412" in headline(summary())


def test_a_model_that_failed_says_why_in_its_line():
    failed = summary()
    failed["outcomes"]["lightgbm"] = {"status": "failed", "stage": "fit", "symptom": "no memory"}
    assert dict(summary_lines(failed))["lightgbm"] == "fit: no memory"
