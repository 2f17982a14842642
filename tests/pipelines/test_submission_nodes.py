"""Every slot ends in a receipt with a reason; one refused slot does not stop the others."""

from types import SimpleNamespace

import numpy as np
import pytest

from numerai_kedro.errors import (
    CredentialsError,
    RoundClosed,
    RoundMoved,
    SubmissionError,
    TournamentRefused,
    TournamentUnreachable,
)
from numerai_kedro.files import digest_bytes
from numerai_kedro.pipelines.submission.nodes import submit
from numerai_kedro.reasons import BlockReason
from numerai_kedro.runtime.parameters import SubmissionParams

OPEN = {"number": 1412, "is_open": True}
IDS = [f"n{k:04d}" for k in range(50)]
CSV = "id,prediction\n" + "".join(f"{i},{(k + 0.5) / 50}\n" for k, i in enumerate(IDS))
PASSED = {"passed": True, "reasons": [], "predictions_digest": digest_bytes(CSV.encode())}


class Live:
    def ids(self):
        return np.array(IDS, dtype=object)


LIVE = Live()


class Tournament:
    """Accepts every submission, or raises the error it was given."""

    def __init__(self, error=None, name="demo", is_real=False, account=None, current=1412):
        self.error, self.taken, self.given = error, [], {}
        self.confirmed, self.answer, self.open = "accepted", "accepted", current
        self.name, self.is_real, self.account = name, is_real, account

    def current_round(self):
        if isinstance(self.open, Exception):
            raise self.open
        return self.open and SimpleNamespace(number=self.open)

    def models(self):
        if self.account:
            raise self.account
        return {"first": "id-1", "second": "id-2"}

    def confirm(self, receipt):
        return receipt | {"status": self.confirmed}

    def submit(self, content, model_id, round_number, *, late, known):
        self.given = {"late": late, "known": known}
        if self.error:
            raise self.error
        self.taken.append(model_id)
        receipt = {"status": self.answer, "detail": f"{self.answer} for {model_id}"}
        return receipt | {"submission_id": "s-1", "digest": digest_bytes(content)}


def numerai(**given):
    return Tournament(name="numerai", is_real=True, **given)


def params_of(slots, upload="auto", late="refuse", unfamiliar_rule="submit"):
    return SubmissionParams(slots=slots, upload=upload, late=late, unfamiliar_rule=unfamiliar_rule)


def receipts(
    tournament,
    slots,
    decision=PASSED,
    round_info=OPEN,
    csv=CSV,
    notes=(),
    before=None,
    asked=None,
    **params,
):
    named = asked or ({} if slots == {"unnamed": "ensemble"} else slots)
    return submit(
        tournament,
        LIVE,
        {f"1412-{slot}": csv for slot in slots},
        {f"1412-{slot}": decision for slot in slots if decision},
        slots,
        round_info,
        list(notes),
        before or {},
        params_of(named, **params),
    )


def test_an_accepted_slot_keeps_round_entry_and_stocks():
    (receipt,) = receipts(Tournament(), {"first": "ensemble"}).values()
    assert receipt["status"] == "accepted"
    assert (receipt["round"], receipt["entry"], receipt["n_stocks"]) == (1412, "ensemble", 50)


def broken(csv):
    """A csv that the gate passed although it breaks a submission rule."""
    return {"csv": csv, "decision": PASSED | {"predictions_digest": digest_bytes(csv.encode())}}


KEPT_OUT = {
    "gate": ({"decision": {"passed": False, "reasons": ["CORR is low"]}}, BlockReason.GATE),
    "switched off": ({"upload": False}, BlockReason.SWITCHED_OFF),
    "auto on the real one": ({"tournament": numerai()}, BlockReason.SWITCHED_OFF),
    "auto on an address that is not this machine's": (
        {"tournament": Tournament(name="demo", is_real=True)},
        BlockReason.SWITCHED_OFF,
    ),
    "a rule nobody knows": (
        {"notes": ["alpha pays x 2"], "unfamiliar_rule": "refuse"},
        BlockReason.RULE_UNFAMILIAR,
    ),
    "tied": (broken("id,prediction\n" + "".join(f"{i},0.5\n" for i in IDS)), BlockReason.CONSTANT),
    "ids": (broken(CSV.replace("n0000", "n9999")), BlockReason.IDS_MISSING),
    "no csv": (broken(f'{CSV}"a'), BlockReason.COLUMNS_WRONG),
    "nothing": (broken(" "), BlockReason.COLUMNS_WRONG),
    "judged others": ({"csv": CSV.replace("0.01", "0.011")}, BlockReason.NOT_CHECKED),
    "judged none": ({"decision": None}, BlockReason.NOT_CHECKED),
    "judged by an earlier version": ({"decision": {"passed": True}}, BlockReason.NOT_CHECKED),
    "closed": ({"tournament": Tournament(current=None)}, BlockReason.ROUND_CLOSED),
    "another round": ({"tournament": Tournament(current=1413)}, BlockReason.ROUND_MOVED),
}


@pytest.mark.parametrize("why", sorted(KEPT_OUT))
def test_what_is_kept_out_says_why_and_nothing_is_sent(why):
    options, reason = KEPT_OUT[why]
    arguments = {"tournament": Tournament(), "slots": {"first": "ensemble"}} | options
    tournament = arguments["tournament"]
    (receipt,) = receipts(**arguments).values()
    assert receipt["reason"] == reason.value
    assert tournament.taken == []


def test_a_slot_that_nobody_named_is_never_uploaded_and_asking_for_it_is_no_success():
    tournament = numerai()
    receipt = receipts(tournament, {"unnamed": "ensemble"}, upload=True)["1412-unnamed"]
    assert (receipt["status"], receipt["reason"]) == (
        "refused",
        BlockReason.NOTHING_TO_SUBMIT.value,
    )
    written = receipts(numerai(), {"unnamed": "ensemble"})["1412-unnamed"]
    assert written["status"] == "written"
    assert tournament.taken == []


def test_an_id_that_the_slot_gives_needs_no_look_up():
    """A key may upload, and not view the account."""
    refused = TournamentRefused("missing scope")
    named = {"mine": {"feeds": "ensemble", "model_id": "id-9"}}
    tournament = numerai(account=refused)
    by_slot = receipts(tournament, {"mine": "ensemble"}, asked=named, upload=True)
    assert by_slot["1412-mine"]["status"] == "accepted"
    assert tournament.taken == ["id-9"]
    without = receipts(numerai(account=refused), {"mine": "ensemble"}, upload=True)
    assert without["1412-mine"]["reason"] == BlockReason.REFUSED.value


def test_a_closed_round_is_queued_for_only_where_the_user_says_so():
    tournament = Tournament(current=None)
    receipts(tournament, {"first": "ensemble"}, late="queue")
    assert (tournament.taken, tournament.given["late"]) == (["id-1"], "queue")


PENDING = {
    "status": "pending",
    "submission_id": "s-0",
    "round": 1412,
    "slot": "first",
    "detail": "not yet",
    "digest": digest_bytes(CSV.encode()),
}


def test_what_was_sent_before_is_asked_for_again_and_known_to_the_next_upload():
    tournament = Tournament()
    by_slot = receipts(tournament, {"first": "ensemble"}, before={"1412-first": PENDING})
    assert tournament.given["known"] == PENDING | {"status": "accepted"}
    assert by_slot["1412-first"]["status"] == "accepted"


def test_what_was_pending_when_the_round_closed_is_settled_afterwards():
    next_one, earlier = {"number": 1413, "is_open": False}, PENDING | {"round": 1411}
    before = {"1412-first": PENDING, "1411-first": earlier, "1399-first": PENDING | {"round": 1399}}
    settled = receipts(Tournament(), {"first": "ensemble"}, round_info=next_one, before=before)
    assert {key: receipt["status"] for key, receipt in settled.items()} == {
        "1412-first": "accepted",
        "1411-first": "accepted",
        "1413-first": "refused",  # nothing was judged for it
    }
    tournament = Tournament(current=None)
    (settled,) = receipts(
        tournament, {"first": "ensemble"}, before={"1412-first": PENDING}
    ).values()
    assert settled["status"] == "accepted"


def test_a_receipt_without_a_round_is_not_asked_about():
    before = {"1411-first": PENDING | {"round": None}}
    (key,) = receipts(Tournament(), {"first": "ensemble"}, before=before)
    assert key == "1412-first"


def test_what_is_found_invalid_does_not_take_the_place_of_what_was_accepted():
    tournament = Tournament()
    tournament.answer = "failed"
    accepted = PENDING | {"status": "accepted", "digest": "another"}
    (receipt,) = receipts(
        tournament, {"first": "ensemble"}, before={"1412-first": accepted}
    ).values()
    assert (receipt["status"], "submission_id" in receipt) == ("failed", False)
    assert receipt["reason"] == BlockReason.INVALID.value
    (receipt,) = receipts(tournament, {"first": "ensemble"}).values()
    assert receipt["submission_id"] == "s-1"


def test_a_payout_score_that_is_not_weighed_stands_in_the_receipt():
    (receipt,) = receipts(Tournament(), {"first": "ensemble"}, notes=["alpha pays x 2"]).values()
    assert (receipt["status"], receipt["warnings"]) == ("accepted", ["alpha pays x 2"])


@pytest.mark.parametrize(
    ("current", "status"),
    [
        (None, "closed"),
        (1413, "moved"),
        (1412, "accepted"),
        (TournamentUnreachable("no"), "refused"),
    ],
)
def test_a_round_that_opened_since_the_run_began_is_noticed(current, status):
    """The run began between rounds and ends while one is open."""
    tournament, closed = Tournament(current=current), {"number": 1412, "is_open": False}
    (receipt,) = receipts(tournament, {"first": "ensemble"}, round_info=closed).values()
    assert receipt["status"] == status


def test_what_an_earlier_round_came_to_is_said_once():
    tournament, earlier = Tournament(), PENDING | {"round": 1411}
    tournament.confirmed = "failed"
    first = receipts(tournament, {"first": "ensemble"}, before={"1411-first": earlier})
    assert first["1411-first"]["found_invalid"]
    again = receipts(tournament, {"first": "ensemble"}, before=first)
    assert again["1411-first"]["status"] == "failed"
    assert "found_invalid" not in again["1411-first"]


def test_another_round_that_opened_meanwhile_is_named():
    moved = RoundMoved("round 1413 is open")
    (receipt,) = receipts(Tournament(moved), {"first": "ensemble"}).values()
    assert (receipt["status"], receipt["reason"]) == ("moved", BlockReason.ROUND_MOVED.value)


def test_the_gate_speaks_before_the_switch():
    """A user who has switched uploading off still sees that the gate would have refused."""
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
    tournament = numerai()
    slots = {"frist": "ensemble", "second": "ensemble"}
    by_slot = receipts(tournament, slots, upload=True)
    assert by_slot["1412-frist"]["reason"] == BlockReason.UNKNOWN_MODEL.value
    assert "it has: first, second" in by_slot["1412-frist"]["detail"]
    assert tournament.taken == ["id-2"]


def test_slots_that_changed_since_they_were_named_are_not_submitted():
    tournament, params = numerai(), params_of({"second": "ensemble"}, upload=True)
    with pytest.raises(SubmissionError, match=r"submission\.slots has changed"):
        submit(tournament, LIVE, {}, {}, {"unnamed": "ensemble"}, OPEN, [], {}, params)
    assert tournament.taken == []


@pytest.mark.parametrize(
    ("upload", "tournament", "said"),
    [
        (False, Tournament(), "submission.upload is false"),
        ("auto", numerai(), "name your model in"),
    ],
)
def test_what_is_held_back_says_by_what(upload, tournament, said):
    (receipt,) = receipts(tournament, {"first": "ensemble"}, upload=upload).values()
    assert receipt["status"] == "written"
    assert said in receipt["detail"]
