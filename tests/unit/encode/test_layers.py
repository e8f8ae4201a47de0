from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from embedcli.encode import layers
from embedcli.encode.catalog import find_model
from embedcli.encode.layer_folder import read_layers, write_layers
from embedcli.encode.layers import LayerGraph
from embedcli.encode.onnx import OnnxEncoder
from embedcli.encode.trust import check_graph
from embedcli.errors import DamagedModelError, ModelError

TEXTS = ["one line", "the card has not arrived, and nobody answers", "x"]


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    # As the program opens it: with a folder of the user's own.
    return find_model(None, (tmp_path_factory.mktemp("models"),))


@pytest.fixture(scope="module")
def graph(model):
    return read_layers(model, model.manifest.default_variant)


def encoded(folder, manifest, variant, pooling="mean+cls+max"):
    encoder = OnnxEncoder(folder, manifest, variant=variant, device="cpu", jobs=1, pooling=pooling)
    try:
        return encoder.encode(TEXTS).vectors
    finally:
        encoder.close()


def test_one_pass_gives_every_hidden_state_and_the_last_is_the_encoders_own(model, graph, tmp_path):
    variant = model.manifest.default_variant
    assert graph.layers == 6
    manifest = write_layers(model, variant, graph, range(7), tmp_path)
    every = encoded(tmp_path, manifest, variant).reshape(len(TEXTS), 3, 7, 384)
    assert np.array_equal(every[:, 0, 6], encoded(model.folder, model.manifest, variant, "mean"))
    cut_at = tmp_path / "cut"
    cut_at.mkdir()
    alone = encoded(cut_at, write_layers(model, variant, graph, [2], cut_at), variant)
    assert np.array_equal(alone.reshape(len(TEXTS), 3, 384), every[:, :, 2])
    # The states differ from layer to layer, and so do the poolings.
    flat = every.reshape(len(TEXTS), -1, 384)[1]
    assert len(np.unique(flat.round(4), axis=0)) == 21


def test_a_cut_graph_has_less_of_everything_and_passes_the_check_of_files(graph):
    counts = [graph.nodes_before(layer) for layer in range(7)]
    assert counts == sorted(set(counts))
    first, last = graph.ending_at([0]), graph.ending_at([6])
    assert len(first) < 0.6 * len(last)
    facts = check_graph(first, "cut")
    assert facts.inputs == ("input_ids",)
    assert facts.outputs == ("last_hidden_state",)
    assert facts.operators.get("QAttention", 0) == 0
    assert facts.operators["Concat"] == 1
    assert check_graph(graph.ending_at([3]), "cut").operators["QAttention"] == 3


def node(kind, inputs, outputs, more=b""):
    names = b"".join(layers._bytes_field(1, name.encode()) for name in inputs)
    made = b"".join(layers._bytes_field(2, name.encode()) for name in outputs)
    return layers._bytes_field(1, names + made + layers._bytes_field(4, kind.encode()) + more)


def onnx(*nodes, outputs=("last_hidden_state",)):
    ends = b"".join(layers._bytes_field(12, layers._bytes_field(1, name.encode())) for name in outputs)
    return layers._bytes_field(7, b"".join(nodes) + ends)


def fused(*more):
    return (
        node("Gather", ["table", "input_ids"], ["embedded"]),
        node("DynamicQuantizeLinear", ["embedded"], ["rounded", "scale", "zero"]),
        node("QAttention", ["rounded", "weight"], ["attended"]),
        node("Add", ["attended", "embedded"], ["first"]),
        node("Attention", ["first", "weight"], ["again"]),
        node("Add", ["again", "first"], ["last_hidden_state"]),
        *more,
    )


def test_in_other_graphs_the_states_are_what_goes_into_attention():
    found = LayerGraph(onnx(*fused()), "g")
    assert found.states == ("embedded", "first", "last_hidden_state")
    assert [found.nodes_before(layer) for layer in range(3)] == [1, 4, 6]
    both = LayerGraph(onnx(*fused(), outputs=("pooled", "token_embeddings")), "g")
    assert both.states[-1] == "token_embeddings"


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (onnx(node("MatMul", ["a", "b"], ["last_hidden_state"])), "cannot be told apart"),
        (onnx(*fused(node("Attention", ["first"], ["third"]))), "cannot be told apart"),
        (onnx(*fused(), outputs=("one", "other")), "none is known to be token vectors"),
        (
            onnx(node("If", ["a"], ["b"], layers._bytes_field(5, layers._bytes_field(6, b"")))),
            "branches",
        ),
    ],
)
def test_what_has_no_clear_layers_is_refused_with_the_reason(content, reason):
    with pytest.raises(ModelError, match=reason):
        LayerGraph(content, "g")


def test_what_is_no_graph_is_refused():
    with pytest.raises(DamagedModelError, match="0 graphs"):
        LayerGraph(layers._bytes_field(1, b"x"), "g")


def test_models_without_layers_say_so(model):
    static = find_model("static", ())
    with pytest.raises(ModelError, match="no graph with layers"):
        read_layers(static, static.manifest.default_variant)
    joined = replace(model, manifest=replace(model.manifest, pooling="mean+cls"))
    with pytest.raises(ModelError, match="fits the last layer alone"):
        read_layers(joined, model.manifest.default_variant)
