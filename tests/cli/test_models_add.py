"""`models add`, `remove`, `lock` and `sync` as real processes, against a hub and an index on this machine."""

from __future__ import annotations

import hashlib
import io
import json
import os
import shutil
import signal
import tarfile
import time
import tomllib
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from embedcli.encode.manifest import read_manifest
from tests.compat.make_index import HERE
from tests.conftest import Finished, Program
from tests.hub_server import COMMIT, HubServer, Repository, Trouble
from tests.models_maker import encoder_graph, write_json, write_modules, write_source

if TYPE_CHECKING:
    from collections.abc import Iterator

TINY = HERE / "models" / "tiny"
LARGE = "onnx/model.onnx"


def read_tree(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


@pytest.fixture
def server() -> Iterator[HubServer]:
    with HubServer() as running:
        running.repositories["owner/tiny"] = Repository(read_tree(TINY))
        yield running


@pytest.fixture
def models(tmp_path: Path) -> Path:
    return tmp_path / "models"


@pytest.fixture
def add(program: Program, server: HubServer, models: Path) -> Program:
    """The program with the hub and the index of this machine, and a models folder of its own."""
    here = {
        "EMBEDCLI_MODELS": str(models),
        "HF_ENDPOINT": server.url,
        "PIP_INDEX_URL": server.index_url,
        "HF_HUB_DOWNLOAD_TIMEOUT": "5",
    }
    return replace(program, environment=program.environment | here)


@pytest.fixture
def source(tmp_path: Path, server: HubServer) -> Path:
    """A folder in the sentence-transformers layout, which the hub has as `owner/st`."""
    folder = tmp_path / "st"
    write_source(folder, hidden=16, prompts={"query": "query: ", "document": "passage: "})
    (folder / "pytorch_model.bin").write_bytes(b"\x80\x04.")
    (folder / "modeling.py").write_text("raise SystemExit('run')")
    (folder / "README.md").write_text("---\nlicense: mit\nlanguage: en\n---\n# tiny\n")
    (folder / "onnx" / "model_other.onnx").write_bytes(bytes(9000))
    server.repositories["owner/st"] = Repository(read_tree(folder), card={"license": "mit", "language": "en"})
    return folder


def visible(models: Path) -> list[str]:
    """Return what a user, and the program, see in the models folder."""
    return (
        sorted(path.name for path in models.glob("*") if not path.name.startswith("."))
        if models.is_dir()
        else []
    )


def failed(done: Finished, models: Path, *words: str, code: int = 2) -> str:
    """Check that a run failed with one line and a hint, and that no model came of it."""
    assert done.code == code, done.err
    assert done.out == b""
    lines = done.err.splitlines()
    assert lines[0].startswith("embedcli: ")
    assert len(lines) <= 2
    assert all(line.startswith("hint: ") for line in lines[1:])
    for word in words:
        assert word in done.err, done.err
    assert visible(models) == []
    return done.err


# ---- folders and archives


def test_a_folder_becomes_a_model_that_works(add: Program, models: Path, tmp_path: Path) -> None:
    folder = tmp_path / "mine"
    write_source(folder, prompts={"query": "query: ", "document": ""})
    done = add("models", "add", folder, "--licence", "MIT").ok()
    assert done.out.decode().startswith("mine: fp32, 16 numbers a vector, MIT")
    assert done.err == ""
    assert visible(models) == ["mine"]
    assert not (models / ".staging").exists()
    assert read_manifest(models / "mine").licence == "MIT"
    vector = json.loads(add("embed", "-m", "mine", "--string", "the dog").ok().out)["vector"]
    assert np.isclose(np.linalg.norm(vector), 1, atol=1e-5)
    add("models", "test", "mine").ok()
    add("models", "verify", "--all").ok()
    assert "mine" in add("models", "list").ok().out.decode()


@pytest.mark.parametrize("ending", [".zip", ".whl", ".tar.gz", ".tgz"])
def test_an_archive_becomes_a_model(add: Program, models: Path, tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"packed{ending}"
    if ending in (".zip", ".whl"):
        with zipfile.ZipFile(path, "w") as archive:
            for name, content in read_tree(TINY).items():
                archive.writestr(f"inner/{name}", content)
    else:
        with tarfile.open(path, "w:gz") as tar:
            tar.add(TINY, "inner")
    report = json.loads(add("models", "add", path, "--name", "t", "--json").ok().out)
    assert report == {
        "name": "t", "folder": str(models / "t"), "source": "local", "revision": "1", "licence": "Apache-2.0",
        "kind": "onnx", "dim": 24, "bytes": 34079,
    }  # fmt: skip
    assert (models / "t" / "model.onnx").read_bytes() == (TINY / "model.onnx").read_bytes()


def test_an_archive_with_a_way_out_is_refused(add: Program, models: Path, tmp_path: Path) -> None:
    path = tmp_path / "evil.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in read_tree(TINY).items():
            archive.writestr(name, content)
        archive.writestr("../../evil", "x")
    failed(add("models", "add", path), models, "not a name below the folder")
    assert not list(tmp_path.rglob("evil"))


def test_a_name_is_taken_once(add: Program, models: Path) -> None:
    add("models", "add", TINY).ok()
    done = add("models", "add", TINY)
    assert (done.code, done.out) == (2, b"")
    assert "there already" in done.err
    before = (models / "tiny").stat().st_ino
    add("models", "add", TINY, "--replace", "-q").ok()
    assert (models / "tiny").stat().st_ino != before
    assert visible(models) == ["tiny"]
    done = add("models", "add", TINY, "--name", "all-MiniLM-L6-v2")
    assert "comes with embedcli" in done.err
    assert add("models", "add", TINY, "--name", "../x").code == 2
    assert visible(models) == ["tiny"]


def test_a_replacement_that_fails_leaves_the_old_model(add: Program, models: Path, tmp_path: Path) -> None:
    add("models", "add", TINY).ok()
    before = read_tree(models)
    bad = tmp_path / "tiny"
    shutil.copytree(TINY, bad)
    (bad / "tokenizer.json").write_text("{}")
    assert "sha256" in add("models", "add", bad, "--replace").err
    assert read_tree(models) == before


def test_a_kill_between_the_two_renames_of_a_replacement_is_mended(add: Program, models: Path) -> None:
    add("models", "add", TINY).ok()
    before = read_tree(models / "tiny")
    (models / ".staging").mkdir()
    (models / "tiny").rename(models / ".staging" / "old-0a1b2c3d-tiny")
    assert "there already" in add("models", "add", TINY).err
    assert read_tree(models / "tiny") == before
    assert not (models / ".staging").exists()


def test_two_at_once_of_one_name(add: Program, models: Path, server: HubServer) -> None:
    server.trouble["/api/models"] = Trouble(times=1, delay=3)
    first = add.start("models", "add", "hf:owner/tiny")
    deadline = time.monotonic() + 20
    while not server.requests and time.monotonic() < deadline:
        time.sleep(0.02)
    second = add("models", "add", TINY)
    assert second.code == 75
    assert "tiny: another run is adding or removing this model" in second.err
    assert add("models", "remove", "tiny").code == 2
    assert first.wait(60) == 0
    assert visible(models) == ["tiny"]


# ---- case 27: what is refused


def test_links_in_a_folder_are_refused(add: Program, models: Path, tmp_path: Path) -> None:
    for number, make in enumerate((os.symlink, os.link)):
        folder = tmp_path / f"m{number}"
        shutil.copytree(TINY, folder)
        (folder / "model.onnx").rename(tmp_path / f"elsewhere{number}")
        make(tmp_path / f"elsewhere{number}", folder / "model.onnx")
        failed(add("models", "add", folder), models, "model.onnx: a link", "cp -RL")


def test_pickles_are_refused(
    add: Program, models: Path, tmp_path: Path, source: Path, server: HubServer
) -> None:
    shutil.rmtree(source / "onnx")
    failed(add("models", "add", source), models, "pytorch_model.bin", "can run code")
    server.repositories["owner/st"].files = read_tree(source)
    failed(add("models", "add", "hf:owner/st"), models, "pytorch_model.bin", "can run code")
    assert not any("pytorch_model.bin" in path for path in server.paths())
    (source / "pytorch_model.bin").rename(source / "model.safetensors")
    failed(add("models", "add", source), models, "but it is a Python pickle")


def test_a_dense_layer_that_is_a_pickle_is_refused_before_the_fetch(
    add: Program, models: Path, server: HubServer, source: Path
) -> None:
    write_modules(source, ["Transformer", "Pooling", "Dense"])
    files = server.repositories["owner/st"].files
    files["modules.json"] = (source / "modules.json").read_bytes()
    failed(add("models", "add", "hf:owner/st"), models, "no weights as safetensors or ONNX in 2_Dense/")
    files["2_Dense/pytorch_model.bin"] = b"\x80\x04."
    failed(add("models", "add", "hf:owner/st"), models, "2_Dense/pytorch_model.bin", "can run code")
    assert not any("/cdn/" in path for path in server.paths())


def test_a_pickle_under_another_name_is_refused_from_the_hub(
    add: Program, models: Path, server: HubServer, source: Path
) -> None:
    server.repositories["owner/st"].files["tokenizer.json"] = b"\x80\x04\x95" + bytes(9000)
    failed(add("models", "add", "hf:owner/st"), models, "its name says .json, but it is a Python pickle")


@pytest.mark.parametrize("place", ["../secret.data", "/etc/passwd", "weights.data"])
def test_external_data_is_refused(add: Program, models: Path, source: Path, place: str) -> None:
    from tests.models_maker import FLOAT, INT64, field, graph_bytes, node, value_info

    table = field(1, 4) + field(1, 16) + field(2, FLOAT) + field(8, "table")
    table += field(13, field(1, "location") + field(2, place)) + field(14, 1)
    graph = graph_bytes(
        [node("Gather", ["table", "input_ids"], ["last_hidden_state"])],
        [table],
        [value_info("input_ids", INT64, ["texts", "tokens"])],
        [value_info("last_hidden_state", FLOAT, ["texts", "tokens", 16])],
    )
    (source / LARGE).write_bytes(graph)
    (source / "weights.data").write_bytes(bytes(256))
    failed(add("models", "add", source), models, "external data")


def test_a_graph_that_is_cut_or_gives_nonsense_is_refused(add: Program, models: Path, source: Path) -> None:
    good = (source / LARGE).read_bytes()
    (source / LARGE).write_bytes(good[: len(good) // 2])
    failed(add("models", "add", source), models, "truncated")
    write_source(source, hidden=16)
    rows = np.full((source_rows(source), 16), np.nan, dtype=np.float32)
    (source / LARGE).write_bytes(encoder_graph(rows))
    failed(add("models", "add", source), models, "not finite")


def source_rows(source: Path) -> int:
    return int(json.loads((source / "config.json").read_text())["vocab_size"])


def test_a_wrong_pooling_file_is_refused(add: Program, models: Path, source: Path) -> None:
    write_json(source / "1_Pooling" / "config.json", {"pooling_mode_attention": True})
    failed(add("models", "add", source), models, "pooling", "attention")
    write_json(
        source / "1_Pooling" / "config.json",
        {"pooling_mode_cls_token": True, "pooling_mode_mean_tokens": False},
    )
    add("models", "add", source).ok()
    assert read_manifest(models / "st").pooling == "cls"


# ---- the hub


def test_a_repository_becomes_a_model(add: Program, models: Path, server: HubServer, source: Path) -> None:
    add("models", "add", "hf:owner/st").ok()
    manifest = read_manifest(models / "st")
    assert (manifest.source, manifest.revision) == ("owner/st", COMMIT)
    assert (manifest.licence, manifest.languages) == ("MIT", ("en",))
    assert manifest.prompts["query"] == "query: "
    assert not (models / ".staging").exists()
    fetched = [path for path in server.paths() if "/resolve/" in path or "/cdn/" in path]
    for never in (".bin", ".py", "model_other"):
        assert not any(never in path for path in fetched)
    assert all(f"/resolve/{COMMIT}/" in path for path in fetched if "/resolve/" in path)
    add("models", "test", "st").ok()


def test_a_folder_with_a_manifest_comes_over_the_hub(add: Program, models: Path, server: HubServer) -> None:
    add("models", "add", "hf:owner/tiny@v1", "--name", "t").ok()
    assert (models / "t" / "model.onnx").read_bytes() == (TINY / "model.onnx").read_bytes()
    assert read_manifest(models / "t").name == "t"


def test_the_library_of_the_hub_understands_this_server(
    server: HubServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server is no likeness of our own making: the hub's own client fetches from it."""
    hub = pytest.importorskip("huggingface_hub")
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HF_HUB_DISABLE_TELEMETRY", "1")
    path = hub.hf_hub_download(
        "owner/tiny", "model.onnx", endpoint=server.url, local_dir=tmp_path / "x", cache_dir=tmp_path / "c"
    )
    assert Path(path).read_bytes() == (TINY / "model.onnx").read_bytes()
    assert [request.method for request in server.requests][:1] == ["HEAD"]


def test_a_cut_connection_goes_on_where_it_was(add: Program, models: Path, server: HubServer) -> None:
    server.trouble["/cdn/"] = Trouble(times=2, cut_after=10_000)
    add("models", "add", "hf:owner/tiny").ok()
    assert server.ranges("/cdn/") == ["bytes=10000-", "bytes=20000-"]
    assert (models / "tiny" / "model.onnx").read_bytes() == (TINY / "model.onnx").read_bytes()


def test_a_stopped_run_is_gone_on_with(add: Program, models: Path, server: HubServer) -> None:
    """Case 28: cut for good, then stopped by a signal; nothing is used before all of it is there."""
    server.trouble["/cdn/"] = Trouble(times=1, cut_after=12_345)
    server.trouble["model.onnx"] = Trouble(times=100, cut_after=0)
    running = add.start("models", "add", "hf:owner/tiny", "-q", stderr=-1)
    deadline = time.monotonic() + 30
    while len(server.ranges("/cdn/")) < 2 and time.monotonic() < deadline:
        time.sleep(0.02)
    running.send_signal(signal.SIGINT)
    assert running.wait(30) == 130
    running.communicate()
    assert visible(models) == []
    assert [len(path.read_bytes()) for path in models.rglob("*.part")] == [12_345]
    server.trouble.clear()
    server.requests.clear()
    add("models", "add", "hf:owner/tiny").ok()
    assert server.ranges("/cdn/") == ["bytes=12345-"]
    # What was whole already was not fetched again.
    assert not any("model.toml" in path for path in server.paths())
    assert visible(models) == ["tiny"]
    assert not (models / ".staging").exists()


def test_a_cut_for_good_is_told_and_kept(add: Program, models: Path, server: HubServer) -> None:
    server.trouble["/cdn/"] = Trouble(times=1, cut_after=12_345)
    server.trouble["model.onnx"] = Trouble(cut_after=0)
    failed(add("models", "add", "hf:owner/tiny"), models, "broke off", "12345 bytes are kept")


@pytest.mark.parametrize("file", ["model.onnx", "model.toml", "tokenizer.json"])
@pytest.mark.parametrize("change", ["byte", "short", "long"])
def test_what_is_not_what_the_hub_lists_is_refused(
    add: Program, models: Path, server: HubServer, file: str, change: str
) -> None:
    change_of = {
        "byte": lambda content: content[:300] + bytes([content[300] ^ 1]) + content[301:],
        "short": lambda content: content[:-1],
        "long": lambda content: content + b"x",
    }
    part = f"/cdn/owner/tiny/{file}" if len((TINY / file).read_bytes()) >= 4096 else f"/{COMMIT}/{file}"
    server.trouble[part] = Trouble(change=change_of[change])
    words = "another hash" if change == "byte" else "were announced"
    failed(add("models", "add", "hf:owner/tiny"), models, words)
    assert not [path for path in models.rglob("*") if path.name.startswith(file)]


@pytest.mark.parametrize(
    ("trouble", "words"),
    [
        (Trouble(status=429, headers={"Retry-After": "30"}), ["429", "try again in 30 seconds", "HF_TOKEN"]),
        (Trouble(status=500), ["trouble of its own (HTTP 500)", "try again later"]),
        (Trouble(status=403), ["refuses access (HTTP 403)", "HF_TOKEN"]),
        (Trouble(redirect="/api/models/owner/tiny/revision/main"), ["cannot be reached", "edirect"]),
    ],
    ids=["rate", "500", "403", "circle"],
)
def test_refusals_of_the_listing(
    add: Program, models: Path, server: HubServer, trouble: Trouble, words: list[str]
) -> None:
    server.trouble["/api/models"] = trouble
    failed(add("models", "add", "hf:owner/tiny"), models, *words)


def test_refusals_of_a_file(add: Program, models: Path, server: HubServer) -> None:
    server.trouble["/resolve/"] = Trouble(status=429, headers={"Retry-After": "9"})
    failed(add("models", "add", "hf:owner/tiny"), models, "429", "in 9 seconds")
    server.trouble["/resolve/"] = Trouble(redirect=f"/owner/tiny/resolve/{COMMIT}/model.toml")
    failed(add("models", "add", "hf:owner/tiny"), models, "in a circle")
    server.trouble["/resolve/"] = Trouble(redirect="http://192.0.2.1/x")
    failed(add("models", "add", "hf:owner/tiny"), models, "only https:")


def test_repositories_that_are_not_there_or_not_for_everybody(
    add: Program, models: Path, server: HubServer
) -> None:
    failed(add("models", "add", "hf:owner/none"), models, "no such repository", "check the spelling")
    failed(add("models", "add", "hf:owner/tiny@v9"), models, "no revision 'v9'")
    failed(add("models", "add", "hf:a/b/c"), models, "not a repository")
    repository = server.repositories["owner/tiny"]
    repository.gated = True
    failed(add("models", "add", "hf:owner/tiny"), models, "accept", f"{server.url}/owner/tiny", "HF_TOKEN")
    repository.token = "hf_secret"
    failed(add("models", "add", "hf:owner/tiny"), models, "or it is private", "HF_TOKEN")
    done = add("models", "add", "hf:owner/tiny", env={"HF_TOKEN": "hf_secret"})
    done.ok()
    assert "hf_secret" not in done.out.decode() + done.err
    # The token went to the hub, and to no other server.
    told = {
        "cdn" if "/cdn/" in request.path else "hub": request.headers.get("authorization")
        for request in server.requests[-6:]
    }
    assert told == {"hub": "Bearer hf_secret", "cdn": None}


def test_a_repository_that_has_moved_is_followed(add: Program, models: Path, server: HubServer) -> None:
    server.repositories["old/name"] = Repository({}, moved_to="owner/tiny")
    add("models", "add", "hf:old/name").ok()
    assert visible(models) == ["name"]
    added = tomllib.loads((models / "name" / "added.toml").read_text())
    assert added["source"] == f"hf:owner/tiny@{COMMIT}"


def test_no_network(add: Program, models: Path) -> None:
    with HubServer() as gone:
        url = gone.url
    err = failed(add("models", "add", "hf:owner/tiny", env={"HF_ENDPOINT": url}), models, "cannot be reached")
    assert "a model that is already here needs neither" in err
    failed(
        add("models", "add", "hf:owner/tiny", env={"HF_HUB_OFFLINE": "1"}), models, "HF_HUB_OFFLINE is set"
    )
    failed(
        add("models", "add", "pypi:x", env={"PIP_INDEX_URL": f"{url}/simple"}), models, "cannot be reached"
    )


def test_names_in_a_listing_that_lead_elsewhere_are_never_asked_for(
    add: Program, models: Path, server: HubServer
) -> None:
    files = server.repositories["owner/tiny"].files
    files["../../../evil.json"] = b"{}"
    files["/etc/evil.json"] = b"{}"
    files["../../LICENSE-evil"] = b""
    add("models", "add", "hf:owner/tiny").ok()
    assert not any("evil" in path for path in server.paths())


def test_weights_without_a_graph_need_the_extra(
    add: Program, models: Path, source: Path, server: HubServer
) -> None:
    if shutil.which("optimum-cli"):
        pytest.skip("the extra is installed")
    from safetensors.numpy import save_file

    shutil.rmtree(source / "onnx")
    save_file({"x": np.zeros(3000, np.float32)}, source / "model.safetensors")
    server.repositories["owner/st"].files = read_tree(source)
    failed(add("models", "add", "hf:owner/st"), models, "needs the extra 'export'", "embedcli[export]")
    assert not any("safetensors" in path for path in server.paths())
    failed(add("models", "add", source), models, "needs the extra 'export'")


# ---- dry runs


def test_a_dry_run_tells_what_is_and_fetches_no_weights(
    add: Program, models: Path, server: HubServer, source: Path
) -> None:
    done = add("models", "add", "hf:owner/st", "--dry-run", "--json").ok()
    facts = json.loads(done.out)
    assert facts["name"] == "st"
    assert facts["source"] == f"hf:owner/st@{COMMIT}"
    assert (facts["licence"], facts["languages"], facts["commercial"]) == ("mit", ["en"], None)
    assert (facts["kind"], facts["pooling"], facts["dim"], facts["dims"]) == ("onnx", "mean", 16, [])
    assert facts["prompts"] == {"query": "query: ", "document": "passage: "}
    assert (facts["max_tokens"], facts["graph"], facts["needs_export"]) == (64, LARGE, False)
    assert facts["refused"] == ""
    sizes = {file["path"]: file["bytes"] for file in facts["files"]}
    assert sizes[LARGE] == (source / LARGE).stat().st_size
    assert facts["bytes"] == sum(sizes.values())
    assert "onnx/model_other.onnx" not in sizes
    fetched = [path for path in server.paths() if "/resolve/" in path]
    assert all(path.endswith(".json") and "tokenizer.json" not in path for path in fetched)
    assert visible(models) == []
    text = add("models", "add", "hf:owner/st", "--dry-run").ok().out.decode()
    for line in ("licence    mit", "pooling    mean", "prompt     query: 'query: '", f"file       {LARGE}, "):
        assert line in text


def test_a_dry_run_tells_what_forbids_use(add: Program, server: HubServer, source: Path) -> None:
    repository = server.repositories["owner/st"]
    repository.card = {"license": "cc-by-nc-4.0"}
    repository.files["1_Pooling/config.json"] = b'{"pooling_mode_attention": true}'
    text = add("models", "add", "hf:owner/st", "--dry-run").ok().out.decode()
    assert "licence    cc-by-nc-4.0 (not for commercial use)" in text
    assert "refused    " in text
    assert "attention" in text


def test_a_licence_that_forbids_commerce_is_told(add: Program, source: Path) -> None:
    done = add("models", "add", source, "--licence", "CC-BY-NC-4.0").ok()
    assert "not for commercial use" in done.err


# ---- packages and URLs


def wheel(files: dict[str, bytes]) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("pkg/__init__.py", "raise SystemExit('imported')")
        archive.writestr("pkg-1.0.dist-info/METADATA", "Name: pkg")
        for name, content in files.items():
            archive.writestr(name, content)
    return stream.getvalue()


def test_a_package_becomes_a_model_and_nothing_of_it_runs(
    add: Program, models: Path, server: HubServer
) -> None:
    content = wheel({f"pkg/data/tiny/{name}": data for name, data in read_tree(TINY).items()})
    server.packages["pkg"] = {"pkg-1.0-py3-none-any.whl": content, "pkg-1.0.tar.gz": b"not this"}
    add("models", "add", "pypi:pkg").ok()
    assert visible(models) == ["pkg"]
    added = tomllib.loads((models / "pkg" / "added.toml").read_text())
    assert added["source"] == "pypi:pkg==1.0"
    assert set(read_tree(models / "pkg")) == {"model.toml", "added.toml", "model.onnx", "tokenizer.json"}
    add("models", "test", "pkg", env={"X": "1"})
    preview = json.loads(add("models", "add", "pypi:pkg==1", "--name", "p", "--dry-run", "--json").ok().out)
    assert preview["files"] == [{"path": "pkg-1.0-py3-none-any.whl", "bytes": len(content)}]


def test_several_models_in_a_package_are_named(add: Program, models: Path, server: HubServer) -> None:
    inner = io.BytesIO()
    with zipfile.ZipFile(inner, "w") as archive:
        for folder in ("one", "two"):
            for name, data in read_tree(TINY).items():
                archive.writestr(f"{folder}/{name}", data)
    server.packages["pkg"] = {"pkg-1.0-py3-none-any.whl": wheel({"pkg/w.zip": inner.getvalue()})}
    failed(add("models", "add", "pypi:pkg"), models, "2 models", "pkg/w.zip/one, pkg/w.zip/two")
    failed(add("models", "add", "pypi:pkg/pkg"), models, "no model in 'pkg'", "pkg/w.zip/one")
    add("models", "add", "pypi:pkg==1.0/pkg/w.zip/two").ok()
    assert visible(models) == ["two"]
    server.packages["none"] = {"none-1.0-py3-none-any.whl": wheel({})}
    assert "no model in it" in add("models", "add", "pypi:none").err
    server.packages["bad"] = {"bad-1.0-py3-none-any.whl": wheel({})}
    server.trouble["/packages/"] = Trouble(change=lambda content: content[:-1] + b"?")
    assert "another hash" in add("models", "add", "pypi:bad").err


def test_a_url_needs_its_hash(add: Program, models: Path, server: HubServer) -> None:
    content = wheel({f"tiny/{name}": data for name, data in read_tree(TINY).items()})
    server.files["/some/tiny.zip"] = content
    url, sha256 = f"{server.url}/some/tiny.zip", hashlib.sha256(content).hexdigest()
    failed(add("models", "add", url), models, "needs --sha256")
    assert server.requests == []
    failed(add("models", "add", url, "--sha256", "0" * 64), models, "another hash")
    failed(add("models", "add", url, "--sha256", "xyz"), models, "64 hexadecimal digits")
    failed(add("models", "add", "http://example.org/x.zip", "--sha256", sha256), models, "only https:")
    failed(add("models", "add", f"{server.url}/none.zip", "--sha256", sha256), models, "nothing of that name")
    failed(add("models", "add", f"{server.url}/x.bin", "--sha256", sha256), models, "not an archive")
    failed(add("models", "add", TINY, "--sha256", sha256), models, "--sha256 does not fit")
    server.trouble["/some/"] = Trouble(times=2, cut_after=10_000)
    add("models", "add", url, "--sha256", sha256.upper()).ok()
    assert server.ranges("/some/") == ["bytes=10000-", "bytes=20000-"]
    assert visible(models) == ["tiny"]


# ---- remove, lock, sync


def test_remove(add: Program, models: Path, tmp_path: Path) -> None:
    add("models", "add", TINY).ok()
    assert add("models", "remove", "tiny").ok().out.decode() == f"{models / 'tiny'}: removed\n"
    assert list(models.iterdir()) == []
    assert "no model named 'tiny'" in add("models", "remove", "tiny").err
    assert "comes with embedcli" in add("models", "remove", "all-MiniLM-L6-v2").err
    for name in ("../models", "/etc", ".", "a/b"):
        assert "cannot be a model's name" in add("models", "remove", name).err
    # Of a link only the link goes.
    target = tmp_path / "elsewhere"
    shutil.copytree(TINY, target)
    (models / "linked").symlink_to(target)
    add("models", "remove", "linked", "-q").ok()
    assert not (models / "linked").is_symlink()
    assert read_tree(target) == read_tree(TINY)


def test_old_leftovers_are_removed_and_new_ones_stay(add: Program, models: Path) -> None:
    for name, days in (("old", 8), ("new", 6)):
        folder = models / ".staging" / name
        folder.mkdir(parents=True)
        (folder / "source.txt").write_text("x")
        age = time.time() - days * 86_400
        os.utime(folder / "source.txt", (age, age))
    add("models", "add", TINY).ok()
    assert [path.name for path in (models / ".staging").iterdir()] == ["new"]


def test_a_lock_file_makes_the_same_models_elsewhere(
    add: Program, models: Path, server: HubServer, source: Path, tmp_path: Path
) -> None:
    content = wheel({f"tiny/{name}": data for name, data in read_tree(TINY).items()})
    server.files["/tiny.zip"] = content
    server.packages["pkg"] = {"pkg-1.0-py3-none-any.whl": content}
    sha256 = hashlib.sha256(content).hexdigest()
    add("models", "add", "hf:owner/st@main", "--licence", "EUPL-1.2", "--name", "first").ok()
    add("models", "add", f"{server.url}/tiny.zip", "--sha256", sha256, "--name", "second").ok()
    add("models", "add", "pypi:pkg", "--name", "third").ok()
    add("models", "lock", "-o", "lock.toml").ok()
    lock = tomllib.loads((add.folder / "lock.toml").read_text())
    sources = {entry["name"]: entry["source"] for entry in lock["models"]}
    assert sources["first"] == f"hf:owner/st@{COMMIT}"
    assert sources["second"] == f"{server.url}/tiny.zip"
    assert sources["third"] == "pypi:pkg==1.0"
    assert sources["all-MiniLM-L6-v2"] == "shipped"
    assert add("models", "sync", "lock.toml", "--check").ok().out.decode().count(": equal\n") == len(
        lock["models"]
    )
    assert add("models", "lock").ok().out == (add.folder / "lock.toml").read_bytes()

    other = replace(add, environment=add.environment | {"EMBEDCLI_MODELS": str(tmp_path / "other")})
    server.requests.clear()
    checked = other("models", "sync", "lock.toml", "--check", "--json")
    assert checked.code == 1
    states = {report["name"]: report["state"] for report in checked.objects}
    assert (states["first"], states["all-MiniLM-L6-v2"]) == ("missing", "equal")
    assert server.requests == []
    done = other("models", "sync", "lock.toml").ok()
    assert done.out.decode().count(": fetched\n") == 3
    for name in ("first", "second", "third"):
        mine, theirs = read_tree(models / name), read_tree(tmp_path / "other" / name)
        assert mine == theirs
    other("models", "sync", "lock.toml", "--check", "-q").ok()


def test_sync_refuses_what_is_no_longer_the_same(
    add: Program, models: Path, server: HubServer, source: Path
) -> None:
    add("models", "add", "hf:owner/st").ok()
    add("models", "lock", "-o", "lock.toml").ok()
    add("models", "remove", "st").ok()
    # The hub serves another file under the same commit, and lists it truthfully.
    files = server.repositories["owner/st"].files
    files[LARGE] = files[LARGE].replace(b"tiny", b"TINY")
    failed(add("models", "sync", "lock.toml"), models, "the lock file says", "nothing of it is used")
    assert add("models", "sync", "lock.toml", "--check").code == 1


def test_sync_tells_what_differs_and_replaces_it_when_told(add: Program, models: Path, source: Path) -> None:
    add("models", "add", "hf:owner/st").ok()
    add("models", "lock", "-o", "lock.toml").ok()
    manifest = models / "st" / "model.toml"
    before = manifest.read_text()
    for change in (
        before.replace('pooling = "mean"', 'pooling = "cls"'),
        before.replace("query: ", "frage: "),
        "not toml",
    ):
        manifest.write_text(change)
        done = add("models", "sync", "lock.toml")
        assert done.code == 1
        assert done.out.decode().startswith("st: different: ")
    add("models", "sync", "lock.toml", "--replace").ok()
    assert manifest.read_text() == before
    # What is measured may differ from machine to machine.
    manifest.write_text(before.replace("speed_ratio = ", "speed_ratio = 1"))
    add("models", "sync", "lock.toml", "--check").ok()
    with (models / "st" / "model.onnx").open("ab") as stream:
        stream.write(b"x")
    assert "sha256" in add("models", "sync", "lock.toml", "--check").out.decode()


def test_sync_says_what_it_cannot_fetch(add: Program, models: Path) -> None:
    add("models", "add", TINY).ok()
    add("models", "lock", "-o", "lock.toml").ok()
    add("models", "remove", "tiny").ok()
    done = add("models", "sync", "lock.toml")
    assert done.code == 1
    assert (
        "tiny: missing: not here; it was made on another machine and cannot be fetched" in done.out.decode()
    )


@pytest.mark.parametrize(
    "text",
    ["", "format = 2", "not toml", 'format = 1\n[[models]]\nname = "../x"', "format = 1\nmodels = [1]"],
)
def test_what_is_no_lock_file(add: Program, text: str) -> None:
    (add.folder / "lock.toml").write_text(text)
    assert add("models", "sync", "lock.toml").code == 2
    assert add("models", "sync", "none.toml").code == 2


def test_a_locked_model_that_is_damaged_is_not_locked(add: Program, models: Path) -> None:
    add("models", "add", TINY).ok()
    (models / "tiny" / "tokenizer.json").write_text("{}")
    done = add("models", "lock")
    assert (done.code, done.out) == (2, b"")
    assert "sha256" in done.err
