"""A training step of each network at 3,555 features, against a plain loop over float32 rows.

    python benchmarks/bench_training_step.py                    on the CPU, a few minutes
    python benchmarks/bench_training_step.py --device cuda      on a GPU
    python benchmarks/bench_training_step.py --eras 2 --rows 200 --features 40 --batch 50

Ours reads a panel era by era as int8; the plain loop has the same network, loss, optimiser and
precision, and a DataLoader over a float32 array in memory. Rows a second are the median over
epochs, which take turns. The roof is a large matrix product in the same precision. Last line: one
JSON object.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import torch
import yaml
from torch.utils.data import DataLoader, TensorDataset
from torch.utils.flop_counter import FlopCounterMode

from numerai_kedro.data import EraPanel, EraRows, FeatureBlock, open_panel, write_panel
from numerai_kedro.models.registry import NETWORKS, family
from numerai_kedro.training.protocol import NO_CONTEXT
from numerai_kedro.training.torch.batches import TrainingEras
from numerai_kedro.training.torch.loop import TrainingRun, _precision
from numerai_kedro.training.torch.losses import objective
from numerai_kedro.training.torch.microbatch import CountedMemory, CudaMemory

TARGETS = ("target_ender_60", "target_ender_20")
CONF = [
    Path(__file__).parents[1] / "conf" / "base" / f"parameters_{name}.yml"
    for name in ("deep_learning", "gnn")
]
# Each device's preset; the benchmark itself counts epochs.
PRESETS = {"cuda": "large_gpu", "cpu": "cpu"}
ENDLESS = {"epochs": 99, "patience": 99}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--device", default="cpu", choices=("cpu", "cuda"))
    parser.add_argument("--eras", type=int, default=6)
    parser.add_argument("--rows", type=int, default=5_500, help="of an era")
    parser.add_argument("--features", type=int, default=3_555)
    parser.add_argument("--batch", type=int, help="in place of the preset's")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--memory-gb", type=float, help="what a smaller card would have")
    parser.add_argument("--networks", nargs="+", default=NETWORKS)
    options = parser.parse_args()
    name = (
        torch.cuda.get_device_name()
        if options.device == "cuda"
        else f"{torch.get_num_threads()} threads"
    )
    print(f"{options.device}: {name}, torch {torch.__version__}")
    figures: dict[str, dict[str, float]] = {}
    if options.memory_gb and options.device == "cuda":
        total = torch.cuda.get_device_properties(0).total_memory
        torch.cuda.set_per_process_memory_fraction(options.memory_gb * 2**30 / total)
    with tempfile.TemporaryDirectory() as folder:
        panel = panel_of(Path(folder), options)
        roof = roof_of(options.device)
        for network in options.networks:
            for key, value in measured(network, panel, options, roof).items():
                figures.setdefault(key, {})[network] = value
    print(json.dumps(figures))


def measured(
    network: str, panel: EraPanel, options: argparse.Namespace, roof: float
) -> dict[str, float]:
    """Rows a second of both loops, and the share of the roof that ours reaches."""
    kind: Any = family(network)  # a network: more than every model has
    models = {
        name: block for path in CONF for name, block in yaml.safe_load(path.read_text()).items()
    }
    preset = models[network]["presets"][PRESETS[options.device]]
    overrides = {"batch_rows": options.batch} if options.batch else {}
    params = kind.params_type.model_validate(preset | ENDLESS | overrides)
    eras = TrainingEras(panel, TARGETS, params.batch_rows)
    model = kind(params, seed=0, threads=torch.get_num_threads())
    model.feature_names = list(panel.feature_names)
    model.prepare(panel, NO_CONTEXT)

    def build() -> torch.nn.Module:
        built: torch.nn.Module = model.build(eras.n_features, len(TARGETS))
        return built

    memory = None
    if options.memory_gb:
        budget = options.memory_gb * 2**30
        memory = lambda net: (  # noqa: E731 - called once
            CudaMemory(torch.device("cuda"), budget)
            if options.device == "cuda"
            else CountedMemory(net, budget)
        )
    run = TrainingRun(build, eras, params, 0, device=options.device, memory=memory)
    # On a small card the plain loop runs out of memory.
    epoch: Any = run._epoch
    epoch(lambda done, total: None)  # warm
    before = held_gb(options.device)
    plain: Callable[[], None] = nothing
    if not memory:
        plain = plain_loop(build(), panel, params, options)
    plain()
    beside = held_gb(options.device) - before  # the plain loop's own weights and moments
    ours, theirs = [], []
    peak = 0.0
    for _ in range(options.rounds):
        if options.device == "cuda":
            torch.cuda.reset_peak_memory_stats()
        ours.append(seconds(lambda: epoch(lambda done, total: None), options.device))
        if options.device == "cuda":
            peak = max(peak, torch.cuda.max_memory_allocated() / 2**30 - beside)
        theirs.append(seconds(plain, options.device))
    counter = FlopCounterMode(display=False)
    features, labels = eras.load(eras.epoch(0, 0)[0], run.accelerator.device)
    with counter:
        run._backward(features, labels)
    run.optimiser.zero_grad()
    flops = counter.get_total_flops() / len(labels) * eras.n_rows
    ratio = statistics.median(t / o for o, t in zip(ours, theirs, strict=True))
    fitted = run.fitted_to
    n_parameters = sum(p.numel() for p in run.bare.parameters())
    print(
        f"{network}: {n_parameters / 1e6:.1f} million parameters, {run.micro_rows} rows at once of "
        f"{params.batch_rows}; ours {eras.n_rows / statistics.median(ours):,.0f} rows/s, plain "
        f"{eras.n_rows / statistics.median(theirs):,.0f}; peak {peak:.2f} GiB of VRAM"
    )
    return {
        "rows_per_s": round(eras.n_rows / statistics.median(ours)),
        "rows_per_s_over_plain": round(ratio, 3),
        "data_wait_share": round(run.wait_share, 4),
        "roof_share": round(flops / statistics.median(ours) / roof, 3),
        "peak_gb": round(peak, 2),
        "predicted_over_peak": round(fitted.peak / 2**30 / peak, 3) if fitted and peak else 0.0,
        "halvings": len(run.at.recoveries),
        "micro_rows": run.micro_rows,
    }


def nothing() -> None:
    """In the place of the plain loop."""


def plain_loop(
    network: torch.nn.Module, panel: EraPanel, params: Any, options: argparse.Namespace
) -> Callable[[], None]:
    """One epoch of the straightforward loop."""
    device = torch.device(options.device)
    rows = np.concatenate([panel.features(int(era)) for era in panel.eras]).astype(np.float32)
    labels = np.concatenate(list(TrainingEras(panel, TARGETS, params.batch_rows).labels.values()))
    data = TensorDataset(torch.from_numpy(rows), torch.from_numpy(labels))
    loader = DataLoader(data, params.batch_rows, shuffle=True, pin_memory=options.device == "cuda")
    network = network.to(device).train()
    optimiser = torch.optim.AdamW(network.parameters(), lr=1e-3)
    precision = _precision(options.device)
    dtype = {"bf16": torch.bfloat16, "fp16": torch.float16}.get(precision, torch.float32)

    def epoch() -> None:
        for features, label in loader:
            features, label = features.to(device), label.to(device)
            with torch.autocast(options.device, dtype, enabled=precision != "no"):
                output = network(features)
            predictions, penalty = output if isinstance(output, tuple) else (output, torch.zeros(1))
            loss = objective(predictions, label, params.corr_weight) + penalty.mean().to(device)
            optimiser.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
            optimiser.step()

    return epoch


def roof_of(device: str) -> float:
    """Floating-point operations a second of a large matrix product, in the loop's precision."""
    dtype = {"bf16": torch.bfloat16, "fp16": torch.float16}.get(_precision(device), torch.float32)
    n = 8192 if device == "cuda" else 2048
    left, right = (torch.randn(n, n, device=device, dtype=dtype) for _ in range(2))
    times = [seconds(lambda: left @ right, device) for _ in range(6)]
    return float(2 * n**3 / min(times))


def held_gb(device: str) -> float:
    """GiB that tensors hold on a card."""
    return torch.cuda.memory_allocated() / 2**30 if device == "cuda" else 0.0


def seconds(task: Callable[[], Any], device: str) -> float:
    """Wall time of one call."""
    if device == "cuda":
        torch.cuda.synchronize()
    begin = time.perf_counter()
    task()
    if device == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - begin


def panel_of(folder: Path, options: argparse.Namespace) -> EraPanel:
    """Random rows of five values, and targets that lean on a few of them."""
    names = [f"feature_{k:04d}" for k in range(options.features)]
    bins = np.array([0, 0.25, 0.5, 0.75, 1], dtype=np.float32)

    def eras() -> Any:
        for era in range(1, options.eras + 1):
            rng = np.random.default_rng(era)
            values = rng.integers(0, 5, size=(options.rows, options.features), dtype=np.int8)
            raw = values[:, :20].sum(axis=1) + rng.normal(scale=40, size=options.rows)
            ranks = raw.argsort().argsort() / options.rows
            target = bins[np.searchsorted([0.05, 0.25, 0.75, 0.95], ranks, side="right")]
            yield EraRows(
                era=era,
                data_type="train",
                ids=pa.array([f"n{era:04d}{row:011d}" for row in range(options.rows)]),
                features=FeatureBlock.of(names, values),
                targets=pa.record_batch([pa.array(target)] * len(TARGETS), names=list(TARGETS)),
            )

    write_panel(folder, eras())
    return open_panel(folder)


if __name__ == "__main__":
    main()
