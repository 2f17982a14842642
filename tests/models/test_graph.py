"""Graph networks: layers equal PyTorch Geometric's, the graph matters, and odd graphs work."""

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from tests.models.sizes import GRAPHS
from tests.panels import small_panel
from torch_geometric.data import Batch, Data
from torch_geometric.nn import GATv2Conv, GINConv

from numerai_kedro.data import open_panel
from numerai_kedro.data.feature_graph import FeatureGraph
from numerai_kedro.models.modules.edges import CHUNK_BYTES, Edges, _groups_of
from numerai_kedro.models.modules.graph import NodeNorm
from numerai_kedro.models.registry import family
from numerai_kedro.training.protocol import FitContext

TARGET = "target_ender_60"
RING = ((0, 1), (0, 4), (1, 2), (2, 3), (3, 4))
UNEVEN = ((0, 1), (0, 2), (0, 3), (1, 2))  # nodes of 4, 3, 3, 2 and 1 edges, with their own


def graph_with(edges, n_nodes, n_features=None):
    rng = np.random.default_rng(0)
    n_features = n_features or n_nodes
    return FeatureGraph(
        tuple(f"feature_{k}" for k in range(n_features)),
        tuple(k % n_nodes for k in range(n_features)),
        edges,
        *(tuple(rng.uniform(-1, 1, len(edges)).tolist()) for _ in range(2)),
    )


def copies(edges, n_rows):
    """One copy of the graph per row, as PyTorch Geometric batches graphs."""
    ends = torch.stack([edges.source, edges.goal])
    single = Data(edge_index=ends, edge_attr=edges.attributes, num_nodes=edges.n_nodes)
    many = Batch.from_data_list([single] * n_rows)
    return many.edge_index, many.edge_attr


def gradients(out, inputs):
    torch.manual_seed(1)
    return torch.autograd.grad((out * torch.randn_like(out)).sum(), inputs)


def as_on_a_card(edges, values, groups=Edges._groups):
    """Sums by products of matrices."""
    return [group.adding_alike(edges.n_nodes) for group in groups(edges, values)]


@pytest.mark.parametrize(
    "edges", [RING, UNEVEN, ((0, 1),), ()], ids=["ring", "uneven", "one edge", "none"]
)
@pytest.mark.parametrize("chunk", [1, 1 << 20, None])
@pytest.mark.parametrize("kind", ["gatv2", "gin"])
def test_layers_come_to_what_pytorch_geometric_comes_to(kind, edges, chunk, monkeypatch):
    if chunk is None:
        monkeypatch.setattr(Edges, "_groups", as_on_a_card)
    else:
        monkeypatch.setitem(CHUNK_BYTES, "cpu", chunk)
    torch.manual_seed(0)
    n_rows, width = 7, 12
    graph = Edges(graph_with(edges, 5), 5)
    nodes = torch.randn(5, width, n_rows, requires_grad=True)
    flat = nodes.permute(2, 0, 1).reshape(n_rows * 5, width)
    ends, attributes = copies(graph, n_rows)
    if kind == "gatv2":
        layer = GATv2Conv(width, 4, heads=3, edge_dim=2, add_self_loops=False)
        ours, theirs = graph.attend(layer, nodes), layer(flat, ends, attributes)
    else:
        inside = torch.nn.Sequential(torch.nn.Linear(width, width), torch.nn.ReLU())
        layer = GINConv(inside, train_eps=True, eps=0.3)
        apart = ends[:, ends[0] != ends[1]]
        ours, theirs = graph.add(layer, nodes), layer(flat, apart)
    theirs = theirs.view(n_rows, 5, width).permute(1, 2, 0).contiguous()
    torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-5)
    inputs = [nodes, *layer.parameters()]
    for gradient, other in zip(gradients(ours, inputs), gradients(theirs, inputs), strict=True):
        torch.testing.assert_close(gradient, other, rtol=1e-4, atol=1e-5)


def test_edges_go_both_ways_and_to_every_node_itself():
    graph = FeatureGraph(("a", "b", "c"), (0, 1, 2), ((0, 1), (1, 2)), (0.5, -0.2), (0.4, 0.1))
    edges = Edges(graph, 4)
    ends = list(zip(edges.goal.tolist(), edges.source.tolist(), strict=True))
    assert ends == [(0, 0), (0, 1), (1, 0), (1, 1), (1, 2), (2, 1), (2, 2), (3, 3)]
    itself, first, second = [1.0, 1.0], [0.5, 0.4], [-0.2, 0.1]
    expected = [itself, first, first, itself, second, second, itself, itself]
    torch.testing.assert_close(edges.attributes, torch.tensor(expected))
    assert edges.adjacency.tolist() == [[0, 1, 0, 0], [1, 0, 1, 0], [0, 1, 0, 0], [0, 0, 0, 0]]
    assert edges.state_dict() == {}


def test_nodes_of_nearly_as_many_edges_share_a_table_within_the_memory():
    edges = Edges(graph_with(UNEVEN, 5), 5)

    def nodes_of(at_once):
        source, goal = edges.source.tolist(), edges.goal.tolist()
        groups = _groups_of(source, goal, 5, at_once, torch.device("cpu"))
        return groups, [group.goals.tolist() for group in groups]

    groups, nodes = nodes_of(12)
    # Four edges and three, of which three quarters are enough; two and one are apart.
    assert nodes == [[0, 1, 2], [3], [4]]
    assert groups[0].missing.flatten().tolist() == [False] * 7 + [True] + [False] * 3 + [True]
    assert groups[1].missing is None
    assert all(group.adding is None for group in groups)  # the CPU adds by index
    table = groups[0].edges
    assert [edges.goal[table[k][:3]].tolist() for k in range(3)] == [[0] * 3, [1] * 3, [2] * 3]
    assert table[1, 3] == table[2, 3] == len(edges.goal)
    assert nodes_of(11)[1] == [[0, 1], [2], [3], [4]]
    assert nodes_of(1)[1] == [[0], [1], [2], [3], [4]]


@pytest.mark.parametrize("groups", [Edges._groups, as_on_a_card], ids=["core", "card"])
def test_half_precision_comes_to_about_the_same(groups, monkeypatch):
    monkeypatch.setattr(Edges, "_groups", groups)
    torch.manual_seed(0)
    graph = Edges(graph_with(RING, 5), 5)
    nodes = torch.randn(5, 12, 9, requires_grad=True)
    layer = GATv2Conv(12, 4, heads=3, edge_dim=2, add_self_loops=False)
    inputs = [nodes, *layer.parameters()]
    whole = graph.attend(layer, nodes)
    with torch.autocast("cpu", torch.bfloat16):
        half = graph.attend(layer, nodes)
    torch.testing.assert_close(half.float(), whole, rtol=0, atol=0.05)
    for gradient, other in zip(
        gradients(half.float(), inputs), gradients(whole, inputs), strict=True
    ):
        assert torch.nn.functional.cosine_similarity(gradient.flatten(), other.flatten(), 0) > 0.99


def test_nodes_are_normed_as_pytorch_norms_rows():
    torch.manual_seed(0)
    nodes = torch.randn(5, 12, 9, requires_grad=True)
    norm = NodeNorm(12)
    torch.nn.init.normal_(norm.weight)
    ours = norm(nodes)
    theirs = torch.nn.LayerNorm.forward(norm, nodes.transpose(1, 2)).transpose(1, 2).contiguous()
    torch.testing.assert_close(ours, theirs)
    inputs = [nodes, *norm.parameters()]
    for gradient, other in zip(gradients(ours, inputs), gradients(theirs, inputs), strict=True):
        torch.testing.assert_close(gradient, other, rtol=1e-4, atol=1e-5)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no NVIDIA GPU")
@pytest.mark.parametrize("precision", [None, torch.bfloat16, torch.float16])
def test_a_card_adds_up_the_same_bit_by_bit(precision):
    torch.manual_seed(0)
    layer = GATv2Conv(12, 4, heads=3, edge_dim=2, add_self_loops=False).cuda()
    graph = Edges(graph_with(RING, 5), 5).cuda()
    nodes = torch.randn(5, 12, 500, device="cuda", requires_grad=True)
    inputs, passes = [nodes, *layer.parameters()], []
    for _ in range(3):
        with torch.autocast("cuda", precision, enabled=precision is not None):
            output = graph.attend(layer, nodes).float()
        passes.append([output, *gradients(output, inputs)])
    for repeat in passes[1:]:
        for again, first in zip(repeat, passes[0], strict=True):
            assert torch.equal(again, first)
    ends, attributes = copies(graph, 500)
    theirs = layer(nodes.permute(2, 0, 1).reshape(-1, 12), ends, attributes)
    theirs = theirs.view(500, 5, 12).permute(1, 2, 0)
    torch.testing.assert_close(
        passes[0][0], theirs, rtol=0, atol=1e-3 if precision is None else 0.1
    )


def fitted(name, panel, graph=None, **changed):
    kind = family(name)
    params = kind.params_type.model_validate(GRAPHS[name] | changed)
    return kind(params, seed=0, threads=1).fit(panel, None, TARGET, context=FitContext(graph=graph))


@pytest.fixture(scope="module")
def panel(tmp_path_factory):
    folder = tmp_path_factory.mktemp("graph") / "panel"
    small_panel(folder)
    return open_panel(folder)


@pytest.mark.parametrize("name", GRAPHS)
def test_other_edges_are_another_model(name, panel):
    names = panel.feature_names
    graph = FeatureGraph(
        tuple(names),
        tuple(range(len(names))),
        tuple((k, k + 1) for k in range(len(names) - 1)),
        (0.5,) * (len(names) - 1),
        (0.3,) * (len(names) - 1),
    )
    predictions = {
        edges: fitted(name, panel, graph, edges=edges).predict(panel)
        for edges in ("real", "random", "none")
    }
    assert len({tuple(column) for column in predictions.values()}) == 3
    alone = fitted(name, panel, graph.without_edges()).predict(panel)
    np.testing.assert_array_equal(predictions["none"], alone)


@pytest.mark.parametrize("name", GRAPHS)
@pytest.mark.parametrize(
    "node",
    [lambda k, n: 0, lambda k, n: -1 if k else 0, lambda k, n: -1],
    ids=["one node", "all but one in none", "none at all"],
)
def test_odd_graphs_train_too(name, panel, node):
    names = panel.feature_names
    numbers = tuple(node(k, len(names)) for k in range(len(names)))
    graph = FeatureGraph(tuple(names), numbers, (), (), ())
    assert np.isfinite(fitted(name, panel, graph).predict(panel)).all()


def test_heads_share_the_width_or_a_sentence():
    with pytest.raises(ValidationError, match="d_node 8 is no multiple of n_heads 3"):
        family("gatv2").params_type.model_validate(GRAPHS["gatv2"] | {"n_heads": 3})
