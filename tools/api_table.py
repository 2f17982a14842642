"""Write docs/demo-api.md: what the demo does for numerapi's methods, and where its schema differs.

python -m tools.api_table
"""

from __future__ import annotations

from importlib import resources
from pathlib import Path

from graphql import build_schema
from tests.demo.numerapi_methods import METHODS
from tests.demo.published import LESS, MORE, difference, facts_of, published

from numerai_kedro import demo
from numerai_kedro.files import atomic_write

PATH = Path(__file__).parents[1] / "docs" / "demo-api.md"
HEAD = """# The demo's API

`kedro tournament serve` serves the demo to any client of Numerai's API. Its schema has the names
and types of the introspection that was published in July 2026; `{ __schema { … } }` shows it.
This page is written by `python -m tools.api_table` from the table that the tests go through,
`tests/demo/numerapi_methods.py`.

## numerapi 3.1, method by method

| Method | On the demo |
|---|---|
"""
TAIL = """
## The schema beside the published one

A program compares what a client finds by introspection with the types that were published for the
same operations (`tests/tournament/demo/published_types.txt`, {n_published} facts):
{n_equal} are equal, {n_other} are other. What one of the two has alone:

| Type | Fields | Why |
|---|---|---|
{differences}

| Else | Why |
|---|---|
| no `v2ChangeStake`, `increaseStake`, `releaseStake`, `cancelPendingStakeRelease`, \
`v3ChangePayoutSelection`, `v2WithdrawNmr`, `v3Stake…`, `stakeTransactions` | what moves a stake, \
or belongs to one |
| no login, password, e-mail, tax, notification, season, blog, price, Signals or Crypto operations \
| not of a participant's program in this tournament |
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
`v5.0`, and there `live_{{round}}.parquet`. `tests/demo/test_other_clients.py` holds the
calls of the notebooks hello_numerai, target_ensemble and feature_neutralization of
numerai/example-scripts, and of numerblox's downloader. From the size `demo` on the set `small` has
a feature of every group, as feature_neutralization wants. One cell of target_ensemble fails here as
at Numerai: the column `target` has been an alias of `target_ender_60` since August 2026.
"""


def written() -> str:
    """The page."""
    rows = [f"| `{method.name}` | {method.answer} |" for method in METHODS]
    text = resources.files(demo).joinpath("schema.graphql").read_text(encoding="utf-8")
    ours, theirs = facts_of(build_schema(text)), published()
    diff = difference(ours, theirs)
    differences = [
        f"| `{kind}` | {sign} {_listed(fields)} | {why[kind]} |"
        for sign, by_type, why in (("more:", diff.more, MORE), ("less:", diff.less, LESS))
        for kind, fields in by_type.items()
    ]
    n_alone = sum(len(fields) for fields in diff.more.values())
    tail = TAIL.format(
        n_published=len(theirs),
        n_equal=len(ours) - n_alone - len(diff.other),
        n_other=len(diff.other),
        differences="\n".join(differences),
    )
    return HEAD + "\n".join(rows) + "\n" + tail


def _listed(fields: list[str]) -> str:
    return ", ".join(f"`{field}`" for field in fields)


def main() -> None:
    """Write the page."""
    with atomic_write(PATH) as handle:
        handle.write(written().encode())


if __name__ == "__main__":
    main()
