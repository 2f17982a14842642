"""Whatever an answer or a file lacks, status shows the rest; scores that never pay are hidden."""

import copy
import itertools
import json
from datetime import UTC, datetime

import pytest

from numerai_kedro.cli.status import names_shown, status_lines
from numerai_kedro.errors import NumeraiKedroError, TournamentRefused, TournamentUnreachable
from numerai_kedro.numerai.client import Client
from numerai_kedro.numerai.transport import Reply, check_allowed

NOW = datetime(2026, 12, 1, 12, 30, tzinfo=UTC)
NAMES = ("corr60", "mmc60", "canon_corr60", "bmc")
DECISION = {
    "entry": "ensemble",
    "promised": {"corr60": {"mean": 0.02, "low": 0.01, "high": 0.03}},
}


def round_of(number):
    configs = [
        {"displayName": "corr60", "name": "correlation_60", "version": "2", "isPayout": True}
        | {"defaultMultiplier": 3.0, "clipThreshold": 1.0},
        {"displayName": "mmc60", "defaultMultiplier": 15.0},
        {"displayName": "bmc", "defaultMultiplier": None},
    ]
    return {
        "number": number,
        "openTime": "2026-12-01T12:00:00Z",
        "closeStakingTime": "2026-12-01T13:00:00Z",
        "closeTime": "2026-12-02T13:00:00Z",
        "target": "main",
        "payoutFactor": "1",
        "roundScoreConfigs": configs,
    }


def score(number, name, day=3):
    return {
        "roundNumber": number,
        "submissionId": "s",
        "displayName": name,
        "version": "2",
        "day": day,
        "date": "2026-11-30T00:00:00Z",
        "value": 0.0123,
        "percentile": 0.5,
        "resolved": day > 3,
    }


def answers(scored=(1400,), names=NAMES):
    return {
        "rounds": [round_of(1405)],
        "account": {"models": [{"id": "m", "name": "demo", "tournament": 8}]},
        "submissions": [
            {
                "id": "s",
                "filename": "p.csv",
                "insertedAt": "2026-12-01T12:10:00Z",
                "selected": True,
                "status": "validated",
                "round": {"number": 1405, "tournament": 8},
            }
        ],
        "submissionScores": [score(number, name) for number in scored for name in names],
    }


def is_object(value):
    return isinstance(value, dict | None)


class Answers:
    """A transport that has these answers."""

    url = "http://127.0.0.1:9"

    def __init__(self, content):
        self.content = content

    def send(self, query, variables, *, private=False, attempts=1, lists=()):
        check_allowed(query)
        if "roundScoreConfigs" in query and not variables:
            return Reply({"r1400": self.content.get("rounds")}, NOW)
        fields = ("account", "submissionScores", "submissions", "rounds")
        field = next(name for name in fields if name in query)
        if field not in self.content:
            raise TournamentUnreachable(f"The answer lacks {field}.")
        value = self.content[field]
        if field in lists and not (isinstance(value, list) and all(map(is_object, value))):
            raise TournamentUnreachable(f"The answer has no list as {field}.")
        return Reply({field: value}, NOW)


def status(content, folder, everything=False):
    client = Client("http://127.0.0.1:9", "v5.3", "id", "secret")
    client.transport = Answers(content)
    return status_lines(client, client.newest_round(), folder, everything)


def decided(folder, content, name="1400-demo"):
    decisions = folder / "08_reporting/gate_decisions"
    decisions.mkdir(parents=True, exist_ok=True)
    text = content if isinstance(content, str) else json.dumps(content)
    (decisions / f"{name}.json").write_text(text)


def places(value, place=()):
    """The path of every element inside a JSON value."""
    inner = value.items() if isinstance(value, dict) else enumerate(value)
    for key, child in inner:
        yield (*place, key)
        if isinstance(child, dict | list):
            yield from places(child, (*place, key))


def damaged(value):
    """The value with one place after another missing, null, or of another kind."""
    replacements = itertools.cycle(("text", [None], -1e400))
    for *way, last in places(value):
        for there in ("missing", None, next(replacements)):
            copied = copy.deepcopy(value)
            holder = copied
            for key in way:
                holder = holder[key]
            if there == "missing":
                holder.pop(last)
            else:
                holder[last] = there
            yield (*way, last), copied


def test_status_tells_what_was_submitted_scored_and_promised(tmp_path):
    decided(tmp_path, DECISION)
    assert status(answers(), tmp_path) == [
        "submitted   demo: p.csv, 2026-12-01T12:10:00Z",
        "scored      demo, round 1400: corr60 +0.0123, mmc60 +0.0123 (day 3)",
        "record      demo (ensemble): corr60: no round resolved yet, 1 still running at .0123",
        "record      demo (ensemble): mmc60: no round resolved yet, 1 still running at .0123",
        "not shown   bmc, canon_corr60 (--all shows them)",
    ]


def test_what_was_promised_is_told_though_no_round_pays_it_now(tmp_path):
    decided(tmp_path, DECISION | {"promised": {"bmc": DECISION["promised"]["corr60"]}})
    lines = status(answers(), tmp_path)
    assert any(": bmc: no round resolved yet" in line for line in lines)
    assert "bmc" not in lines[1]


def test_whatever_an_answer_lacks_there_is_no_traceback(tmp_path):
    decided(tmp_path, DECISION)
    n_sentences = 0
    for place, content in damaged(answers(names=NAMES[:1])):
        try:
            lines = status(content, tmp_path)
        except NumeraiKedroError:
            # Without a round, an account, or a list of objects, only a one-line error is left.
            assert place[0] in ("rounds", "account") or len(place) <= 2, place
        else:
            assert lines[0].startswith("submitted")
            n_sentences += 1
    assert n_sentences > 50


def test_a_submission_without_a_round_is_none_of_this_round(tmp_path):
    content = answers()
    content["submissions"][0]["round"] = None
    assert status(content, tmp_path)[0] == "submitted   nothing yet in this round"


def test_whatever_a_decision_lacks_there_is_no_traceback(tmp_path):
    for _, content in damaged([DECISION]):
        decided(tmp_path, content[0] if content else [])
        assert status(answers(), tmp_path)[1].startswith("scored")


def test_a_torn_decision_is_named(tmp_path):
    decided(tmp_path, DECISION)
    decided(tmp_path, '{"entry": "ens', "1399-demo")
    lines = status(answers(), tmp_path)
    assert "record      1399-demo.json cannot be read: its round has no promise" in lines
    assert len([line for line in lines if "(ensemble)" in line]) == 2


def test_the_last_ten_rounds_are_shown_and_all_of_them_on_request(tmp_path):
    content = answers(range(1380, 1400))
    lines = [line for line in status(content, tmp_path) if line.startswith("scored")]
    assert [line.split()[3] for line in lines] == [f"{number}:" for number in range(1390, 1400)]
    assert status(content, tmp_path)[-1] == (
        "not shown   10 earlier rounds; bmc, canon_corr60 (--all shows them)"
    )
    every = status(content, tmp_path, everything=True)
    assert len([line for line in every if line.startswith("scored")]) == 20
    assert "bmc +0.0123, canon_corr60 +0.0123, corr60 +0.0123" in every[1]
    assert not any(line.startswith("not shown") for line in every)


@pytest.mark.parametrize(
    ("names", "paid", "shown"),
    [
        (NAMES, {"corr60"}, ["corr60"]),
        (NAMES, set(), ["corr60", "mmc60", "bmc"]),  # no score is known not to pay
        (NAMES, {"canon_corr60"}, ["corr60"]),
        (("canon_mmc", "bmc"), {"canon_mmc"}, ["canon_mmc"]),
        (("canon_mmc", "bmc"), {"mmc"}, ["canon_mmc"]),
    ],
)
def test_twins_and_what_no_round_pays_are_folded(names, paid, shown):
    assert names_shown(names, paid) == shown


def test_what_pays_and_cannot_be_had_hides_nothing(tmp_path, monkeypatch):
    def refused(client, numbers):
        raise TournamentRefused("The tournament refused: too complex.")

    monkeypatch.setattr(Client, "paid_scores", refused)
    scored = status(answers(), tmp_path)[1]
    assert "bmc +0.0123, corr60 +0.0123, mmc60 +0.0123" in scored
