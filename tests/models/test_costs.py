"""What the plan is told a fit needs: figures in GiB and nanoseconds, not only their order.

Whoever measures a family anew changes its figures here.
"""

import pytest
from tests.models.sizes import NETWORKS, SMALL

from numerai_kedro.models.registry import family

N_ROWS, N_FEATURES = 1_000_000, 1_000
# Memory, work, disk, bins and memory on the device.
COSTS = {
    "lightgbm": (1.371604, 4.44416e10, 5.811453e-05, 0.4656613, 0.0),
    "catboost": (4.267434, 2.8056e10, 1.192093e-05, 0.9592623, 0.0),
    "xgboost": (2.320970, 5.532e10, 7.152557e-05, 0.0, 0.0),
    "tabm": (0.4638658, 7.516269e11, 0.0001364946, 0.0, 0.002689958),
    "transformer": (0.4842077, 6.411808e12, 9.715557e-05, 0.0, 0.02303183),
    "vae_head": (0.4692366, 8.850310e11, 0.0007193088, 0.0, 0.008060694),
    "gatv2": (0.4708901, 1.631456e12, 0.0001201332, 0.0, 0.009714276),
    "gin": (0.4672392, 1.194455e12, 0.0001201034, 0.0, 0.006063282),
}
# Weights, products and floats held, with deeper networks than the other tests have.
DEEP = {"n_layers": 3, "n_blocks": 3}
SIZES = {
    "tabm": (17_856, 59_648, 5_120),
    "transformer": (15_776, 5_075_200, 174_000),
    "vae_head": (77_888, 77_888, 7_104),
    "gatv2": (13_416, 1_131_264, 56_648),
    "gin": (13_392, 291_264, 27_248),
}


def params_of(name, **changed):
    return family(name).params_type.model_validate(SMALL[name] | changed)


@pytest.mark.parametrize("name", sorted(COSTS))
def test_a_fit_costs_what_was_measured(name):
    cost = family(name).cost(params_of(name), N_ROWS, N_FEATURES)
    found = (cost.memory_gb, cost.work, cost.disk_gb, cost.bins_gb, cost.device_gb)
    assert found == pytest.approx(COSTS[name], rel=1e-6)


@pytest.mark.parametrize("name", sorted(NETWORKS))
def test_a_network_has_the_size_that_was_counted(name):
    changed = {key: value for key, value in DEEP.items() if key in SMALL[name]}
    size = family(name).size(params_of(name, **changed), 400, 2)
    assert (size.weights, size.products, size.held) == SIZES[name]


def test_leaves_and_nodes_are_bounded_by_both_limits():
    """A tree of depth 4 has at most 16 leaves; LightGBM's 15 are fewer, 40 would be more."""
    disk = family("lightgbm").cost(params_of("lightgbm", num_leaves=40), N_ROWS, 8).disk_gb
    assert disk == pytest.approx(104 * 40 * 16 / 2**30)
    few = family("xgboost").cost(params_of("xgboost", max_leaves=5), N_ROWS, 8).disk_gb
    assert few == pytest.approx(60 * 40 * 2 * 5 / 2**30)
