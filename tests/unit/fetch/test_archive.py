"""Archives that try to leave the folder, to link, or to swell."""

from __future__ import annotations

import gzip
import io
import stat
import tarfile
import zipfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from embedcli.errors import ModelError, OutputError
from embedcli.fetch import archive as module
from embedcli.fetch.archive import find_models, is_archive, shown_path, unpack
from embedcli.fetch.files import is_safe_path


def make_zip(path: Path, files: dict[str, bytes], modes: dict[str, int] | None = None) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            info = zipfile.ZipInfo(name)
            info.compress_type = zipfile.ZIP_DEFLATED
            info.external_attr = (modes or {}).get(name, stat.S_IFREG | 0o644) << 16
            archive.writestr(info, content)
    return path


def make_tar(path: Path, entries: list[tuple[tarfile.TarInfo, bytes]]) -> Path:
    with tarfile.open(path, "w:gz") as archive:
        for info, content in entries:
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return path


def info(name: str, kind: bytes = tarfile.REGTYPE, target: str = "") -> tarfile.TarInfo:
    entry = tarfile.TarInfo(name)
    entry.type, entry.linkname = kind, target
    return entry


def contents(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()
    }


FILES = {"a.json": b"{}", "deep/er/b.bin": bytes(10_000), "empty": b""}


def test_what_is_packed_comes_out(tmp_path: Path) -> None:
    unpack(make_zip(tmp_path / "x.whl", FILES), tmp_path / "zip")
    assert contents(tmp_path / "zip") == FILES
    entries = [(info("./deep", tarfile.DIRTYPE), b"")]
    entries += [(info(f"./{name}"), content) for name, content in FILES.items()]
    unpack(make_tar(tmp_path / "x.tgz", entries), tmp_path / "tar")
    assert contents(tmp_path / "tar") == FILES


def test_permissions_of_the_archive_are_not_taken_over(tmp_path: Path) -> None:
    entry = info("run")
    entry.mode = 0o6777
    unpack(make_tar(tmp_path / "x.tar.gz", [(entry, b"#!")]), tmp_path / "out")
    unpack(make_zip(tmp_path / "x.zip", {"run": b"#!"}, {"run": stat.S_IFREG | 0o6777}), tmp_path / "out2")
    for folder in ("out", "out2"):
        assert (tmp_path / folder / "run").stat().st_mode & 0o7111 == 0


@pytest.mark.parametrize(
    "name",
    ["../out", "a/../../out", "/tmp/out", "a//b", "a/./b", "C:\\out", "a\\..\\out", "a\nb", "x" * 201, "a/" * 250 + "b", "nul\0"],
)  # fmt: skip
def test_names_that_lead_elsewhere_are_refused(tmp_path: Path, name: str) -> None:
    path = make_zip(tmp_path / "x.zip", {"ok": b"", name.replace("\0", "?"): b"x"})
    # The library that writes it cuts names at a NUL.
    path.write_bytes(path.read_bytes().replace(b"nul?", b"nul\0"))
    with pytest.raises(ModelError, match="not a name below the folder"):
        unpack(path, tmp_path / "zip")
    if "\0" not in name:
        with pytest.raises(ModelError, match="not a name below the folder"):
            unpack(make_tar(tmp_path / "x.tar.gz", [(info(name), b"x")]), tmp_path / "tar")
    assert not (tmp_path / "out").exists()


@given(st.text(max_size=30))
def test_a_safe_path_stays_below(path: str) -> None:
    if is_safe_path(path):
        joined = Path("/base", path)
        assert joined.is_relative_to("/base")
        assert ".." not in joined.parts
        assert joined != Path("/base")
        assert Path(path).as_posix() == path


@pytest.mark.parametrize(
    ("kind", "target"),
    [
        (tarfile.SYMTYPE, "/etc/passwd"),
        (tarfile.LNKTYPE, "ok"),
        (tarfile.CHRTYPE, ""),
        (tarfile.BLKTYPE, ""),
        (tarfile.FIFOTYPE, ""),
        (tarfile.CONTTYPE, ""),
        (b"Z", ""),
    ],
)
def test_links_and_devices_are_refused(tmp_path: Path, kind: bytes, target: str) -> None:
    entries = [(info("ok"), b"fine"), (info("bad", kind, target), b"")]
    if kind == tarfile.CONTTYPE:
        # An old name for a plain file.
        unpack(make_tar(tmp_path / "x.tgz", entries), tmp_path / "out")
        return
    with pytest.raises(ModelError, match="a link or a device|damaged"):
        unpack(make_tar(tmp_path / "x.tgz", entries), tmp_path / "out")
    assert not (tmp_path / "out" / "bad").exists()


def test_links_in_zip_files_are_refused(tmp_path: Path) -> None:
    for mode in (stat.S_IFLNK, stat.S_IFIFO, stat.S_IFCHR):
        path = make_zip(tmp_path / "x.zip", {"bad": b"/etc/passwd"}, {"bad": mode | 0o777})
        with pytest.raises(ModelError, match="a link or a device"):
            unpack(path, tmp_path / f"out{mode}")


def test_a_link_is_never_written_through(tmp_path: Path) -> None:
    """Two entries: a link, and a file below it. The link alone stops it."""
    entries = [(info("d", tarfile.SYMTYPE, str(tmp_path)), b""), (info("d/out"), b"x")]
    with pytest.raises(ModelError, match="a link"):
        unpack(make_tar(tmp_path / "x.tgz", entries), tmp_path / "folder")
    assert not (tmp_path / "out").exists()


def test_names_that_are_there_twice_are_refused(tmp_path: Path) -> None:
    for names in (("a", "a"), ("A", "a"), ("a", "a/b"), ("a/b", "a")):
        path = make_tar(tmp_path / "x.tgz", [(info(name), b"x") for name in names])
        with pytest.raises(ModelError, match=r"there twice|a file and a folder|below a file"):
            unpack(path, tmp_path / "-".join(names).replace("/", "_"))


def test_bombs_stop_within_bounds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_ALLOWANCE_BYTES", 1 << 20)
    zeros = bytes(64 << 20)
    zipped = make_zip(tmp_path / "x.zip", {"bomb": zeros})
    tarred = make_tar(tmp_path / "x.tgz", [(info("bomb"), zeros)])
    for number, path in enumerate((zipped, tarred)):
        folder = tmp_path / f"out{number}"
        with pytest.raises(ModelError, match="swells"):
            unpack(path, folder)
        written = sum(len(content) for content in contents(folder).values())
        assert written <= path.stat().st_size * module.MAX_RATIO + (1 << 20)


def test_a_length_that_lies_is_found(tmp_path: Path) -> None:
    path = make_zip(tmp_path / "x.zip", {"a": b"A" * 5000})
    content = path.read_bytes().replace((5000).to_bytes(4, "little"), (50).to_bytes(4, "little"))
    path.write_bytes(content)
    with pytest.raises(ModelError, match="damaged"):
        unpack(path, tmp_path / "out")


def test_heads_that_swell_are_refused(tmp_path: Path) -> None:
    """An extended head of 100 MB of zeros is 100 KB in the archive, and would be read at once."""
    head = tarfile.TarInfo("x")
    head.type, head.size = tarfile.XHDTYPE, 100 << 20
    path = tmp_path / "x.tgz"
    with gzip.open(path, "wb") as stream:
        stream.write(head.tobuf())
        stream.write(bytes(100 << 20))
    with pytest.raises(ModelError, match="the head of an entry"):
        unpack(path, tmp_path / "out")


def test_nothing_may_follow_behind_the_end(tmp_path: Path) -> None:
    path = make_tar(tmp_path / "x.tgz", [(info("a"), b"x")])
    path.write_bytes(path.read_bytes() + gzip.compress(bytes(20 << 20)))
    with pytest.raises(ModelError, match="more follows"):
        unpack(path, tmp_path / "out")


def test_too_many_files_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_FILES", 10)
    with pytest.raises(ModelError, match="more than 10 files"):
        unpack(make_zip(tmp_path / "x.zip", {f"f{number}": b"" for number in range(11)}), tmp_path / "out")


def test_encrypted_entries_are_refused(tmp_path: Path) -> None:
    path = make_zip(tmp_path / "x.zip", {"a": b"A" * 50})
    content = bytearray(path.read_bytes())
    content[6] |= 1
    content[content.index(b"PK\x01\x02") + 8] |= 1
    path.write_bytes(content)
    with pytest.raises(ModelError, match="encrypted"):
        unpack(path, tmp_path / "out")


@pytest.mark.parametrize("name", ["x.zip", "x.whl", "x.tar.gz", "x.tgz"])
def test_damaged_archives_are_refused(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    whole = path
    if name.endswith((".zip", ".whl")):
        make_zip(whole, {"a": bytes(range(256)) * 100})
    else:
        make_tar(whole, [(info("a"), bytes(range(256)) * 100)])
    good = whole.read_bytes()
    changed = bytearray(good)
    changed[len(good) // 2] ^= 255
    for number, bad in enumerate((b"", b"no archive at all" * 100, good[: len(good) // 2], bytes(changed))):
        path.write_bytes(bad)
        with pytest.raises(ModelError):
            unpack(path, tmp_path / f"out{number}")


def test_a_full_disk_is_an_output_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Usage:
        free = 100

    monkeypatch.setattr(module.shutil, "disk_usage", lambda _path: Usage)
    with pytest.raises(OutputError, match="no space left"):
        unpack(make_zip(tmp_path / "x.zip", FILES), tmp_path / "out")


def test_models_are_found_by_their_files(tmp_path: Path) -> None:
    for name in ("a/one/model.toml", "a/two/modules.json", "a/two/0_Transformer/config.json",
                 "a/two/0_Transformer/model.safetensors", "b/config.json", "b/onnx/model.onnx",
                 "c/config.json", "c/notes.txt", "d/model.onnx"):  # fmt: skip
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"")
    assert [shown_path(path, tmp_path) for path in find_models(tmp_path)] == ["a/one", "a/two", "b"]


def test_a_model_in_an_archive_within_is_found(tmp_path: Path) -> None:
    inner = make_zip(tmp_path / "inner.zip", {"tiny/model.toml": b"", "tiny/x": b"y"})
    outer = make_zip(
        tmp_path / "outer.whl", {"package/__init__.py": b"1/0", "package/data/m.zip": inner.read_bytes()}
    )
    unpack(outer, tmp_path / "out")
    found = find_models(tmp_path / "out")
    assert [shown_path(path, tmp_path / "out") for path in found] == ["package/data/m.zip/tiny"]
    assert (found[0] / "x").read_bytes() == b"y"
    # Its own bounds hold for it as well.
    bad = make_zip(tmp_path / "bad.zip", {"../x": b""})
    unpack(make_zip(tmp_path / "outer2.whl", {"m.zip": bad.read_bytes()}), tmp_path / "out2")
    with pytest.raises(ModelError, match="not a name below"):
        find_models(tmp_path / "out2")


def test_names_of_archives() -> None:
    for name in ("a.zip", "a.WHL", "a.tar.gz", "a.tgz"):
        assert is_archive(name)
    for name in ("a.tar", "a.gz", "a.zip.txt", "zip"):
        assert not is_archive(name)
