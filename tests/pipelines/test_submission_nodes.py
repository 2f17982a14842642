"""Every slot ends in a receipt with its reason; one slot's refusal does not stop the others."""

import numpy as np
import pandas as pd
import pytest
from tests.panels import small_panel

from numerai_kedro.errors import (
    CredentialsError,
    Failed,
    RoundClosed,
    SubmissionError,
    TournamentRefused,
    TournamentUnreachable,
)
from numerai_kedro.files import digest_bytes
from numerai_kedro.pipelines.parameters import SubmissionParams
from numerai_kedro.pipelines.submission.nodes import submit, write
from numerai_kedro.reasons import BlockReason
from numerai_kedro.tournament.submission import csv_of_ranks

OPEN = {"number": 1412, "is_open": True}
IDS = [f"n{k:04d}" for k in range(50)]
CSV = "id,prediction\n" + "".join(f"{i},{(k + 0.5) / 50}\n" for k, i in enumerate(IDS))
PASSED = {"passed": True, "reasons": [], "judged": digest_bytes(CSV.encode())}


class Live:
    def ids(self):
        return np.array(IDS, dtype=object)


LIVE = Live()


class Ingestion:
    tournament = "demo"


class Tournament:
    """Takes what comes, or raises what it was given."""

    def __init__(self, error=None):
        self.error, self.taken = error, []

    def models(self):
        return {"first": "id-1", "second": "id-2"}

    def submit(self, content, model_id, round_number):
        if self.error:
            raise self.error
        self.taken.append(model_id)
        return {"status": "accepted", "detail": f"accepted for {model_id}"}


def receipts(
    tournament, slots, decision=PASSED, upload="auto", round_info=OPEN, who=Ingestion, csv=CSV
):
    return submit(
        tournament,
        LIVE,
        {f"1412-{slot}": csv for slot in slots},
        {f"1412-{slot}": decision for slot in slots if decision},
        slots,
        round_info,
        SubmissionParams(slots={} if slots == {"unnamed": "ensemble"} else slots, upload=upload),
        who,
    )


def test_an_accepted_slot_keeps_round_entry_and_stocks():
    (receipt,) = receipts(Tournament(), {"first": "ensemble"}).values()
    assert receipt["status"] == "accepted"
    assert (receipt["round"], receipt["entry"], receipt["n_stocks"]) == (1412, "ensemble", 50)


class Numerai:
    tournament = "numerai"


def broken(csv):
    """A csv that breaks a rule of submission although the gate has let it through."""
    return {"csv": csv, "decision": PASSED | {"judged": digest_bytes(csv.encode())}}


KEPT_OUT = {
    "gate": ({"decision": {"passed": False, "reasons": ["CORR is low"]}}, BlockReason.GATE),
    "switched off": ({"upload": False}, BlockReason.SWITCHED_OFF),
    "auto on the real one": ({"who": Numerai}, BlockReason.SWITCHED_OFF),
    "tied": (broken("id,prediction\n" + "".join(f"{i},0.5\n" for i in IDS)), BlockReason.CONSTANT),
    "ids": (broken(CSV.replace("n0000", "n9999")), BlockReason.IDS_MISSING),
    "judged others": ({"csv": CSV.replace("0.01", "0.011")}, BlockReason.NOT_JUDGED),
    "judged none": ({"decision": None}, BlockReason.NOT_JUDGED),
    "closed": ({"round_info": {"number": 1412, "is_open": False}}, BlockReason.ROUND_CLOSED),
}


@pytest.mark.parametrize("why", sorted(KEPT_OUT))
def test_what_is_kept_out_says_why_and_nothing_is_sent(why):
    options, reason = KEPT_OUT[why]
    tournament = Tournament()
    (receipt,) = receipts(tournament, {"first": "ensemble"}, **options).values()
    assert receipt["reason"] == reason.value
    assert tournament.taken == []


def test_a_slot_that_nobody_named_is_never_uploaded():
    tournament = Tournament()
    found = receipts(tournament, {"unnamed": "ensemble"}, upload=True, who=Numerai)
    assert found["1412-unnamed"]["status"] == "written"
    assert tournament.taken == []


def test_a_model_that_failed_has_no_csv_and_stops_no_other(tmp_path):
    live = small_panel(tmp_path / "panel", n_eras=1)
    frame = pd.DataFrame({"id": live.ids(), "prediction": np.arange(live.n_rows)})
    slots = {"a": "lightgbm", "b": "ensemble"}
    written = write(slots, OPEN, {}, {}, lightgbm=Failed("fit", "x"), ensemble=frame)
    assert list(written) == ["1412-b"]


def test_where_the_gate_says_so_the_champion_is_written(tmp_path):
    live = small_panel(tmp_path / "panel", n_eras=1)
    ours = pd.DataFrame({"id": live.ids(), "prediction": np.arange(live.n_rows)})
    theirs = ours.assign(prediction=ours["prediction"][::-1].to_numpy())
    decisions = {"1412-a": {"feeds": "champion"}, "1412-b": {"feeds": "ensemble"}}
    slots = {"a": "ensemble", "b": "ensemble"}
    written = write(slots, OPEN, decisions, {"1412-a": theirs, "1412-b": theirs}, ensemble=ours)
    assert written["1412-a"] == csv_of_ranks(theirs)
    assert written["1412-b"] == csv_of_ranks(ours)


def test_the_gate_speaks_before_the_switch():
    """A user who has uploading off still sees that the gate would have said no."""
    blocked, slots = {"passed": False, "reasons": ["CORR is low"]}, {"first": "ensemble"}
    (receipt,) = receipts(Tournament(), slots, decision=blocked, upload=False).values()
    assert receipt["detail"] == "Not submitted: CORR is low. Nothing was uploaded."


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (TournamentRefused("no"), BlockReason.REFUSED),
        (TournamentUnreachable("silence"), BlockReason.UNREACHABLE),
        (RoundClosed("just now"), BlockReason.ROUND_CLOSED),
        (CredentialsError("no keys"), BlockReason.NO_KEYS),
    ],
)
def test_a_refusal_is_a_receipt_with_the_tournaments_sentence(error, reason):
    (receipt,) = receipts(Tournament(error), {"first": "ensemble"}).values()
    assert (receipt["status"], receipt["reason"]) == ("refused", reason.value)
    assert receipt["detail"] == error.message


def test_an_unknown_slot_names_those_there_are_and_stops_no_other():
    tournament = Tournament()
    slots = {"frist": "ensemble", "second": "ensemble"}
    found = receipts(tournament, slots, upload=True, who=Numerai)
    assert found["1412-frist"]["reason"] == BlockReason.UNKNOWN_MODEL.value
    assert "it has: first, second" in found["1412-frist"]["detail"]
    assert tournament.taken == ["id-2"]


def test_what_is_written_is_ranks_of_the_live_ids(tmp_path):
    live = small_panel(tmp_path / "panel", n_eras=1)
    raw = np.random.default_rng(0).normal(size=live.n_rows) * 100
    frame = pd.DataFrame({"id": live.ids(), "era": 1, "prediction": raw})
    written = write({"first": "ensemble"}, OPEN, {}, {}, ensemble=frame)
    lines = written["1412-first"].splitlines()
    values = pd.Series({i: float(v) for i, _, v in (x.partition(",") for x in lines[1:])})
    assert lines[0] == "id,prediction"
    assert values.between(0, 1, inclusive="neither").all()
    assert values.reindex(frame["id"]).rank().tolist() == frame["prediction"].rank().tolist()


def test_slots_that_changed_since_they_were_named_are_not_submitted():
    tournament, params = Tournament(), SubmissionParams(slots={"second": "ensemble"}, upload=True)
    with pytest.raises(SubmissionError, match=r"submission\.slots has changed"):
        submit(tournament, LIVE, {}, {}, {"unnamed": "ensemble"}, OPEN, params, Numerai)
    assert tournament.taken == []


@pytest.mark.parametrize(
    ("upload", "who", "said"),
    [(False, Ingestion, "submission.upload is false"), ("auto", Numerai, "name your model in")],
)
def test_what_is_held_back_says_by_what(upload, who, said):
    (receipt,) = receipts(Tournament(), {"first": "ensemble"}, upload=upload, who=who).values()
    assert receipt["status"] == "written"
    assert said in receipt["detail"]
