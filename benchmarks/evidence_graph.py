"""Claim: graph networks earn CORR, and the real graph earns more than a random one, or than none.

    make evidence NAME=graph        resumable seed by seed; docs/evidence/graph.json

Claim seeds 1000-1004, at the CPU presets, without tuning. Two worlds a seed, with the same features
and so the same graph:

demo
    The default demo: the test period, predicted out of fold as the pipeline does it, but that
    the oldest window, which cuts features into nodes, is the test period's first here.
along edges
    A market in which nothing earns but products of two features, whose nodes have an edge in the
    graph of the oldest window.

Each network learns on the real graph, on a random one of the same degrees and on none. CORR is a
mean over the test eras; differences are paired by seed, with a t interval over seeds.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import yaml
from scipy import stats

from claim_seeds import Table, demo_project, interval, parser, run_seeds
from evidence_discovery import targets_of, twelve_weeks
from numerai_kedro.cache import FoldStore
from numerai_kedro.data import EraPanel, EraRows, FeatureBlock, open_panel, write_panel
from numerai_kedro.data.feature_graph import FeatureGraph
from numerai_kedro.data.folds import Folds
from numerai_kedro.demo.market import Market
from numerai_kedro.demo.names import stock_ids
from numerai_kedro.demo.sizes import SIZES
from numerai_kedro.demo.truth import draw_truth
from numerai_kedro.features.window_graphs import graphs_of
from numerai_kedro.metrics.scoring import rank_scores
from numerai_kedro.models.registry import GRAPHS
from numerai_kedro.pipelines.recipes import planned_recipe
from numerai_kedro.runtime.parameters import GraphParams, ModelParams
from numerai_kedro.training.engineered import Engineered, window_name
from numerai_kedro.training.fit_runner import FitRunner
from numerai_kedro.training.walk_forward import walk_forward

ROOT = Path(__file__).parents[1]
RESULT = ROOT / "docs" / "evidence" / "graph.json"
CONF = yaml.safe_load((ROOT / "conf" / "base" / "parameters_gnn.yml").read_text())
SEEDS = range(1000, 1005)
EDGES = ("real", "random", "none")
WORLDS = ("demo", "along edges")
N_PAIRS = 12
# Scale of pair effects: networks earn about as much here as in the demo (development seed 0).
PAIR_SCALE = 2.0
STREAM_PAIRS = 30
DECIDED = {"device": "cpu", "preset": "cpu", "n_offsets": 1}
THREADS = 2


def main() -> None:
    """Run what is missing, then compare."""
    options = parser(__doc__ or "", "demo", SEEDS, RESULT).parse_args()
    run_seed = lambda folder, seed: one_seed(folder, options.size, seed)  # noqa: E731 - called there
    run_seeds(options, run_seed, concluded, page)


def one_seed(folder: Path, size: str, seed: int) -> dict[str, dict[str, float]]:
    """Mean CORR of each network by its edges, in both worlds."""
    demo_project(folder, size, seed)
    (data,) = folder.glob("data/*/02_intermediate")
    folds = Folds.model_validate_json((data / "folds.json").read_text())
    demo = open_panel(data / "history_panel").select(features=folds.features)
    store = FoldStore(folder / "graph_store")
    windows = {window_name(fold.train[1]): fold.train for fold in folds.test}
    params = GraphParams.model_validate(CONF["feature_graph"])
    graphs = graphs_of(demo, windows, params.neighbours, store)
    planted = planted_panel(folder / "planted", demo, size, seed, graphs[min(graphs)])
    scores = {}
    for world, panel in zip(WORLDS, (demo, planted), strict=True):
        for name in GRAPHS:
            for edges in EDGES:
                corr = mean_corr(name, edges, panel, folds, graphs, FoldStore(folder / world))
                scores[f"{world}: {name} {edges}"] = {"corr": corr}
    return scores


def mean_corr(
    name: str,
    edges: str,
    panel: EraPanel,
    folds: Folds,
    graphs: dict[str, FeatureGraph],
    store: FoldStore,
) -> float:
    """Mean CORR out of fold, over the test eras."""
    params = ModelParams.model_validate(CONF[name])
    decided = DECIDED | {"era_stride": params.era_stride}
    recipe = planned_recipe(name, folds, decided, THREADS, params)
    recipe = recipe.with_params(recipe.params.model_copy(update={"edges": edges}))
    engineered = Engineered(graphs={window: graph.as_json() for window, graph in graphs.items()})
    windows = folds.test
    recipes = [engineered.applied(recipe, window.train, folds.features) for window in windows]
    oof, _ = walk_forward(panel, windows, recipes, folds.purge_eras, FitRunner(store))
    holdout = panel.select(eras=oof["era"].unique())
    column = oof["prediction"].to_numpy(dtype=np.float64)[:, None]
    labels = holdout.target(folds.paid_target).astype(np.float64)
    return float(np.nanmean(rank_scores(holdout.era_starts, column, labels)[0]))


def planted_panel(
    folder: Path, demo: EraPanel, size: str, seed: int, graph: FeatureGraph
) -> EraPanel:
    """The demo's eras and features, with targets of a market in which pairs alone earn."""
    write_panel(folder, planted_eras(demo, size, seed, graph))
    return open_panel(folder).select(features=demo.feature_names)


def planted_eras(demo: EraPanel, size: str, seed: int, graph: FeatureGraph) -> Iterator[EraRows]:
    """Era by era, rows in the market's order."""
    truth = draw_truth(SIZES[size], seed)
    pairs, signs = pairs_along(graph, truth.names, seed)
    acting = replace(
        truth,
        effect=np.zeros_like(truth.effect),
        regimes=np.zeros_like(truth.regimes),
        pairs=pairs,
        pair_effect=signs,
    )
    market = Market(SIZES[size], seed, acting, 1.0)
    for weeks in twelve_weeks(market):
        era = weeks[0].era
        if era > demo.eras[-1]:
            return
        targets = targets_of(weeks, {20: PAIR_SCALE, 60: PAIR_SCALE})
        yield EraRows(
            era=era,
            data_type="validation",
            ids=pa.array(stock_ids(seed, era, "", weeks[0].identities).tolist()),
            features=FeatureBlock.of(truth.names, weeks[0].features),
            targets=pa.record_batch(
                [pa.array(targets[days].astype(np.float32)) for days in (20, 60)],
                names=["target_ender_20", "target_ender_60"],
            ),
        )


def pairs_along(graph: FeatureGraph, names: list[str], seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Features of neighbouring nodes, each feature once: int64[n_pairs, 2] and their signs."""
    rng = np.random.default_rng([seed, STREAM_PAIRS])
    members: dict[int, list[str]] = {}
    for name, node in zip(graph.features, graph.node, strict=True):
        members.setdefault(node, []).append(name)
    used: set[str] = set()
    pairs: list[list[int]] = []
    for number in rng.permutation(len(graph.edges)):
        ends = [[n for n in members[node] if n not in used] for node in graph.edges[number]]
        if all(ends) and len(pairs) < N_PAIRS:
            chosen = [str(rng.choice(cluster)) for cluster in ends]
            used.update(chosen)
            pairs.append([names.index(name) for name in chosen])
    signs = rng.choice([-1.0, 1.0], len(pairs)).astype(np.float32)
    return np.array(pairs, dtype=np.int64), signs


def concluded(seeds: dict[str, Any]) -> dict[str, Any]:
    """What each network earns, and what the real graph earns beside its controls."""
    runs = list(seeds.values())
    result: dict[str, Any] = {"corr": {}, "earns": {}, "real less control": {}}
    for title in runs[0]:
        values = [run[title]["corr"] for run in runs]
        result["corr"][title] = interval(values)
    for world in WORLDS:
        for name in GRAPHS:
            real = [run[f"{world}: {name} real"]["corr"] for run in runs]
            if world == "demo" and len(real) > 1:
                errors = float(np.mean(real) / stats.sem(real))
                verdict = "beats" if errors > 2 else "does not beat"
                result["earns"][name] = f"{verdict} CORR 0 by two standard errors ({errors:.1f})"
            for control in EDGES[1:]:
                other = [run[f"{world}: {name} {control}"]["corr"] for run in runs]
                differences = np.subtract(real, other).tolist()
                result["real less control"][f"{world}: {name} - {control}"] = interval(differences)
    return result


def page(result: dict[str, Any]) -> Table:
    """Of every world and network, its CORR on the real graph, and less that on others."""
    heads = ("network, in a market where", "CORR", "less that on a random graph", "and on none")
    worlds = {"demo": "features earn", "along edges": "pairs of neighbours earn"}
    less = result["real less control"]
    rows = [
        [f"{name}, {where}", result["corr"][f"{world}: {name} real"]]
        + [less[f"{world}: {name} - {control}"] for control in EDGES[1:]]
        for world, where in worlds.items()
        for name in GRAPHS
    ]
    text = f"Means over {len(result['seeds'])} demo tournaments; differences are paired by them."
    return Table(title="What the graph is worth", heads=heads, rows=rows, said=text)


if __name__ == "__main__":
    main()
