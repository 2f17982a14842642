from numerai_kedro.demo.limits import RateLimiter


def test_the_window_slides():
    now = [0.0]
    limiter = RateLimiter({"create_submission": 2}, ticks=lambda: now[0])
    assert limiter.seconds_to_wait("create_submission") == 0
    now[0] = 30.0
    assert limiter.seconds_to_wait("create_submission") == 0
    now[0] = 40.0
    assert limiter.seconds_to_wait("create_submission") == 20.0
    now[0] = 60.0  # the first has left the window, the second has not
    assert limiter.seconds_to_wait("create_submission") == 0
    assert limiter.seconds_to_wait("create_submission") == 30.0


def test_what_has_no_limit_never_waits():
    limiter = RateLimiter({"create_submission": 0}, ticks=lambda: 0.0)
    assert all(limiter.seconds_to_wait("rounds") == 0 for _ in range(1000))
    assert limiter.seconds_to_wait("create_submission") > 0
