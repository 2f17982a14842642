"""The page opens offline, and nothing from outside becomes markup."""

from html.parser import HTMLParser

import pytest
from tests.dashboard.samples import figures, summary

from numerai_kedro.dashboard.page import render_page

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
