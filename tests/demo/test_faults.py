import requests

from numerai_kedro.demo.faults import Fault, Faults


def test_a_fault_hits_what_it_names_as_often_as_it_says():
    faults = Faults()
    faults.add(Fault("post", "html", on="rounds", times=2))
    assert faults.take("get", "rounds") is None
    assert faults.take("post", "account") is None
    assert [faults.take("post", "rounds") is not None for _ in range(3)] == [True, True, False]


def test_the_oldest_fault_comes_first_and_clear_ends_all():
    faults = Faults()
    faults.add(Fault("get", "cut"))
    faults.add(Fault("get", "flip", times=9))
    assert [faults.take("get", "x").kind for _ in range(2)] == ["cut", "flip"]
    faults.clear()
    assert faults.take("get", "x") is None


def test_a_flipped_byte_is_one_byte(server, client, demo):
    original = demo.archive.files(demo.latest(demo.clock.now()))["live.parquet"].read_bytes()
    server.faults.add(Fault("get", "flip", value=1000))
    arrived = requests.get(client.remote_file("live.parquet").url(), timeout=10).content
    wrong = [at for at, (a, b) in enumerate(zip(arrived, original, strict=True)) if a != b]
    assert wrong == [1000]
