"""What is refused before a library that runs models sees it."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import struct
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from embedcli.encode import trust
from embedcli.encode.catalog import EncoderSettings, Model, open_encoder, shipped_folder
from embedcli.encode.manifest import FileEntry, Manifest, Variant, format_manifest, read_manifest
from embedcli.encode.trust import MAX_DEPTH, check_graph
from embedcli.encode.trust_folder import check_folder, check_safetensors
from embedcli.encode.trust_tensor import MAX_ELEMENTS
from embedcli.errors import DamagedModelError, ModelError
from tests.models_maker import (
    FLOAT,
    INT64,
    encoder_graph,
    field,
    graph_bytes,
    node,
    tensor,
    value_info,
    wordpiece,
    write_source,
)

TABLE = np.arange(12, dtype=np.float32).reshape(4, 3)
IDS = value_info("input_ids", INT64, ["texts", "tokens"])
HIDDEN = value_info("last_hidden_state", FLOAT, ["texts", "tokens", 3])
GATHER = node("Gather", ["table", "input_ids"], ["last_hidden_state"])


def graph_with(*parts: bytes, table: bytes | None = None) -> bytes:
    """Return a graph that works, and more fields within it."""
    whole = graph_bytes([GATHER], [tensor("table", TABLE) if table is None else table], [IDS], [HIDDEN])
    return whole + b"".join(parts)


def graph_of(*nodes: bytes) -> bytes:
    return graph_bytes([GATHER, *nodes], [tensor("table", TABLE)], [IDS], [HIDDEN])


def signed(value: int) -> int:
    return value % (1 << 64)


def test_a_plain_graph_is_described() -> None:
    facts = check_graph(encoder_graph(TABLE), "m.onnx")
    assert facts.inputs == ("input_ids", "attention_mask")
    assert facts.outputs == ("last_hidden_state",)
    assert facts.operators == {"Gather": 1}
    assert facts.opset == 17
    assert facts.initializer_bytes == {"float32": 48}


def test_the_shipped_graphs_are_trusted_and_counted() -> None:
    for path in sorted(shipped_folder().glob("*/*.onnx")):
        content = path.read_bytes()
        facts = check_graph(content, path.name)
        assert facts.outputs == ("last_hidden_state",)
        assert 0.9 * len(content) < sum(facts.initializer_bytes.values()) < len(content)


@pytest.mark.parametrize(
    "location",
    ["../secret", "/etc/passwd", "weights.data", "model.onnx"],
    ids=["up", "absolute", "beside", "self"],
)
@pytest.mark.parametrize("part", ["entry", "flag", "both"])
def test_external_data_is_refused_wherever_it_lies(location: str, part: str) -> None:
    entry = field(13, field(1, "location") + field(2, location))
    flag = field(14, 1)
    bare = field(1, 4) + field(1, 3) + field(2, FLOAT) + field(8, "table")
    table = bare + {"entry": entry, "flag": flag, "both": entry + flag}[part]
    with pytest.raises(ModelError, match="external data"):
        check_graph(graph_with(table=table), "m.onnx")


def test_external_data_is_refused_in_attributes_and_branches_too() -> None:
    outside = field(1, 2) + field(2, FLOAT) + field(13, field(1, "location") + field(2, "x"))
    constant = field(2, "c") + field(4, "Constant") + field(5, field(1, "value") + field(5, outside))
    several = field(2, "c") + field(4, "Constant") + field(5, field(1, "values") + field(10, outside))
    sparse = field(2, "c") + field(4, "Constant") + field(5, field(1, "v") + field(22, field(1, outside)))
    branch = field(4, "If") + field(5, field(1, "then_branch") + field(6, field(1, constant)))
    loops = field(4, "Loop") + field(5, field(1, "body") + field(11, field(5, outside)))
    for each in (constant, several, sparse, branch, loops):
        with pytest.raises(ModelError, match="external data"):
            check_graph(graph_of(each), "m.onnx")


def test_a_data_location_of_zero_is_the_usual_one() -> None:
    check_graph(graph_with(table=tensor("table", TABLE) + field(14, 0)), "m.onnx")


@pytest.mark.parametrize(
    "domain", ["evil.ops", "ai.onnx.preview.training", "com.microsoft.experimental", "COM.MICROSOFT"]
)
def test_operators_of_other_domains_are_refused(domain: str) -> None:
    with pytest.raises(ModelError, match=f"'Gather' of '{domain}'"):
        check_graph(graph_of(GATHER + field(7, domain)), "m.onnx")


@pytest.mark.parametrize("domain", ["", "ai.onnx", "ai.onnx.ml", "com.microsoft", "com.microsoft.nchwc"])
def test_operators_of_the_library_are_not(domain: str) -> None:
    assert check_graph(graph_of(GATHER + field(7, domain)), "m.onnx").operators == {"Gather": 2}


@pytest.mark.parametrize("kind", ["EPContext", "PythonOp"])
def test_operators_that_load_something_are_refused(kind: str) -> None:
    with pytest.raises(ModelError, match=f"operator '{kind}' is refused"):
        check_graph(graph_of(field(4, kind) + field(7, "com.microsoft")), "m.onnx")


def test_the_last_domain_of_a_node_counts_as_in_the_format() -> None:
    check_graph(graph_of(GATHER + field(7, "evil") + field(7, "")), "m.onnx")
    with pytest.raises(ModelError, match="evil"):
        check_graph(graph_of(GATHER + field(7, "") + field(7, "evil")), "m.onnx")


def function(name: str, *calls: str, domain: str = "") -> bytes:
    return field(
        25, field(1, name) + field(10, domain) + b"".join(field(7, field(4, call)) for call in calls)
    )


def test_functions_that_end_are_counted_in() -> None:
    facts = check_graph(graph_with(function("f", "g", "g", "Add"), function("g", "Mul")), "m.onnx")
    assert facts.operators == {"Gather": 1, "g": 2, "Add": 1, "Mul": 1}


@pytest.mark.parametrize(
    "functions",
    [
        [function("f", "f")],
        [function("f", "g"), function("g", "f")],
        [function("a", "Add"), function("f", "a", "g"), function("g", "h"), function("h", "a", "f")],
    ],
    ids=["itself", "each other", "in a circle"],
)
def test_functions_that_call_themselves_are_refused(functions: list[bytes]) -> None:
    with pytest.raises(ModelError, match="calls itself"):
        check_graph(graph_with(*functions), "m.onnx")


def test_functions_of_other_domains_are_refused() -> None:
    with pytest.raises(ModelError, match="brings a function 'f' of 'evil'"):
        check_graph(graph_with(function("f", "Add", domain="evil")), "m.onnx")
    with pytest.raises(DamagedModelError, match="defined twice"):
        check_graph(graph_with(function("f", "Add"), function("f", "Mul", domain="ai.onnx")), "m.onnx")


def test_functions_that_double_each_other_are_refused_before_they_grow() -> None:
    bombs = [function(f"f{number}", f"f{number + 1}", f"f{number + 1}") for number in range(200)]
    call = graph_bytes([GATHER, node("f0", [], ["x"])], [tensor("table", TABLE)], [IDS], [HIDDEN])
    with pytest.raises(ModelError, match="nodes once its functions are put in place"):
        check_graph(call + b"".join(bombs), "m.onnx")
    # Not called, they cost nothing.
    check_graph(graph_with(*bombs), "m.onnx")


@pytest.mark.parametrize(
    ("dims", "reason"),
    [
        ([signed(-1), 3], "a size of -1"),
        ([1 << 62, 1 << 62], "absurd"),
        ([MAX_ELEMENTS + 1], "absurd"),
        ([1] * 65, "absurd"),
        ([5, 3], "its shape asks for 60"),
        ([4, 2], "its shape asks for 32"),
    ],
)
def test_absurd_shapes_are_refused(dims: list[int], reason: str) -> None:
    rest = field(2, FLOAT) + field(8, "table") + field(9, TABLE.tobytes())
    with pytest.raises(DamagedModelError, match=reason):
        check_graph(graph_with(table=b"".join(field(1, size) for size in dims) + rest), "m.onnx")
    packed = field(1, b"".join(field(1, size)[1:] for size in dims))
    with pytest.raises(DamagedModelError, match=reason):
        check_graph(graph_with(table=packed + rest), "m.onnx")


def test_shapes_of_values_are_checked_and_open_ones_pass() -> None:
    def with_output(*sizes: int) -> bytes:
        return graph_bytes([GATHER], [], [IDS], [value_info("last_hidden_state", FLOAT, sizes)])

    check_graph(with_output(signed(-1), 7, 3), "m.onnx")
    with pytest.raises(DamagedModelError, match="a size of -2"):
        check_graph(with_output(signed(-2), 7, 3), "m.onnx")
    with pytest.raises(DamagedModelError, match="absurd"):
        check_graph(with_output(1 << 30, 1 << 30), "m.onnx")


def packed_varints(*values: int) -> bytes:
    return b"".join(field(1, value)[1:] for value in values)


@pytest.mark.parametrize(
    ("dtype", "data", "elements"),
    [
        (1, field(4, struct.pack("<3f", 1, 2, 3)), 3),
        (1, b"".join(bytes([4 << 3 | 5]) + struct.pack("<f", 1) for _ in range(3)), 3),
        (14, field(4, struct.pack("<4f", 1, 2, 3, 4)), 2),
        (11, field(10, struct.pack("<2d", 1, 2)), 2),
        (6, field(5, packed_varints(1, signed(-1), 300)), 3),
        (6, field(5, 7) + field(5, 8), 2),
        (10, field(5, packed_varints(0x3C00, 0)), 2),
        (22, field(5, packed_varints(0x21, 0x03)), 3),
        (7, field(7, packed_varints(1, 1 << 40)), 2),
        (13, field(11, packed_varints(1, 2, 3)), 3),
        (8, field(6, "a") + field(6, "long text"), 2),
        (22, field(9, b"\x21\x03"), 3),
        (9, field(9, b"\0\1\1"), 3),
        (16, field(9, b"\0\0\0\0"), 2),
    ],
)
def test_every_way_to_write_numbers_is_counted(dtype: int, data: bytes, elements: int) -> None:
    def written(count: int) -> bytes:
        return graph_with(table=field(1, count) + field(2, dtype) + field(8, "t") + data)

    check_graph(written(elements), "m.onnx")
    with pytest.raises(DamagedModelError, match="its shape asks for"):
        check_graph(written(elements + 2), "m.onnx")


def test_tensors_that_say_things_twice_or_wrongly_are_refused() -> None:
    whole = tensor("table", TABLE)
    for wrong, reason in (
        (whole + field(4, TABLE.tobytes()), "holds its data twice"),
        (field(1, 1) + field(2, 99) + field(9, b"\0"), "unknown type 99"),
        (whole + field(3, field(1, 0) + field(2, 4)), "segments"),
    ):
        with pytest.raises(ModelError, match=reason):
            check_graph(graph_with(table=wrong), "m.onnx")
    attribute = field(5, field(1, "value") + field(5, whole) + field(5, whole))
    with pytest.raises(DamagedModelError, match="same value twice"):
        check_graph(graph_of(field(4, "Constant") + attribute), "m.onnx")


def test_files_that_are_no_graph_are_refused() -> None:
    whole = encoder_graph(TABLE)
    for wrong in (
        b"",
        b"hello world, this is text",
        b"\x80\x04pickle",
        whole + whole,
        b"\0" * 100,
        field(7, b"\x3b"),
    ):
        with pytest.raises(DamagedModelError, match="not an ONNX graph"):
            check_graph(wrong, "m.onnx")
    with pytest.raises(ModelError, match="training"):
        check_graph(whole + field(20, b""), "m.onnx")
    with pytest.raises(ModelError, match="own format"):
        check_graph(b"\x20\0\0\0ORTM" + b"\0" * 50, "m.onnx")


@given(st.data())
def test_a_cut_graph_is_refused_at_every_length(data: st.DataObject) -> None:
    whole = encoder_graph(TABLE)
    cut = whole[: data.draw(st.integers(0, len(whole) - 1))]
    # The operator set is the last field: without it what is left is a whole graph.
    opset = field(8, field(1, "") + field(2, 17))
    if cut == whole[: -len(opset)]:
        assert check_graph(cut, "m.onnx").opset == 0
        return
    with pytest.raises(DamagedModelError):
        check_graph(cut, "m.onnx")


@given(st.integers(0, 10_000), st.integers(1, 255))
def test_a_changed_byte_never_breaks_the_check_itself(place: int, change: int) -> None:
    whole = bytearray(encoder_graph(TABLE, positions=TABLE, pooled="mean"))
    whole[place % len(whole)] ^= change
    # Anything but a refusal in our own words fails.
    with contextlib.suppress(ModelError):
        check_graph(bytes(whole), "m.onnx")


@given(st.binary(max_size=200))
def test_any_bytes_are_a_graph_or_refused(content: bytes) -> None:
    with pytest.raises(ModelError):
        check_graph(content, "m.onnx")


def test_deep_nesting_and_endless_parts_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    inner = field(1, field(4, "Add"))
    for _ in range(MAX_DEPTH):
        inner = field(1, field(4, "If") + field(5, field(1, "then_branch") + field(6, inner)))
    check_graph(field(7, inner), "m.onnx")
    deeper = field(1, field(4, "If") + field(5, field(1, "then_branch") + field(6, inner)))
    with pytest.raises(DamagedModelError, match="nested too deeply"):
        check_graph(field(7, deeper), "m.onnx")
    for _ in range(3000):
        inner = field(1, field(4, "If") + field(5, field(1, "then_branch") + field(6, inner)))
    with pytest.raises(DamagedModelError, match="nested too deeply"):
        check_graph(field(7, inner), "m.onnx")
    # As many as the real bound takes seconds to reach; where it stands is shown as well with fewer.
    monkeypatch.setattr(trust, "_MAX_PARTS", 20_000)
    with pytest.raises(DamagedModelError, match="0 graphs in it"):
        check_graph(field(9, 1) * 20_000, "m.onnx")
    for endless in (field(9, 1) * 20_001, graph_with(table=field(1, b"\x01" * 20_001))):
        with pytest.raises(DamagedModelError, match="too many parts"):
            check_graph(endless, "m.onnx")


# ---- folders


def test_a_folder_as_it_should_be_passes(tmp_path: Path) -> None:
    write_source(tmp_path / "m")
    check_folder(tmp_path / "m")


def test_links_are_refused(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("{}")
    for make in (os.link, os.symlink):
        folder = tmp_path / make.__name__
        write_source(folder)
        make(secret, folder / "extra.json")
        with pytest.raises(ModelError, match=r"extra\.json: a link"):
            check_folder(folder)
    folder = tmp_path / "tree"
    write_source(folder)
    (folder / "deep").symlink_to(tmp_path)
    with pytest.raises(ModelError, match="deep: a link"):
        check_folder(folder)
    os.mkfifo(tmp_path / "pipe")
    folder = tmp_path / "fifo"
    write_source(folder)
    os.mkfifo(folder / "model.safetensors")
    with pytest.raises(ModelError, match="not a plain file"):
        check_folder(folder)


@pytest.mark.parametrize("name", ["pytorch_model.bin", "model.pt", "model.PKL", "tf_model.h5", "model.ckpt"])
def test_pickles_alone_are_refused_and_beside_other_weights_ignored(tmp_path: Path, name: str) -> None:
    (tmp_path / "m").mkdir()
    (tmp_path / "m" / name).write_bytes(b"\x80\x04.")
    (tmp_path / "m" / "config.json").write_text("{}")
    with pytest.raises(ModelError, match="can run code"):
        check_folder(tmp_path / "m")
    write_source(tmp_path / "m")
    check_folder(tmp_path / "m")


@pytest.mark.parametrize("name", ["model.safetensors", "model.onnx", "config.json"])
@pytest.mark.parametrize(
    "content",
    [b"\x80\x02}q\x00.", b"\x80\x04\x95", b"\x89HDF\r\n\x1a\n", None],
    ids=["old", "new", "hdf5", "zip"],
)
def test_pickles_under_another_name_are_refused(tmp_path: Path, name: str, content: bytes | None) -> None:
    path = tmp_path / name
    if content is None:
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("archive/data.pkl", b"\x80\x02.")
    else:
        path.write_bytes(content + bytes(20))
    with pytest.raises(ModelError, match="but it is"):
        check_folder(tmp_path)


def safetensors(header: object, data: bytes) -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data


def entry(dtype: str, shape: list[int], start: int, stop: int) -> dict[str, object]:
    return {"dtype": dtype, "shape": shape, "data_offsets": [start, stop]}


GOOD = {"a": entry("F32", [2, 2], 0, 16), "b": entry("I8", [3], 16, 19), "__metadata__": {"format": "pt"}}


def test_safetensors_files_of_the_library_pass(tmp_path: Path) -> None:
    from safetensors.numpy import save_file

    path = tmp_path / "x.safetensors"
    save_file(
        {"a": np.ones((3, 5), np.float16), "b": np.zeros((0, 4), np.float32), "c": np.int64(3)[None]}, path
    )
    check_safetensors(path)
    path.write_bytes(safetensors(GOOD, bytes(19)))
    check_safetensors(path)


@pytest.mark.parametrize(
    ("header", "data"),
    [
        (GOOD, bytes(18)),
        (GOOD, bytes(20)),
        ({"a": entry("F32", [2, 2], 0, 16), "b": entry("F32", [2, 2], 8, 24)}, bytes(24)),
        ({"a": entry("F32", [2, 2], 0, 16), "b": entry("I8", [3], 17, 20)}, bytes(20)),
        ({"a": entry("F32", [2, 3], 0, 16)}, bytes(16)),
        ({"a": entry("F32", [-2, -2], 0, 16)}, bytes(16)),
        ({"a": entry("F32", [1 << 62, 1 << 62], 0, 16)}, bytes(16)),
        ({"a": entry("Q99", [4], 0, 4)}, bytes(4)),
        ({"a": {"dtype": "F32"}}, bytes(4)),
        ({"a": 5}, b""),
        ([], b""),
        (b"{", b""),
        (b'{"a": {"dtype": "I8", "shape": [1], "data_offsets": [0, 1]}, "a": {}}', b"x"),
        (b"[" * 100_000, b""),
    ],
)  # fmt: skip
def test_safetensors_files_that_contradict_themselves_are_refused(
    tmp_path: Path, header: object, data: bytes
) -> None:
    path = tmp_path / "x.safetensors"
    path.write_bytes(safetensors(header, data))
    with pytest.raises(DamagedModelError):
        check_safetensors(path)


def test_cut_safetensors_files_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.safetensors"
    whole = safetensors(GOOD, bytes(19))
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        with pytest.raises(DamagedModelError):
            check_safetensors(path)
    path.write_bytes(struct.pack("<Q", 1 << 63) + bytes(100))
    with pytest.raises(DamagedModelError):
        check_safetensors(path)


# ---- the encoder


def model_of(folder: Path, graph: bytes, *, dim: int = 3) -> Model:
    """Return a model folder with this graph and a hash that fits it."""
    folder.mkdir()
    (folder / "model.onnx").write_bytes(graph)
    wordpiece().save(str(folder / "tokenizer.json"))
    files = {
        name: FileEntry(
            hashlib.sha256((folder / name).read_bytes()).hexdigest(), (folder / name).stat().st_size
        )
        for name in ("model.onnx", "tokenizer.json")
    }
    manifest = Manifest(
        name="m",
        kind="onnx",
        description="",
        source="",
        revision="1",
        weights_sha256="",
        licence="Apache-2.0",
        languages=(),
        not_for="",
        dim=dim,
        dims=(),
        max_tokens=32,
        pooling="mean",
        normalize=False,
        tokenizer="tokenizer.json",
        default_variant="fp32",
        prompts={},
        variants={"fp32": Variant("model.onnx", "cpu", one_text_per_call=True, recipe="a table")},
        files=files,
    )
    (folder / "model.toml").write_text(format_manifest(manifest))
    return Model(folder, read_manifest(folder))


def encode(model: Model, cache: Path | None = None) -> np.ndarray:
    encoder = open_encoder(model, EncoderSettings(device="cpu", jobs=1, cache_folder=cache))
    try:
        return encoder.encode(["the dog runs"]).vectors
    finally:
        encoder.close()


def table_for(tokens: int, value: float) -> np.ndarray:
    return np.full((tokens, 3), value, dtype=np.float32)


def test_a_graph_with_external_data_is_refused_before_it_is_loaded(tmp_path: Path) -> None:
    """The hash in the manifest fits: whoever made the folder made the manifest too."""
    rows = wordpiece().get_vocab_size()
    np.full((rows, 3), 42.0, dtype=np.float32).tofile(tmp_path / "secret")
    outside = (
        *(field(1, size) for size in (rows, 3)),
        field(2, FLOAT) + field(8, "table"),
        field(13, field(1, "location") + field(2, "../secret")) + field(14, 1),
    )
    model = model_of(tmp_path / "m", graph_with(table=b"".join(outside)))
    for cache in (None, tmp_path / "cache"):
        with pytest.raises(ModelError, match="external data"):
            encode(model, cache)
    assert not list(tmp_path.glob("cache/*"))


def test_a_graph_with_other_inputs_is_refused(tmp_path: Path) -> None:
    graph = encoder_graph(table_for(400, 1.0), inputs=("input_ids", "pixel_values"))
    with pytest.raises(ModelError, match="pixel_values"):
        encode(model_of(tmp_path / "m", graph))


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_numbers_that_are_not_finite_are_refused(tmp_path: Path, value: float) -> None:
    rows = wordpiece().get_vocab_size()
    graph = encoder_graph(table_for(rows, value), inputs=("input_ids",))
    with pytest.raises(ModelError, match="not finite"):
        encode(model_of(tmp_path / "m", graph))
    good = model_of(tmp_path / "good", encoder_graph(table_for(rows, 1.0), inputs=("input_ids",)))
    assert np.array_equal(encode(good), np.ones((1, 3), np.float32))


def test_what_was_optimized_from_a_checked_graph_is_not_checked_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = wordpiece().get_vocab_size()
    model = model_of(tmp_path / "m", encoder_graph(table_for(rows, 1.0), inputs=("input_ids",)))
    encode(model, tmp_path / "cache")
    checked: list[str] = []
    monkeypatch.setattr("embedcli.encode.trust.check_graph", lambda _content, name: checked.append(name))
    encode(model, tmp_path / "cache")
    assert checked == []
    encode(model, None)
    assert len(checked) == 1
