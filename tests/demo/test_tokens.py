from numerai_kedro.demo.tokens import Signer


def test_a_token_is_good_for_its_method_path_and_time_only():
    now = [1000.0]
    signer = Signer("key", seconds=10, clock=lambda: now[0])
    token = signer.sign("GET", "a")
    assert signer.accepts(token, "GET", "a")
    assert not signer.accepts(token, "PUT", "a")
    assert not signer.accepts(token, "GET", "b")
    assert not Signer("other", 10, lambda: now[0]).accepts(token, "GET", "a")
    now[0] = 1010.0
    assert not signer.accepts(token, "GET", "a")


def test_a_later_expiry_cannot_be_written_into_a_token():
    signer = Signer("key", seconds=-1, clock=lambda: 1000.0)
    expires, _, seal = signer.sign("GET", "a").partition("-")
    assert not signer.accepts(f"9999-{seal}", "GET", "a")
    for nonsense in ("", "-", "x-y", f"{expires}", "nan-0"):
        assert not signer.accepts(nonsense, "GET", "a")
