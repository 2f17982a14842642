"""Faults drawn anew each time, by a seed that is printed; FAULT_SEED=… draws them again.

FAULTS=… asks for more: 240 in CI beside the kills and damages of other tests, 1,500 by `make drill`
and 10,000 by `make drill-night`.
"""

import os
import random
import sys
import traceback
from collections import Counter

import pytest

from numerai_kedro.demo.limits import RATE_LIMITS
from numerai_kedro.demo.server import DemoServer
from numerai_kedro.demo.tournament import DemoTournament
from tests.drawn_faults import KEYS, KINDS, Stage

pytestmark = pytest.mark.slow
SEED = int(os.environ["FAULT_SEED"])
FAULTS, AT_ONCE = int(os.environ.get("FAULTS", "240")), 60
NO_LIMITS = dict.fromkeys(RATE_LIMITS, 10**9)


@pytest.fixture
def stage(demo_folder, tmp_path):
    demo = DemoTournament(demo_folder, "tiny", 0, keys=KEYS)
    room = tmp_path / "rooms"
    room.mkdir()
    with DemoServer(demo, rate_limits=NO_LIMITS) as server:
        yield Stage(demo, server, room)


@pytest.mark.parametrize("part", range(-(-FAULTS // AT_ONCE)))
def test_faults_end_as_they_should(stage, part, capsys):
    ended: dict[str, Counter] = {kind.__name__: Counter() for kind in KINDS}
    for number in range(part * AT_ONCE, min((part + 1) * AT_ONCE, FAULTS)):
        drawing = random.Random(f"{SEED} {number}")
        (kind,) = drawing.choices([*KINDS], weights=[*KINDS.values()])
        try:
            ended[kind.__name__][kind(stage, drawing)] += 1
        except Exception:  # noqa: BLE001
            pytest.fail(f"{kind.__name__}, seed {SEED}, number {number}\n{traceback.format_exc()}")
        finally:
            stage.server.faults.clear()
    with capsys.disabled():
        for name, counts in ended.items():
            many = ", ".join(f"{text} {n}" for text, n in counts.most_common())
            sys.stdout.write(f"\nseed {SEED}, {counts.total()} of {name}: {many}")
