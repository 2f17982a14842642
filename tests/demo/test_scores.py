import numpy as np
import pandas as pd
import pytest
from numerai_tools.scoring import correlation_contribution, numerai_corr

from numerai_kedro.demo.scores import CORR, MMC, score_submission
from numerai_kedro.numerai.submission import to_csv

ROUND = 1412


@pytest.fixture
def world(demo):
    return demo.archive.world(demo.latest(demo.clock.now()))


@pytest.fixture
def era(world):
    return world.size.n_eras + 1


def csv_of(world, era, values):
    ids = world.ids(era, salt=str(ROUND))
    ranks = pd.Series(values).rank(method="first").to_numpy()
    return to_csv(pd.DataFrame({"id": ids, "prediction": (ranks - 0.5) / len(ids)}))


def test_the_final_score_is_that_of_the_published_paid_target(world, era):
    """Day 60 is scored on the values that later become target_ender_60 in validation.parquet."""
    values = np.random.default_rng(0).random(len(world.ids(era)))
    scores = score_submission(csv_of(world, era, values), world, era, ROUND, [60])
    ids = world.ids(era)
    column = world.target_names.index("target_ender_60")
    target = pd.Series(world.targets(era)[:, column], index=ids, name="target")
    predictions = pd.DataFrame({"p": values}, index=ids)
    meta = pd.Series(world.meta_model(era), index=ids, name="m")
    assert scores[60, CORR][0] == pytest.approx(numerai_corr(predictions, target)["p"], abs=1e-12)
    mmc = correlation_contribution(predictions, meta, target)["p"]
    assert scores[60, MMC][0] == pytest.approx(mmc, abs=1e-7)


def test_who_knows_the_truth_beats_the_field_and_who_inverts_it_does_not(world, era):
    truth = world.target_after(era, 60) + np.random.default_rng(0).random(len(world.ids(era))) / 8
    best = score_submission(csv_of(world, era, truth), world, era, ROUND, [60])
    worst = score_submission(csv_of(world, era, -truth), world, era, ROUND, [60])
    assert best[60, CORR][0] > 0.9
    assert worst[60, CORR][0] < -0.9
    assert (best[60, CORR][1], worst[60, CORR][1]) == (1.0, 0.0)
    assert (best[60, MMC][1], worst[60, MMC][1]) == (1.0, 0.0)


def test_the_order_of_rows_does_not_count(world, era):
    content = csv_of(world, era, np.random.default_rng(1).random(len(world.ids(era))))
    head, *rows = content.decode().splitlines()
    turned = "\n".join([head, *reversed(rows)]).encode()
    days = [1, 30]
    assert score_submission(content, world, era, ROUND, days) == score_submission(
        turned, world, era, ROUND, days
    )


def test_the_meta_model_itself_contributes_nothing(world, era):
    content = csv_of(world, era, world.meta_model(era))
    scores = score_submission(content, world, era, ROUND, [20, 60])
    assert abs(scores[60, MMC][0]) < 1e-9
    assert abs(scores[20, MMC][0]) < 1e-9


def test_the_field_is_spread_over_all_percentiles(world, era):
    """A random submission may rank anywhere: percentiles are not constant."""
    n = len(world.ids(era))
    places = [
        score_submission(
            csv_of(world, era, np.random.default_rng(seed).random(n)), world, era, ROUND, [60]
        )[60, CORR][1]
        for seed in range(12)
    ]
    assert min(places) < 0.4
    assert max(places) > 0.6
