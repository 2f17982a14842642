"""The types that a client of the demo finds by introspection, against the published ones."""

import pytest
import requests
from graphql import build_client_schema, get_introspection_query
from tests.demo.published import LESS, MORE, difference, facts_of, published


@pytest.fixture
def served(server):
    query = {"query": get_introspection_query()}
    answer = requests.post(server.url, json=query, timeout=10).json()
    return facts_of(build_client_schema(answer["data"]))


def test_what_both_have_has_equal_types(served):
    assert difference(served, published()).other == {}


def test_what_one_has_alone_is_explained(served):
    diff = difference(served, published())
    assert diff.more.keys() == MORE.keys()
    assert diff.less.keys() == LESS.keys()


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        ("RootQueryType.model(modelId: String!): Model", "RootQueryType.model(modelId: ID): Model"),
        ("Round.number: String", "Round.number: Int"),
        ("enum RoundStatus: OPEN", "enum RoundStatus: OPEN RESOLVED"),
    ],
)
def test_another_type_is_found(ours, theirs):
    assert list(difference([ours], [theirs]).other.values()) == [(ours, theirs)]


def test_a_field_of_one_side_is_found():
    diff = difference(["Round.number: Int"], ["Round.target: String", "scalar Time"])
    assert diff.more == {"Round": ["number"]}
    assert diff.less == {"Round": ["target"], "scalar Time": [""]}
