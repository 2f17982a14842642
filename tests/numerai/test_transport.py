"""Every row of what a server can do to a client (reference/numerai.md, table 1.2)."""

import errno
import itertools
import json
import logging
import os
import traceback
from datetime import timedelta
from email.utils import format_datetime

import pytest
from tests.secret_forms import forms

from numerai_kedro.demo.faults import Fault
from numerai_kedro.demo.server import DemoServer
from numerai_kedro.demo.tournament import DemoTournament
from numerai_kedro.errors import (
    ConfigurationError,
    CredentialsError,
    NumeraiKedroError,
    SystemRefused,
    TournamentRefused,
    TournamentUnreachable,
)
from numerai_kedro.numerai.client import Client
from numerai_kedro.numerai.transport import (
    ALLOWED_MUTATIONS,
    ATTEMPTS,
    MAX_WAIT_S,
    Asked,
    check_allowed,
)

HTML = "<html><body>Forbidden</body></html>"


def test_two_server_errors_are_waited_out(client, server, waits):
    server.faults.add(Fault("post", "status", 503, times=2))
    assert client.get_current_round() == 1412
    assert waits == [2.0, 4.0]


@pytest.mark.parametrize("status", [500, 502, 503, 408, 302])
def test_a_server_that_stays_broken_ends_in_unreachable(client, server, waits, operations, status):
    server.faults.add(Fault("post", "status", status, times=99, body='{"why": "maintenance"}'))
    with pytest.raises(TournamentUnreachable, match=f"answer {status}.*maintenance.*try again"):
        client.get_current_round()
    assert len(operations()) == ATTEMPTS
    assert len(waits) == ATTEMPTS - 1
    assert max(waits) <= MAX_WAIT_S


BODIES = (
    '{"data": {}}',
    '{"data": {"rounds": null}}',
    '{"data": {"submissions": null}}',
    "[" * 100_000,
    '{"data": [1]}',
    "",
)


@pytest.mark.parametrize("body", BODIES)
def test_data_without_what_was_asked_for_is_no_answer(client, server, operations, body):
    """Mistaken for an empty list, it would mean that nothing has been submitted."""
    model_id = client.models()["demo"]
    server.faults.add(Fault("post", "status", 200, "submissions", times=2, body=body))
    assert client.submissions(model_id) == []
    assert operations().count("submissions") == 3


@pytest.mark.parametrize("value", ['"text"', "7", "[[]]", '{"a": 1}', "[7]"])
def test_what_is_no_list_of_objects_is_not_taken_for_an_empty_one(client, server, value):
    body = f'{{"data": {{"submissions": {value}}}}}'
    server.faults.add(Fault("post", "status", 200, "submissions", times=9, body=body))
    with pytest.raises(TournamentUnreachable, match="no list of objects as submissions"):
        client.submissions(client.models()["demo"])


@pytest.mark.parametrize("kind", ["html", "bad_json", "drop"])
def test_an_answer_that_is_none_ends_in_unreachable(client, server, operations, kind):
    server.faults.add(Fault("post", kind, times=99))
    with pytest.raises(TournamentUnreachable, match="did not answer"):
        client.list_datasets()
    assert len(operations()) == ATTEMPTS


def test_a_silent_server_is_given_up(server, waits):
    client = Client(server.url, "v5.3", timeout_s=(0.2, 0.05), wait=waits.append)
    server.faults.add(Fault("post", "hang", times=99))
    with pytest.raises(TournamentUnreachable, match="ReadTimeout"):
        client.list_datasets()


def test_a_byte_at_a_time_meets_the_total_deadline(server, waits):
    """Each byte arrives before the socket times out, but the answer misses the deadline."""
    client = Client(server.url, "v5.3", timeout_s=(1, 1), deadline_s=0.1, wait=waits.append)
    server.faults.add(Fault("answer", "trickle", value=10, times=99))
    with pytest.raises(TournamentUnreachable, match="took longer than 0 s"):
        client.list_datasets()


def test_an_answer_that_stops_half_way_is_given_up(server, waits):
    client = Client(server.url, "v5.3", timeout_s=(1, 0.05), deadline_s=60, wait=waits.append)
    server.faults.add(Fault("answer", "trickle", value=60_000, times=99))
    with pytest.raises(TournamentUnreachable, match="ReadTimeout"):
        client.list_datasets()


def test_nobody_there_is_unreachable(waits):
    client = Client("http://127.0.0.1:9", "v5.3", wait=waits.append)
    with pytest.raises(TournamentUnreachable, match="nothing answers there"):
        client.list_datasets()
    assert len(waits) == ATTEMPTS - 1


def test_no_file_left_to_connect_by_is_not_the_tournaments_fault(client, monkeypatch):
    def refuse(*given):
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    monkeypatch.setattr("urllib3.util.connection.socket.socket", refuse)
    with pytest.raises(SystemRefused, match="Too many open files; raise the limit"):
        client.current_round()


def test_401_is_final_and_names_the_variables(client, server, operations):
    server.faults.add(Fault("post", "status", 401, times=99, body=HTML))
    with pytest.raises(CredentialsError, match=r"NUMERAI_PUBLIC_ID.*conf/local/credentials.yml"):
        client.models()
    assert len(operations()) == 1


def test_an_invalid_session_inside_200_names_the_variables(server, waits, operations):
    client = Client(server.url, "v5.3", "OTHER", "WRONG", wait=waits.append)
    with pytest.raises(CredentialsError, match=r"session is invalid.*NUMERAI_SECRET_KEY"):
        client.models()
    assert len(operations()) == 1
    assert waits == []


def test_without_a_key_private_calls_are_not_sent(server, operations):
    client = Client(server.url, "v5.3")
    with pytest.raises(CredentialsError, match=r"No NUMERAI_PUBLIC_ID .* create a key at numer.ai"):
        client.models()
    assert operations() == []
    assert client.data_files()  # data files need no key


def test_half_a_key_is_named(server):
    with pytest.raises(CredentialsError, match="No NUMERAI_SECRET_KEY"):
        Client(server.url, "v5.3", public_id="HALF")


@pytest.mark.parametrize(
    ("status", "body", "text"),
    [
        (400, '{"errors": [{"message": "one"}, {"message": "two"}]}', "one; two"),
        (403, HTML, "Forbidden"),
        (404, "", "answer 404"),
        (200, '{"data": null, "errors": {"detail": "no such thing"}}', "no such thing"),
        (200, '{"errors": []}', "answer 200"),
        (200, '{"errors": [{"code": 7}]}', "answer 200"),
    ],
)
def test_a_refusal_is_final_and_keeps_the_servers_text(
    client, server, operations, status, body, text
):
    server.faults.add(Fault("post", "status", status, times=99, body=body))
    with pytest.raises(TournamentRefused, match=text):
        client.list_datasets()
    assert len(operations()) == 1


def test_a_field_that_the_server_lacks_is_a_refusal(client):
    with pytest.raises(TournamentRefused, match='Cannot query field "nonsense" on type "Round"'):
        client.raw_query("query { rounds(number: 1) { nonsense } }")


@pytest.mark.parametrize(("asked", "seconds"), [("7", 7.0), ("0.5", 0.5), ("in 7 s", 7.0)])
def test_429_waits_as_long_as_the_server_asks(client, server, demo, waits, asked, seconds):
    """As a number, with decimals or without, or as a date of the server's clock."""
    if asked == "in 7 s":
        asked = format_datetime(demo.clock.now() + timedelta(seconds=7), usegmt=True)
    server.faults.add(Fault("post", "status", 429, times=2, headers=(("Retry-After", asked),)))
    assert client.get_current_round() == 1412
    assert waits == [seconds] * 2


@pytest.mark.parametrize(
    ("text", "waited"), [("Rate limit exceeded", [7.0]), ("Too many requests.", [7.0])]
)
def test_a_rate_limit_inside_a_200_is_waited_out(client, server, waits, text, waited):
    body = json.dumps({"data": None, "errors": [{"message": text}]})
    headers = (("Retry-After", "7"),)
    server.faults.add(Fault("post", "status", 200, body=body, headers=headers))
    assert client.get_current_round() == 1412
    assert waits == waited


def test_an_internal_error_inside_a_200_is_tried_again_but_for_a_mutation(
    client, server, waits, operations
):
    body = '{"data": {"rounds": null}, "errors": [{"message": "Internal server error"}]}'
    server.faults.add(Fault("post", "status", 200, body=body))
    assert client.get_current_round() == 1412
    assert waits == [2.0]
    create = 'mutation { create_submission(filename: "x", tournament: 8) { id } }'
    server.faults.add(Fault("post", "status", 200, body=body))
    with pytest.raises(TournamentUnreachable, match="Internal server error"):
        client.raw_query(create, authorization=True)
    assert operations().count("create_submission") == 1


PAST = "Wed, 21 Oct 2015 07:28:00 GMT"


@pytest.mark.parametrize("asked", ["", "soon", "-5", "nan", "inf", PAST])
def test_429_without_a_usable_time_backs_off_by_itself(client, server, waits, asked):
    server.faults.add(Fault("post", "status", 429, times=1, headers=(("Retry-After", asked),)))
    assert client.get_current_round() == 1412
    assert waits == [2.0]


@pytest.mark.parametrize("asked", ["86400", "Wed, 21 Oct 2037 07:28:00 GMT"])
def test_429_that_asks_for_too_long_is_given_up_at_once(client, server, waits, asked):
    server.faults.add(Fault("post", "status", 429, headers=(("Retry-After", asked),)))
    with pytest.raises(TournamentUnreachable, match=r"asks to wait \d+ s"):
        client.get_current_round()
    assert waits == []


def test_a_mutation_is_not_sent_twice_unless_the_server_surely_did_nothing(
    client, server, operations
):
    create = 'mutation { create_submission(filename: "x", tournament: 8) { id } }'
    server.faults.add(Fault("post", "status", 500, times=99))
    with pytest.raises(TournamentUnreachable):
        client.raw_query(create, authorization=True)
    assert operations() == ["create_submission"]
    server.faults.clear()
    server.faults.add(Fault("post", "status", 429, headers=(("Retry-After", "1"),)))
    with pytest.raises(TournamentRefused, match="file not uploaded"):
        client.raw_query(create, authorization=True)
    assert operations() == ["create_submission"] * 3


FORBIDDEN = [
    "mutation { v2ChangeStake(value: 1) { status } }",
    "mutation { createSubmission(filename: 1) { id } }",
    "mutation { a: releaseStake { id } }",
    "mutation { create_submission(filename: 1) { id } stakeDrain { id } }",
    "query { v3StakeAuth { deadline } }",
    "query { rounds { number } computePickleUploadAuth { url } }",
    "query { rounds: withdraw { id } }",
    "{ ...all } fragment all on RootQueryType { secrets }",
    "query { ... on RootQueryType { stakes { id } } }",
    "mutation m { create_submission(filename: 1) { id } } mutation n { setUserBio }",
    "subscription { rounds { number } }",
    "query { rounds",
    "",
]


@pytest.mark.parametrize("query", FORBIDDEN)
def test_what_is_not_allow_listed_is_never_sent(client, operations, query):
    with pytest.raises(ConfigurationError, match="not sent"):
        client.raw_query(query)
    assert operations() == []


def test_the_only_mutation_is_the_submission():
    assert frozenset({"create_submission"}) == ALLOWED_MUTATIONS
    parsed = check_allowed('mutation { create_submission(filename: "x") { id } }')
    assert parsed == Asked(True, frozenset({"create_submission"}))
    assert check_allowed("{ a: rounds { number } account { id } }").names == {"a", "account"}
    assert check_allowed("query { rounds { number } }").mutates is False


@pytest.mark.parametrize(
    "call",
    [
        lambda c: c.stake_change(1, "increase", "m"),
        lambda c: c.set_bio("m", "x"),
        lambda c: c.set_submission_webhook("m", "x"),
        lambda c: c.v3_stake_config(),
        lambda c: c.model_upload_data_versions(),
    ],
)
def test_numerapis_own_methods_cannot_get_round_the_list(client, operations, call):
    with pytest.raises(ConfigurationError, match="not sent"):
        call(client)
    assert operations() == []


def test_a_proxy_and_a_netrc_do_not_come_between(client, monkeypatch, tmp_path):
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login u password p\ndefault login u password p\n")
    monkeypatch.setenv("NETRC", str(netrc))
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    assert "demo" in client.models()  # a private call: its header arrived


def test_the_environments_keys_are_not_taken_behind_our_back(server, monkeypatch):
    monkeypatch.setenv("NUMERAI_PUBLIC_ID", "A")
    monkeypatch.setenv("NUMERAI_SECRET_KEY", "B")
    assert Client(server.url, "v5.3").token is None


CANARY = ("CANARYPUBLIC0123456789", "CANARYSECRETABCDEFGHIJ")


FAULTS = [
    Fault("post", "status", 500, body="{both}"),
    Fault("post", "status", 401, body="{both}"),
    Fault("post", "status", 403, body='{{"errors": [{{"message": "{both}"}}]}}'),
    Fault("post", "status", 429, headers=(("Retry-After", "99999"),)),
    Fault("post", "html"),
    Fault("post", "bad_json"),
    Fault("post", "drop"),
    Fault("answer", "drop"),
    Fault("put", "status", 403, body="{both}"),
    Fault("put", "drop"),
]


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: f"{fault.point}-{fault.kind}")
def test_no_key_is_in_any_error_log_or_file(demo_folder, csv, caplog, waits, fault):
    """A server that sends the keys back, and every fault, with all logging switched on."""
    demo = DemoTournament(demo_folder, "tiny", 0, keys=CANARY)
    caplog.set_level(logging.DEBUG)
    seen = []
    with DemoServer(demo) as server:
        client = Client(server.url, "v5.3", *CANARY, timeout_s=(2, 2), wait=waits.append)
        model_id = client.models()["demo"]
        body = fault.body.format(both=f"Token {CANARY[0]}${CANARY[1]}")
        server.faults.add(Fault(fault.point, fault.kind, fault.value, "", 99, fault.headers, body))
        for call in (client.models, lambda: client.submit(csv, model_id)):
            try:
                call()
            except NumeraiKedroError as error:
                seen += traceback.format_exception(error)
                seen += [repr(error), str(vars(error))]
    assert seen or fault.point == "put"
    seen += [repr(client), repr(client.token), str(vars(client)), str(vars(client.transport))]
    seen += [
        caplog.text,
        str(os.listdir(demo.folder)),
        (demo.folder / "operations.log").read_text(),
    ]
    text = "\n".join(seen)
    for form in itertools.chain.from_iterable(forms(part) for part in CANARY):
        assert form not in text
