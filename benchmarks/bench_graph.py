"""Graph layers as this project computes them, against PyTorch Geometric's own way.

    python benchmarks/bench_graph.py                      on the CPU, some minutes
    python benchmarks/bench_graph.py --device cuda        on a GPU
    python benchmarks/bench_graph.py --features 24 --nodes 6 --rows 16 --rounds 1

Both have the network of a preset, the same weights, and 3,555 features in 172 and 256 nodes, once
with 8 neighbours a node and once with all. PyTorch Geometric sees a batch as that many copies of
the graph, and each layer turns values into its layout and back, a small part of its time. A step is
a forward and a backward pass of a batch; both take turns, each in a process of its own for its peak
of memory. The ratio is of neighbours, its median printed with quartiles. Last line: one JSON
object.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml
from torch import Tensor, nn
from torch_geometric.data import Batch, Data

from numerai_kedro.data.feature_graph import FeatureGraph
from numerai_kedro.models.modules.edges import Edges
from numerai_kedro.models.registry import GRAPHS, family
from peak_memory import Peak

CONF = Path(__file__).parents[1] / "conf" / "base" / "parameters_gnn.yml"
# What a card of 12 GB gets.
PRESET = "large_gpu"
FULL = "full"
GIB = 2**30


class PygEdges(Edges):
    """The same edges, through the layers' own forward pass."""

    def attend(self, layer: Any, values: Tensor) -> Tensor:
        """By a batch of graphs."""
        ends, attributes = self._copies(values.shape[2])
        return self._back(layer(self._flat(values), ends, attributes), values)

    def add(self, layer: Any, values: Tensor) -> Tensor:
        """By a batch of graphs; a node is no neighbour of its own."""
        ends, _ = self._copies(values.shape[2])
        return self._back(layer(self._flat(values), ends[:, ends[0] != ends[1]]), values)

    def _copies(self, n_rows: int) -> tuple[Tensor, Tensor]:
        """One copy of the graph per row, built once, as a loader would ahead of the step."""
        if "many" not in self.__dict__:
            ends = torch.stack([self.source, self.goal])
            graph = Data(edge_index=ends, edge_attr=self.attributes, num_nodes=self.n_nodes)
            self.__dict__["many"] = Batch.from_data_list([graph] * n_rows)
        many = self.__dict__["many"]
        return many.edge_index, many.edge_attr

    def _flat(self, values: Tensor) -> Tensor:
        return values.permute(2, 0, 1).reshape(-1, values.shape[1])

    def _back(self, output: Tensor, values: Tensor) -> Tensor:
        return output.view(values.shape[2], self.n_nodes, -1).permute(1, 2, 0)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--device", default="cpu", choices=("cpu", "cuda"))
    parser.add_argument("--features", type=int, default=3_555)
    parser.add_argument("--nodes", type=int, nargs="+", default=[172, 256])
    parser.add_argument("--neighbours", type=int, default=8)
    parser.add_argument("--rows", type=int, default=128, help="of a batch")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--networks", nargs="+", default=GRAPHS)
    parser.add_argument("--one", nargs=4, metavar=("NETWORK", "NODES", "NEIGHBOURS", "WAY"))
    options = parser.parse_args()
    if options.one:
        print(json.dumps(one_way(options)))
        return
    where = (
        torch.cuda.get_device_name()
        if options.device == "cuda"
        else f"{torch.get_num_threads()} threads"
    )
    print(f"{options.device}: {where}, torch {torch.__version__}, batches of {options.rows} rows")
    print(f"{'':<24}{'ours':>9}{'PyG':>9} rows/s{'ratio':>7}  quartiles{'peak, GiB':>18}")
    results: dict[str, dict[str, Any]] = {}
    for network in options.networks:
        for n_nodes in options.nodes:
            for neighbours in (options.neighbours, FULL):
                for key, value in compared(network, n_nodes, neighbours, options).items():
                    results.setdefault(key, {})[f"{network} {n_nodes} {neighbours}"] = value
    print(json.dumps(results))


def compared(
    network: str, n_nodes: int, neighbours: int | str, options: argparse.Namespace
) -> dict[str, Any]:
    """Rows a second, peak memory and results of both ways."""
    difference = difference_of(network, n_nodes, neighbours, options)
    rounds = []
    for number in range(options.rounds):
        ways = ("ours", "pyg") if number % 2 else ("pyg", "ours")
        rounds.append({way: in_process(network, n_nodes, neighbours, way, options) for way in ways})
    speeds = {
        way: statistics.median(measured[way]["rows_per_second"] for measured in rounds)
        for way in ("ours", "pyg")
    }
    peaks = {way: max(measured[way]["peak_gb"] for measured in rounds) for way in ("ours", "pyg")}
    ratios = [
        measured["ours"]["rows_per_second"] / measured["pyg"]["rows_per_second"]
        for measured in rounds
    ]
    low, middle, high = np.quantile(ratios, [0.25, 0.5, 0.75])
    title = f"{network}, {n_nodes} nodes, {neighbours}"
    print(
        f"{title:<24}{speeds['ours']:>9,.0f}{speeds['pyg']:>9,.0f}{middle:>13.2f}"
        f"  [{low:.2f}, {high:.2f}]{peaks['ours']:>9.2f}{peaks['pyg']:>8.2f}",
        flush=True,
    )
    return {
        "speedup_over_pyg": round(float(middle), 3),
        "max_abs_diff": difference,
        "rows_per_second": round(speeds["ours"]),
        "peak_gb": round(peaks["ours"], 3),
        "pyg_peak_gb": round(peaks["pyg"], 3),
    }


def difference_of(
    network: str, n_nodes: int, neighbours: int | str, options: argparse.Namespace
) -> float:
    """Largest difference between the predictions of a few rows."""
    model: Any = built(network, n_nodes, neighbours, options).eval()
    rows = rows_of(options)[:8]
    with torch.no_grad():
        # Its head begins with zeros, which would hide all differences.
        torch.nn.init.normal_(model.head.weight)
        ours = model(rows)
        model.edges.__class__ = PygEdges
        return float((model(rows) - ours).abs().max())


def in_process(
    network: str, n_nodes: int, neighbours: int | str, way: str, options: argparse.Namespace
) -> dict[str, float]:
    """One measurement in a fresh process."""
    arguments = ["--device", options.device, "--features", str(options.features)]
    arguments += ["--rows", str(options.rows), "--one", network, str(n_nodes), str(neighbours), way]
    command = [sys.executable, __file__, *arguments]
    answer = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    return dict(json.loads(answer.stdout.splitlines()[-1]))


def one_way(options: argparse.Namespace) -> dict[str, float]:
    """Steps of one way: the median of some, and the peak of memory, weights included."""
    network, n_nodes, neighbours, way = options.one
    model = built(network, int(n_nodes), neighbours, options).to(options.device).train()
    if way == "pyg":
        model.edges.__class__ = PygEdges
    rows = rows_of(options).to(options.device)

    def step() -> None:
        model(rows).square().mean().backward()

    times, cuda = [], options.device == "cuda"
    with torch.autocast("cuda", torch.bfloat16, enabled=cuda):  # as in training
        step()  # warm
        if cuda:
            torch.cuda.reset_peak_memory_stats()
        with Peak() as peak:
            for _ in range(5):
                times.append(seconds(step, cuda))
    peak_bytes = torch.cuda.max_memory_allocated() if cuda else peak.bytes
    return {
        "rows_per_second": options.rows / statistics.median(times),
        "peak_gb": peak_bytes / GIB,
    }


def seconds(step: Callable[[], None], cuda: bool) -> float:
    """Wall time of one step."""
    begin = time.perf_counter()
    step()
    if cuda:
        torch.cuda.synchronize()
    return time.perf_counter() - begin


def built(
    network: str, n_nodes: int, neighbours: int | str, options: argparse.Namespace
) -> torch.nn.Module:
    """The preset's network on a ring of nodes, each joined to those nearest on it."""
    kind = family(network)
    preset = yaml.safe_load(CONF.read_text())[network]["presets"][PRESET]
    params = kind.params_type.model_validate(preset | {"dropout": 0.0, "feature_dropout": 0.0})
    reach = n_nodes // 2 if neighbours == FULL else int(neighbours) // 2
    pairs = {
        (min(a, (a + step) % n_nodes), max(a, (a + step) % n_nodes))
        for a in range(n_nodes)
        for step in range(1, reach + 1)
    }
    edges = tuple(sorted(pair for pair in pairs if pair[0] != pair[1]))
    rng = np.random.default_rng(0)
    weights = (tuple(rng.uniform(-1, 1, len(edges)).tolist()) for _ in range(2))
    names = tuple(f"feature_{k:04d}" for k in range(options.features))
    model: Any = kind(params, seed=0, threads=torch.get_num_threads())
    node = tuple(k % n_nodes for k in range(options.features))
    model.graph = FeatureGraph(names, node, edges, *weights).as_json()
    torch.manual_seed(0)
    built_network: nn.Module = model.build(options.features, 2)
    return built_network


def rows_of(options: argparse.Namespace) -> Tensor:
    """int8[n_rows, n_features]."""
    generator = torch.Generator().manual_seed(0)
    shape = (options.rows, options.features)
    return torch.randint(0, 5, shape, generator=generator, dtype=torch.int8)


if __name__ == "__main__":
    main()
