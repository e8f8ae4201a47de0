"""What a source means, which of its files are needed, and which file of a package is chosen."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from embedcli.errors import MissingPathError, ModelError, UsageError
from embedcli.fetch.files import RemoteFile, check_listing, needed_files, onnx_files, settings_files
from embedcli.fetch.pypi import find_package
from embedcli.fetch.source import check_name, parse_source
from tests.hub_server import HubServer, Trouble

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.mark.parametrize(
    ("text", "kind", "where", "version", "inner", "name"),
    [
        ("hf:owner/name", "hub", "owner/name", None, "", "name"),
        ("hf:owner/name@v1.0", "hub", "owner/name", "v1.0", "", "name"),
        ("hf:bert-base-uncased", "hub", "bert-base-uncased", None, "", "bert-base-uncased"),
        ("hf:o/a+b c@refs/pr/1", "hub", "o/a+b c", "refs/pr/1", "", "a-b-c"),
        ("pypi:some_pkg", "package", "some_pkg", None, "", "some_pkg"),
        ("pypi:a.b==1.0.post1", "package", "a.b", "1.0.post1", "", "a.b"),
        ("pypi:a==1/data/tiny.zip", "package", "a", "1", "data/tiny.zip", "tiny"),
        ("pypi:a/data/tiny/", "package", "a", None, "data/tiny", "tiny"),
        (
            "https://x.org/a/tiny%20one.tar.gz?t=1",
            "url",
            "https://x.org/a/tiny%20one.tar.gz?t=1",
            None,
            "",
            "tiny-one",
        ),
    ],
)
def test_sources(text: str, kind: str, where: str, version: str | None, inner: str, name: str) -> None:
    source = parse_source(text)
    assert (source.kind, source.where, source.version, source.inner) == (kind, where, version, inner)
    assert source.default_name == name
    check_name(source.default_name)


def test_paths(tmp_path: Path) -> None:
    (tmp_path / "my.model").mkdir()
    (tmp_path / "tiny.tar.gz").write_bytes(b"")
    (tmp_path / "glove.txt").write_bytes(b"")
    assert parse_source(str(tmp_path / "my.model")).kind == "folder"
    assert parse_source(f"{tmp_path}/my.model/").default_name == "my.model"
    assert parse_source(str(tmp_path / "tiny.tar.gz")).default_name == "tiny"
    assert parse_source(str(tmp_path / "glove.txt")).kind == "file"
    with pytest.raises(MissingPathError) as error:
        parse_source("owner/name")
    assert "hf:OWNER/NAME" in error.value.hint


@pytest.mark.parametrize("text", ["pypi:", "pypi:-x", "pypi:a==", "pypi:a/../b", "pypi:a b"])
def test_what_is_no_source(text: str) -> None:
    with pytest.raises(UsageError):
        parse_source(text)


@pytest.mark.parametrize("name", ["", ".", "..", ".hidden", "a/b", "a b", "a+b", "-x", "x" * 101, "ü", "a\n"])
def test_what_is_no_name(name: str) -> None:
    with pytest.raises(UsageError):
        check_name(name)


def listed(*paths: str, size: int = 10) -> list[RemoteFile]:
    return [RemoteFile(path, size, None, "0" * 40) for path in paths]


REPOSITORY = listed(
    "modules.json", "config.json", "tokenizer.json", "vocab.txt", "README.md", "LICENSE", "model.safetensors",
    "pytorch_model.bin", "tf_model.h5", "modeling.py", "license.py", "onnx/model.onnx", "onnx/model_quantized.onnx",
    "onnx/big.onnx", "onnx/big.onnx_data", "1_Pooling/config.json", "2_Dense/config.json", "2_Dense/model.safetensors",
    "2_Dense/pytorch_model.bin", "openvino/model.xml", "openvino/config.json", "../up.json", ".gitattributes",
)  # fmt: skip


def paths(files: list[RemoteFile]) -> list[str]:
    return [file.path for file in files]


def test_only_what_a_model_needs_is_fetched() -> None:
    modules = ("1_Pooling", "2_Dense")
    settings = {"modules.json", "config.json", "tokenizer.json", "vocab.txt", "README.md", "LICENSE",
                "1_Pooling/config.json", "2_Dense/config.json"}  # fmt: skip
    with_graph = paths(needed_files(REPOSITORY, modules, graph="onnx/model.onnx"))
    assert set(with_graph) == settings | {"onnx/model.onnx", "2_Dense/model.safetensors"}
    with_weights = paths(needed_files(REPOSITORY, modules, graph=None))
    assert set(with_weights) == settings | {"model.safetensors", "2_Dense/model.safetensors"}
    own = listed(
        "model.toml", "model.onnx", "tokenizer.json", "LICENSE", "other.json", "../../LICENSE", "/etc/NOTICE"
    )
    named = needed_files(own, (), graph=None, manifest_names=("model.onnx", "tokenizer.json"))
    assert paths(named) == ["model.toml", "model.onnx", "tokenizer.json", "LICENSE"]


def test_settings_are_small_and_no_tokenizers() -> None:
    assert set(paths(settings_files(REPOSITORY))) == {
        "modules.json", "config.json", "1_Pooling/config.json", "2_Dense/config.json", "openvino/config.json",
    }  # fmt: skip
    assert settings_files(listed("config.json", size=3_000_000)) == []


def test_graphs_are_chosen_plain_and_whole() -> None:
    assert onnx_files(paths(REPOSITORY)) == ["onnx/model.onnx", "onnx/model_quantized.onnx"]
    assert onnx_files(["model.onnx", "model.onnx.data"]) == []
    assert onnx_files(["onnx/model_fp16.onnx", "model.onnx"]) == ["model.onnx", "onnx/model_fp16.onnx"]


def test_listings_of_no_model_are_refused() -> None:
    check_listing("x", REPOSITORY)
    for files in (listed("a", "a"), [RemoteFile("a", -1, None, "0")], [RemoteFile("a", 1, None, None)]):
        with pytest.raises(ModelError):
            check_listing("x", files)


@pytest.fixture(params=["json", "html"])
def server(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[HubServer]:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    with HubServer() as running:
        running.json_index = request.param == "json"
        yield running


def test_the_latest_final_version_is_chosen(server: HubServer) -> None:
    names = ["a_b-1.9-py3-none-any.whl", "a_b-1.10-py3-none-any.whl", "a_b-2.0rc1-py3-none-any.whl",
             "a_b-2.0.dev3.tar.gz", "a_b-1.11-py3-none-any.whl", "other-9.0-py3-none-any.whl", "a_b-9.exe"]  # fmt: skip
    server.packages["a-b"] = {name: name.encode() for name in names}
    server.yanked.add("a_b-1.11-py3-none-any.whl")
    found = find_package("A.b", None, server.index_url)
    assert (found.version, found.name) == ("1.10", "a_b-1.10-py3-none-any.whl")
    assert found.remote.url == f"{server.url}/packages/a-b/{found.name}"
    assert find_package("a-b", "1.11", server.index_url).version == "1.11"
    assert find_package("a-b", "2.0RC1", server.index_url).name == "a_b-2.0rc1-py3-none-any.whl"
    assert find_package("a-b", "1.9.0", server.index_url).name == "a_b-1.9-py3-none-any.whl"
    with pytest.raises(ModelError, match="no wheel or archive of version 3"):
        find_package("a-b", "3", server.index_url)
    with pytest.raises(ModelError, match="nothing of that name"):
        find_package("missing", None, server.index_url)


def test_versions_are_ordered_as_numbers(server: HubServer) -> None:
    for low, high in (("1.9", "1.10"), ("1.0", "1.0.post1"), ("2024.1", "1!0.1"), ("1.0.post2", "1.0.1")):
        server.packages["p"] = {f"p-{version}.tar.gz": b"x" for version in (high, low)}
        assert find_package("p", None, server.index_url).version == high


def test_wheels_come_first_and_need_a_hash(server: HubServer) -> None:
    names = ["p-1.tar.gz", "p-1-cp311-cp311-linux_x86_64.whl", "p-1-py3-none-any.whl"]
    server.packages["p"] = dict.fromkeys(names, b"x")
    assert find_package("p", None, server.index_url).name == names[2]
    server.without_hash.add(names[2])
    with pytest.raises(ModelError, match="no SHA-256"):
        find_package("p", None, server.index_url)
    server.packages["q"] = {"q-1.0a1.tar.gz": b"x"}
    with pytest.raises(ModelError, match="no version of it"):
        find_package("q", None, server.index_url)


def test_an_index_with_a_password_gets_it_and_no_other_server(server: HubServer) -> None:
    server.packages["p"] = {"p-1.tar.gz": b"x"}
    index = server.index_url.replace("//", "//user:pass@")
    found = find_package("p", None, index)
    assert server.requests[0].headers["authorization"] == "Basic dXNlcjpwYXNz"
    assert found.remote.headers == {"Authorization": "Basic dXNlcjpwYXNz"}
    assert "user" not in found.remote.url


def test_pages_that_are_no_index_are_refused(server: HubServer) -> None:
    if not server.json_index:
        pytest.skip("any HTML is a page without links")
    server.packages["p"] = {}
    for body in (b"{", b"[]", b'{"files": 1}', b'{"files": [{}]}', b"[" * 100_000):
        server.files["/simple/p/"] = body
        server.trouble["/simple/p"] = Trouble(change=lambda _page, body=body: body)
        with pytest.raises(ModelError, match=r"cannot be read|no version"):
            find_package("p", None, server.index_url)
