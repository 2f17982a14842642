"""Write docs/demo-api.md: what the demo makes of numerapi's methods, and where its schema differs.

python -m tools.api_table
"""

from __future__ import annotations

from pathlib import Path

from tests.tournament.demo.numerapi_methods import METHODS

from numerai_kedro.files import atomic_write

PATH = Path(__file__).parents[1] / "docs" / "demo-api.md"
HEAD = """# The demo's API

`kedro tournament serve` serves the demo to any client of Numerai's API. Its schema has the names
and types of the introspection that was published in July 2026; `{ __schema { … } }` shows it.
This page is written by `python -m tools.api_table` from the table that the tests go through,
`tests/tournament/demo/numerapi_methods.py`.

## numerapi 3.1, method by method

| Method | On the demo |
|---|---|
"""
TAIL = """
## Where the schema differs from the published one

| What | Why |
|---|---|
| more: `Round.roundScoreConfigs`, `V2RoundModelPerformance.payoutMultipliers` and their types | \
newer than the introspection; numerapi 3.1 selects them |
| no `v2ChangeStake`, `increaseStake`, `releaseStake`, `cancelPendingStakeRelease`, \
`v3ChangePayoutSelection`, `v2WithdrawNmr`, `v3Stake…`, `stakeTransactions` | what moves a stake, \
or belongs to one |
| no login, password, e-mail, tax, notification, season, blog, price, Signals or Crypto fields | \
not of a participant's program in this tournament |
| less: some fields of `Account`, `Model`, `ModelProfile`, `ModelData`, `V2Submission` | they \
would be null |
| `String` is taken where `ID` stands | so it is at Numerai: numerapi declares its variables as \
`String` |
| a name in snake case is taken for the same in camel case, and comes back as it was asked | so it \
is at Numerai: numerapi asks for `create_submission` and `return_1_day` |

What a simulated service cannot know is null: returns, ranks of one score alone, 20-day scores. A
standing on the leaderboards is the score of the newest round that has one, among 100 synthetic
participants. A submission and a diagnosis are `pending` to the first that asks about them, then
`validated`, `done` or `failed`.

## Times

The demo has a clock of its own, which stands still inside an open round until `kedro tournament
advance` moves it. numerapi's `check_round_open()` and `check_new_round()` compare a round with this
machine's clock: `kedro tournament serve --wall-clock` shows the demo's rounds at its time.

## Files

The files of v5.3 are listed, and some of versions before, which official examples and other clients
ask for. These are the same files: `v4.3/meta_model.parquet` of any round, the names of v5.3 under
`v5.0`, and there `live_{round}.parquet`. `tests/tournament/demo/test_other_clients.py` holds the
calls of the notebooks hello_numerai, target_ensemble and feature_neutralization of
numerai/example-scripts, and of numerblox's downloader. From the size `demo` on the set `small` has
a feature of every group, as feature_neutralization wants. One cell of target_ensemble fails here as
at Numerai: the column `target` has been an alias of `target_ender_60` since August 2026.
"""


def written() -> str:
    """The page."""
    rows = [f"| `{one.name}` | {one.answer} |" for one in METHODS]
    return HEAD + "\n".join(rows) + "\n" + TAIL


def main() -> None:
    """Write the page."""
    with atomic_write(PATH) as handle:
        handle.write(written().encode())


if __name__ == "__main__":
    main()
