"""numerapi, unmodified, drives every operation of the demo; so does plain HTTP."""

import datetime
import re
import socket
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from email.utils import parsedate_to_datetime

import numerapi
import pandas as pd
import pytest
import requests
from numerapi import base_api

from numerai_kedro.demo.faults import Fault
from numerai_kedro.demo.server import LOOPBACK, DemoServer
from numerai_kedro.demo.tournament import DEMO_PUBLIC_ID, NO_CSV, DemoTournament

INVALID_SESSION = "Your session is invalid or has expired."


def listed(api, model_id):
    query = """query($modelId: String) { submissions(modelId: $modelId) {
        id selected status errorInfo } }"""
    answer = api.raw_query(query, {"modelId": model_id}, authorization=True)
    return answer["data"]["submissions"]


def validated(api, model_id):
    """Ask twice: a new submission is pending in the first answer; the second has the verdict."""
    listed(api, model_id)
    return listed(api, model_id)


def post(server, query, variables=None, headers=None):
    answer = requests.post(
        server.url, json={"query": query, "variables": variables}, headers=headers, timeout=10
    )
    assert answer.status_code == 200
    return answer.json()


def test_rounds_come_as_numerapi_wants_them(api, demo):
    assert api.get_current_round() == 1412
    assert api.check_round_open() is False  # numerapi compares with this machine's clock
    round_ = api.list_rounds(number=1412)[0]
    assert round_["target"] == "main"
    assert round_["openTime"] == demo.latest(demo.clock.now()).open_time
    paying = [c for c in round_["roundScoreConfigs"] if c["isPayout"]]
    multipliers = {c["displayName"]: c["defaultMultiplier"] for c in paying}
    assert multipliers == {"corr60": 3.0, "mmc60": 15.0}
    older = [c for c in round_["roundScoreConfigs"] if not c["isPayout"]]
    assert [(c["version"], c["defaultMultiplier"]) for c in older] == [("1", None)] * 2
    assert round_["payoutFactor"] == 1
    assert [r["number"] for r in api.get_competitions()] == [1413, 1412]
    assert api.list_rounds(number=5) == []


@pytest.mark.parametrize(
    ("status", "numbers"), [("open", [1422]), ("upcoming", [1423]), ("resolved", [])]
)
def test_rounds_are_filtered_by_status(api, demo, status, numbers):
    demo.clock.advance(weeks=2)
    assert [r["number"] for r in api.list_rounds(status=status)] == numbers
    assert len(api.list_rounds(status="resolving")) == 10
    assert [r["number"] for r in api.list_rounds(status="resolving", limit=2)] == [1421, 1420]


def test_between_rounds_the_current_one_is_an_error(api, demo):
    demo.store.set_instant(demo.latest(demo.clock.now()).close_staking_time)
    with pytest.raises(ValueError, match="Current round not open for submissions"):
        api.get_current_round()
    assert api.check_round_open() is False


def test_all_twelve_files_download(api, tmp_path):
    listed = api.list_datasets()
    names = [name for name in listed if name.startswith("v5.3/")]
    assert len(names) == 12
    assert {name.partition("/")[0] for name in listed} == {"v4.3", "v5.0", "v5.3"}
    for name in names:
        api.download_dataset(name, str(tmp_path / name))
    live = pd.read_parquet(tmp_path / "v5.3/live.parquet")
    example = pd.read_csv(tmp_path / "v5.3/live_example_preds.csv")
    assert set(example["id"]) == set(live.index)
    with pytest.raises(ValueError, match="dataset not found"):
        api.download_dataset("v5.2/train.parquet", str(tmp_path / "x"))


def test_a_download_of_chosen_eras_reads_ranges(api, tmp_path):
    path = api.download_dataset(
        "v5.3/train.parquet", str(tmp_path / "t.parquet"), filters=[("era", "in", ["0003"])]
    )
    assert set(pd.read_parquet(path)["era"]) == {"0003"}


def test_live_ids_change_with_the_round_and_old_rounds_stay(api, demo, tmp_path):
    def ids(name, round_number=None):
        path = api.download_dataset("v5.3/live.parquet", str(tmp_path / name), round_number)
        return set(pd.read_parquet(path).index)

    first = ids("a")
    demo.clock.advance(rounds=1)
    second = ids("b")
    assert not first & second
    assert ids("c", 1412) == first
    with pytest.raises(ValueError, match="dataset not found"):
        ids("d", 1414)


def test_account_and_models(api):
    models = api.get_models()
    assert next(iter(models)) == "demo"
    account = api.get_account()
    assert account["username"] == "demo"
    assert [model["id"] for model in account["models"]] == list(models.values())
    assert account["availableNmr"] == 0
    assert account["apiTokens"][0]["public_id"] == DEMO_PUBLIC_ID


@pytest.mark.parametrize("call", ["get_account", "get_models"])
def test_a_wrong_key_is_told_so(api, call):
    api.token = (DEMO_PUBLIC_ID, "WRONG")
    with pytest.raises(ValueError, match=INVALID_SESSION):
        getattr(api, call)()


def test_a_submission_goes_through_and_comes_back(api, live_frame, tmp_path, operations):
    model_id = api.get_models()["demo"]
    frame = live_frame()
    submission_id = api.upload_predictions("p.csv", model_id=model_id, df=frame)
    assert api.get_submission_filenames(model_id=model_id) == []  # pending, so not selected
    assert [submission["id"] for submission in api.submission_ids(model_id)] == [submission_id]
    path = api.download_submission(submission_id, dest_path=str(tmp_path / "back.csv"))
    pd.testing.assert_frame_equal(pd.read_csv(path), frame)
    assert [submission["status"] for submission in listed(api, model_id)] == ["validated"]
    (named,) = api.get_submission_filenames(model_id=model_id)
    assert named["round_num"] == 1412
    assert named["filename"].startswith("p-")
    assert operations()[1:3] == ["submission_upload_auth", "create_submission"]


def test_the_newest_submission_of_a_round_is_selected(api, live_frame):
    model_id = api.get_models()["demo"]
    names = []
    for seed in range(3):
        api.upload_predictions(f"p{seed}.csv", model_id=model_id, df=live_frame(seed))
        validated(api, model_id)
        names.append(api.get_submission_filenames(model_id=model_id)[0]["filename"])
    assert [name[:2] for name in names] == ["p0", "p1", "p2"]


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda f: f.set_index("id"), "invalid_submission_headers"),
        (lambda f: f.iloc[1:], "Not enough stocks submitted"),
        (lambda f: f.assign(prediction=0.5), "non-zero standard deviation"),
        (lambda f: f.assign(prediction=f["prediction"] + 1), "between 0 and 1"),
        (lambda f: f.assign(prediction=None), "must not contain NaNs"),
        (lambda f: f.assign(prediction="x"), "."),
    ],
)
def test_an_invalid_submission_is_created_and_fails_in_numerai_tools_words(
    api, live_frame, spoil, message
):
    model_id = api.get_models()["demo"]
    valid = api.upload_predictions("p.csv", model_id=model_id, df=live_frame())
    submission_id = api.upload_predictions("p.csv", model_id=model_id, df=spoil(live_frame()))
    newest, before = validated(api, model_id)
    assert (newest["id"], newest["status"], newest["selected"]) == (submission_id, "failed", False)
    assert re.search(message, newest["errorInfo"])
    assert (before["id"], before["status"], before["selected"]) == (valid, "validated", True)


def test_stale_ids_fail(api, demo, live_frame):
    frame = live_frame()
    demo.clock.advance(rounds=1)
    model_id = api.get_models()["demo"]
    api.upload_predictions("p.csv", model_id=model_id, df=frame)
    assert "latest live ids" in validated(api, model_id)[0]["errorInfo"]


@pytest.mark.parametrize("kind", ["String", "ID", "ID!"])
def test_ids_are_taken_as_ids_and_as_strings(api, live_frame, kind):
    """numerapi declares most of them as String; the published schema says ID."""
    model_id = api.get_models()["demo"]
    submission_id = api.upload_predictions(
        "p.csv", model_id=model_id, df=live_frame(), data_datestamp=7
    )
    api.upload_predictions("q.csv", model_id=model_id, df=live_frame(1))
    query = f"""query($modelId: {kind} $id: {kind}) {{ submissions(modelId: $modelId id: $id) {{
        id dataDatestamp }}}}"""
    answer = api.raw_query(query, {"modelId": model_id, "id": submission_id}, authorization=True)
    assert answer["data"]["submissions"] == [{"id": submission_id, "dataDatestamp": 7}]
    wrong = "query($f: Int!) { dataset(filename: $f) }"
    with pytest.raises(ValueError, match=r"type .Int!. used in position expecting type .String!"):
        api.raw_query(wrong, {"f": 1})


def test_faults_of_a_list_are_of_its_newest_submission(api, server, live_frame):
    model_id = api.get_models()["demo"]
    for seed in range(2):
        api.upload_predictions("p.csv", model_id=model_id, df=live_frame(seed))
    listed(api, model_id)
    server.faults.add(Fault("listing", "pending"))
    server.faults.add(Fault("listing", "word", 1, body="vetting"))
    server.faults.add(Fault("listing", "absent"))
    lists = [
        [(submission["status"], submission["selected"]) for submission in listed(api, model_id)]
        for _ in range(4)
    ]
    older = ("validated", False)
    assert lists == [
        [("pending", False), older],
        [("vetting", True), older],
        [older],
        [("validated", True), older],
    ]


def test_a_file_of_the_round_before_is_served_on_request(api, server, demo, tmp_path):
    def ids(name, round_number):
        path = api.download_dataset("v5.3/live.parquet", str(tmp_path / name), round_number)
        return set(pd.read_parquet(path).index)

    demo.clock.advance(rounds=1)
    first = ids("a", 1412)
    server.faults.add(Fault("dataset", "older", on="live.parquet"))
    assert ids("b", 1413) == first
    assert not ids("c", 1413) & first


def test_create_without_upload_is_refused(api, server, live_frame):
    """numerapi ignores the answer to its PUT, so the tournament must check the upload."""
    server.faults.add(Fault("put", "status", 403))
    with pytest.raises(ValueError, match="file not uploaded"):
        api.upload_predictions("p.csv", model_id=api.get_models()["demo"], df=live_frame())


def test_a_model_with_a_pickle_and_an_unknown_model_refuse(api, live_frame):
    with pytest.raises(ValueError, match="pickle"):
        api.upload_predictions("p.csv", model_id=api.get_models()["demo_pickle"], df=live_frame())
    with pytest.raises(ValueError, match="Model not found"):
        api.upload_predictions("p.csv", model_id="nobody", df=live_frame())
    with pytest.raises(ValueError, match="Model not found"):
        api.submission_ids("nobody")
    with pytest.raises(ValueError, match="Submission not found"):
        api.download_submission("nothing")


def test_a_late_submission_is_accepted_and_marked_and_after_that_none(api, demo, live_frame):
    model_id = api.get_models()["demo"]
    opened = demo.latest(demo.clock.now())
    api.upload_predictions("in_time.csv", model_id=model_id, df=live_frame())
    demo.store.set_instant(opened.close_staking_time)
    api.upload_predictions("late.csv", model_id=model_id, df=live_frame())
    late, in_time = demo.store.submissions(model_id)
    assert (late.late, in_time.late) == (True, False)
    validated(api, model_id)
    selected = api.get_submission_filenames(model_id=model_id)
    assert [submission["filename"][:7] for submission in selected] == ["in_time"]
    monday = datetime.datetime(2026, 12, 7, 15, tzinfo=datetime.UTC)
    demo.store.set_instant(monday)
    with pytest.raises(ValueError, match="not open"):
        api.upload_predictions("p.csv", model_id=model_id, df=live_frame())


def test_scores_appear_day_by_day_until_the_round_resolves(api, demo, live_frame):
    model_id = api.get_models()["demo"]
    api.upload_predictions("p.csv", model_id=model_id, df=live_frame())
    opened = demo.latest(demo.clock.now())
    assert api.submission_scores(model_id) == []
    for day in (1, 2, 59):
        demo.store.set_instant(opened.score_time(day))
        rows = api.submission_scores(model_id)
        assert len(rows) == 2 * day
        assert {row["day"] for row in rows} == set(range(1, day + 1))
        assert not any(row["resolved"] for row in rows)
    demo.store.set_instant(opened.resolve_time)
    final = api.submission_scores(model_id, resolved=True)
    assert {row["displayName"] for row in final} == {"corr60", "mmc60"}
    assert all(0 <= row["percentile"] <= 1 for row in final)
    assert api.submission_scores(model_id, display_name="mmc60", day=7)[0]["day"] == 7
    newest = api.submission_scores(model_id, display_name="corr60", distinct_on_round=True)
    assert [(row["day"], row["roundNumber"]) for row in newest] == [(60, 1412)]
    assert rows[0] in api.submission_scores(model_id)  # a score never changes


def test_only_the_selected_submission_is_scored_and_rounds_are_limited(api, demo, live_frame):
    model_id = api.get_models()["demo"]
    for seed in range(2):
        api.upload_predictions("p.csv", model_id=model_id, df=live_frame(seed))
    demo.clock.advance(rounds=1)
    newest = api.upload_predictions("p.csv", model_id=model_id, df=live_frame(5))
    demo.store.set_instant(demo.latest(demo.clock.now()).score_time(1))
    assert len({row["submissionId"] for row in api.submission_scores(model_id)}) == 2
    only = api.submission_scores(model_id, last_n_rounds=1)
    assert {row["submissionId"] for row in only} == {newest}


def test_performances_and_pipeline_status(api, demo, live_frame):
    model_id = api.get_models()["demo"]
    api.upload_predictions("p.csv", model_id=model_id, df=live_frame())
    demo.store.set_instant(demo.latest(demo.clock.now()).score_time(3))
    with pytest.deprecated_call():
        performance = api.round_model_performances_v2(model_id)[0]
    assert performance["atRisk"] == 0
    assert {score["day"] for score in performance["submissionScores"]} == {3}  # the latest
    assert len(performance["submissionScores"]) == 2
    assert len(api.intra_round_scores(model_id)[0]["intraRoundSubmissionScores"]) == 6
    today = demo.clock.now().date().isoformat()
    assert api.pipeline_status(today)["scoredAt"] == demo.clock.now()
    with pytest.raises(ValueError, match="Invalid date"):
        api.pipeline_status("yesterday")


def test_what_the_schema_lacks_is_told_as_the_real_service_does(server, api):
    answer = post(server, "query { round(number: 1) { number } }")
    assert answer["errors"][0]["message"] == (
        'Cannot query field "round" on type "RootQueryType". Did you mean "rounds"?'
    )
    with pytest.raises(ValueError, match='Cannot query field "v3StakeConfig"'):
        api.v3_stake_config()
    assert "errors" not in post(server, "query { rounds(number: 1412) { number } }")
    assert post(server, "query {")["errors"]


def test_a_name_is_taken_in_either_spelling_and_comes_back_as_it_was_asked(server):
    query = '{ pipeline_status(tournament: "classic") { is_scoring_day isScoringDay tournament } }'
    assert post(server, query)["data"] == {
        "pipeline_status": {
            "is_scoring_day": True,
            "isScoringDay": True,
            "tournament": "classic",
        }
    }
    wrong = post(server, "{ pipeline_statuses { tournament } }")
    assert 'Cannot query field "pipeline_statuses"' in wrong["errors"][0]["message"]


def test_the_operation_that_is_named_is_executed(server):
    query = "query A { tournaments { name } } query B { rounds(limit: 1) { number } }"

    def named(name):
        body = {"query": query, "operationName": name}
        return requests.post(server.url, json=body, timeout=10).json()

    assert named("A")["data"] == {"tournaments": [{"name": "Numerai"}]}
    assert named("B")["data"] == {"rounds": [{"number": 1413}]}
    assert "operation" in named("C")["errors"][0]["message"]
    assert "operation name" in named(None)["errors"][0]["message"]


@pytest.mark.parametrize("limit", ["5", 1.5, [1], {}, 2**40])
def test_a_variable_of_another_type_is_an_error_of_the_query(server, api, limit):
    with pytest.raises(ValueError, match="limit"):
        api.list_rounds(limit=limit)


def test_a_variable_that_is_null_stands_for_one_that_is_not_given(api):
    assert [row["number"] for row in api.list_rounds(limit=None)] == [1413, 1412]


def test_what_is_too_long_or_no_query_is_refused_in_a_sentence(server):
    def sent(**arguments):
        return requests.post(server.url, timeout=30, **arguments)

    long = sent(json={"query": "{ " + "rounds { number } " * 1_200_000 + "}"})
    assert long.status_code == 413
    assert "bytes are more than the 1,048,576 that are taken" in long.json()["errors"][0]["message"]
    for depth, message in (
        (30_000, "Query is too long"),
        (20_000, "Syntax Error: Document is nested"),
    ):
        deep = sent(json={"query": "{ " + "a {" * depth + "}" * depth + "}"})
        assert deep.json()["errors"][0]["message"].startswith(message)
    for content in (b"", b"\xff", b"[]", b"[" * 100_000, b'{"query": 1, "variables": []}'):
        assert sent(data=content).status_code == 400


def test_a_binary_upload_is_found_invalid_in_a_sentence(api, live_frame):
    model_id = api.get_models()["demo"]
    auth = api._upload_auth("submission_upload_auth", "p.csv", 8, model_id)
    requests.put(auth["url"], data=bytes(range(256)) * 50, timeout=10)
    query = """mutation($f: String! $m: String) {
        createSubmission(filename: $f tournament: 8 modelId: $m) { id status }}"""
    answer = api.raw_query(query, {"f": auth["filename"], "m": model_id}, authorization=True)
    assert answer["data"]["createSubmission"]["status"] == "pending"
    assert validated(api, model_id)[0]["errorInfo"] == NO_CSV


def test_two_hundred_connections_at_once_are_served(server):
    query = {"query": "{ rounds(limit: 1) { number } }"}
    with ThreadPoolExecutor(200) as pool:
        futures = [
            pool.submit(requests.post, server.url, json=query, timeout=60) for _ in range(200)
        ]
        answers = [future.result() for future in futures]
    assert [answer.status_code for answer in answers] == [200] * 200


def test_two_hundred_connections_wait_to_be_accepted(demo):
    """Before any is accepted: a connection that the queue does not hold would time out."""
    waiting = DemoServer(demo)
    with ExitStack() as stack:
        for _ in range(200):
            place = (LOOPBACK, waiting.port)
            stack.enter_context(socket.create_connection(place, timeout=0.5))
    waiting.close()


@pytest.mark.parametrize("host", ["evil.example", "evil.example:80", "127.0.0.1.evil.example", ""])
def test_another_hosts_name_is_refused(server, host):
    answer = requests.get(f"{server.url}/ping", headers={"Host": host}, timeout=10)
    assert answer.status_code == 421
    assert "instance" not in answer.text


def test_the_servers_own_names_are_answered(server):
    for host in (f"127.0.0.1:{server.port}", f"localhost:{server.port}", "localhost"):
        answer = requests.get(f"{server.url}/ping", headers={"Host": host}, timeout=10)
        assert answer.status_code == 200


def test_introspection_is_on(server):
    answer = post(server, '{ __type(name: "Round") { fields { name } } }')
    names = {field["name"] for field in answer["data"]["__type"]["fields"]}
    assert {"number", "openTime", "closeStakingTime", "roundScoreConfigs"} <= names


def test_create_submission_has_a_rate_limit(demo):
    with DemoServer(demo, rate_limits={"create_submission": 1}) as server:
        query = 'mutation { createSubmission(filename: "x", tournament: 8) { id } }'
        assert "errors" in post(server, query)
        answer = requests.post(server.url, json={"query": query}, timeout=10)
        assert answer.status_code == 429
        assert 1 <= int(answer.headers["Retry-After"]) <= 61
        assert "Rate limit" in answer.json()["errors"][0]["message"]


def address(server, name):
    query = "query($f: String!) { dataset(filename: $f) }"
    return post(server, query, {"f": f"v5.3/{name}"})["data"]["dataset"]


def test_files_answer_head_ranges_and_versions(server, demo):
    url = address(server, "live.parquet")
    whole = requests.get(url, timeout=10)
    head = requests.head(url, timeout=10)
    assert head.headers["Content-Length"] == str(len(whole.content))
    assert head.headers["Accept-Ranges"] == "bytes"
    etag = head.headers["ETag"]

    def part(span, **more):
        return requests.get(url, headers={"Range": span, **more}, timeout=10)

    assert part("bytes=10-19").content == whole.content[10:20]
    assert part("bytes=-7").content == whole.content[-7:]
    assert part("bytes=100-", **{"If-Range": etag}).content == whole.content[100:]
    assert part("bytes=100-", **{"If-Range": '"old"'}).status_code == 200
    assert part(f"bytes={len(whole.content)}-").status_code == 416
    first = part("bytes=0-0")
    assert (first.status_code, first.headers["Content-Range"]) == (
        206,
        f"bytes 0-0/{len(whole.content)}",
    )


def test_addresses_expire_and_cannot_be_made_up(demo_folder):
    demo = DemoTournament(demo_folder, "tiny", 0, token_seconds=-1)
    with DemoServer(demo) as server:
        url = address(server, "live.parquet")
        assert requests.get(url, timeout=10).status_code == 403
    demo = DemoTournament(demo_folder, "tiny", 0)
    with DemoServer(demo) as server:
        url = address(server, "live.parquet")
        assert requests.get(url.replace("live", "train"), timeout=10).status_code == 403
        assert requests.put(f"{server.url}/uploads/1-x/a", data=b"x", timeout=10).status_code == 403
        for path in ("/", "/files", "/files/../../etc/passwd", "/%00"):
            assert requests.get(server.url + path, timeout=10).status_code == 403


def test_rounds_are_moved_onto_this_machines_clock_where_that_is_asked_for(demo, api, monkeypatch):
    with DemoServer(demo, wall_clock=True) as server:
        monkeypatch.setattr(base_api, "API_TOURNAMENT_URL", server.url)
        assert api.check_round_open() is True
        assert api.check_new_round() is True
        now = datetime.datetime.now(datetime.UTC)
        opened = api.list_rounds(number=1412)[0]["openTime"]
        assert datetime.timedelta(0) < now - opened < datetime.timedelta(minutes=3)
        answer = requests.get(f"{server.url}/ping", timeout=10)
        served = parsedate_to_datetime(answer.headers["Date"])
        assert abs(served - now) < datetime.timedelta(minutes=2)


def test_old_versions_that_examples_ask_for_are_views_of_the_same_files(api, demo, tmp_path):
    """The official notebooks download the meta model like this; others name live files by round."""

    def fetched(name, round_number=None):
        path = api.download_dataset(name, str(tmp_path / name), round_num=round_number)
        return pd.read_parquet(path)

    crowd = fetched("v5.3/meta_model.parquet")
    pd.testing.assert_frame_equal(fetched("v4.3/meta_model.parquet", 842), crowd)
    demo.clock.advance(rounds=1)
    live = fetched("v5.3/live.parquet")
    pd.testing.assert_frame_equal(fetched("v5.0/live_1413.parquet"), live)
    assert set(fetched("v5.0/live_1412.parquet").index).isdisjoint(live.index)
    for name in ("v4.3/train.parquet", "v5.0/live_900.parquet"):
        with pytest.raises(ValueError, match="dataset not found"):
            fetched(name)


def test_the_date_header_shows_the_demos_time(server):
    answer = requests.get(f"{server.url}/ping", timeout=10)
    assert answer.headers["Date"].startswith("Thu, 03 Dec 2026 12:")


def test_the_server_listens_on_loopback_only(server):
    assert server._http.server_address[0] == "127.0.0.1"


def test_state_survives_a_restart(demo_folder, api, demo, live_frame, monkeypatch):
    model_id = api.get_models()["demo"]
    submission_id = api.upload_predictions("p.csv", model_id=model_id, df=live_frame())
    demo.clock.advance(weeks=1)
    with DemoServer(DemoTournament(demo_folder, "tiny", 0)) as other:
        monkeypatch.setattr(base_api, "API_TOURNAMENT_URL", other.url)
        again = numerapi.NumerAPI(DEMO_PUBLIC_ID, api.token[1])
        assert [submission["id"] for submission in again.submission_ids(model_id)] == [
            submission_id
        ]
        assert again.get_current_round() == 1417


def test_the_log_holds_names_of_operations_only(api, demo, live_frame):
    api.upload_predictions("p.csv", model_id=api.get_models()["demo"], df=live_frame())
    text = (demo.folder / "operations.log").read_text()
    assert text == "account\nsubmission_upload_auth\ncreate_submission\n"


@pytest.mark.parametrize(
    "name",
    ["../../../etc/x.csv", "/abs.csv", "a b#?%2F.csv", "n\n\x00.csv", "é" * 300, "", "..\\x"],
)
def test_no_name_of_an_upload_leads_out_of_the_store(server, api, live_frame, demo, name):
    """Whatever a client calls its file, it arrives, and no file of that name appears."""
    before = {path for path in demo.folder.rglob("*")}
    auth = api.raw_query(
        """query($f: String!) { submission_upload_auth(filename: $f, tournament: 8) {
            filename url } }""",
        {"f": name},
        authorization=True,
    )["data"]["submission_upload_auth"]
    assert "/" not in auth["filename"]
    content = live_frame().to_csv(index=False).encode()
    assert requests.put(auth["url"], data=content, timeout=10).status_code == 200
    uploaded = demo.store.upload(auth["filename"], api.get_models()["demo"])
    assert uploaded == content
    after = {path for path in demo.folder.rglob("*") if not path.name.endswith(("-wal", "-shm"))}
    assert after - before <= {demo.folder / "operations.log"}
