"""What a map costs, how far it can be trusted, and how smooth its page is.

    python benchmarks/map.py texts.txt vectors.npy [--rows 10000 100000] [--without core tsne pca]

`texts.txt` has a text a line, `vectors.npy` a vector for each (`embedcli embed texts.txt --to npy`). For the first N
of them, a whole process each: `map` with the extra, without it (scikit-learn alone), and with `--layout pca`: seconds, CPU seconds,
peak memory, the file's size, and scikit-learn's trustworthiness@10 (cosine) on 10,000 of the points as the file has
them.

Then the page in headless Chromium, which draws by software (SwiftShader) on the same cores: seconds until it is
ready, and the time from frame to frame while the whole map is moved, while it is zoomed, and while it is moved near by.
"""

from __future__ import annotations

import argparse
import base64
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import zlib
from pathlib import Path

import numpy as np

WAYS = ("tsne", "core", "pca")
SAMPLE = 10_000
SIZE = (1280, 800)
RECORD = """() => {
  window.frames_seen = [];
  let last = performance.now();
  const step = (now) => { window.frames_seen.push(now - last); last = now; window.recording = requestAnimationFrame(step); };
  window.recording = requestAnimationFrame(step);
}"""
STOP = "() => { cancelAnimationFrame(window.recording); return window.frames_seen.slice(1); }"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("texts", type=Path)
    parser.add_argument("vectors", type=Path)
    parser.add_argument("--rows", type=int, nargs="+", default=[10_000, 100_000])
    parser.add_argument("--without", nargs="*", default=[])
    arguments = parser.parse_args()
    lines = arguments.texts.read_bytes().splitlines(keepends=True)
    vectors = np.load(arguments.vectors, mmap_mode="r")
    with tempfile.TemporaryDirectory() as name:
        work = Path(name)
        (work / "hidden").mkdir()
        (work / "hidden/openTSNE.py").write_text("raise ImportError\n")
        ways = [(rows, way) for rows in arguments.rows for way in WAYS if way not in arguments.without]
        for rows, way in ways:
            (work / "in.txt").write_bytes(b"".join(lines[:rows]))
            np.save(work / "in.npy", vectors[:rows])
            draw(work, rows, way)
        # Afterwards: what this process takes itself would count as the peak of those that it starts.
        for rows, way in ways:
            path = work / f"{rows}-{way}.html"
            report(path, vectors[:rows], f"{rows} texts, {way}")
            if way == "tsne":
                frames(path)


def draw(work: Path, rows: int, way: str) -> None:
    """Run `map` and print what it cost."""
    paths = [str(Path(__file__).resolve().parents[1])] + [str(work / "hidden")] * (way == "core")
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(reversed(paths))}
    layout = "pca" if way == "pca" else "tsne"
    command = [
        sys.executable,
        "-m",
        "embedcli",
        "map",
        "in.txt",
        "--vectors",
        "in.npy",
        "-o",
        f"{rows}-{way}.html",
    ]
    start = time.perf_counter()
    process = subprocess.Popen([*command, "--layout", layout, "-q"], cwd=work, env=environment)
    _, code, used = os.wait4(process.pid, 0)
    process.returncode = code
    if code:
        sys.exit(code)
    cpu = used.ru_utime + used.ru_stime
    print(
        f"{rows} texts, {way}: {time.perf_counter() - start:.0f} s, {cpu:.0f} s CPU, peak {used.ru_maxrss >> 10} MiB",
        flush=True,
    )


def report(path: Path, vectors: np.ndarray, name: str) -> None:
    """Print the size of a page, and how far its points can be trusted."""
    from sklearn.manifold import trustworthiness

    content = path.read_bytes()
    packed = re.findall(rb'id="data-points">(.*?)<', content)[0]
    points = np.frombuffer(zlib.decompress(base64.b64decode(packed)), dtype="<u2").reshape(-1, 2)
    if len(points) != len(vectors):
        sys.exit(f"{len(points)} points of {len(vectors)} lines: leave out blank ones")
    rows = np.sort(np.random.default_rng(1).permutation(len(points))[:SAMPLE])
    trust = trustworthiness(vectors[rows], points[rows].astype(np.float64), n_neighbors=10, metric="cosine")
    print(f"{name}: {len(content) / 1e6:.1f} MB, trustworthiness@10 of {len(rows)} points {trust:.3f}")


def cpu_seconds() -> float:
    """Return the CPU time of this process's children and theirs, as long as they live: the browser's."""
    parents, spent = {}, {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            fields = (folder / "stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        parents[int(folder.name)] = int(fields[1])
        spent[int(folder.name)] = (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def is_ours(process: int) -> bool:
        while process in parents and process != os.getpid():
            process = parents[process]
        return process == os.getpid()

    return sum(seconds for process, seconds in spent.items() if process != os.getpid() and is_ours(process))


def frames(path: Path) -> None:
    """Print how long frames take."""
    from playwright.sync_api import sync_playwright

    flags = ["--no-sandbox", "--use-angle=swiftshader", "--enable-unsafe-swiftshader"]
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=shutil.which("chromium"), args=flags)
        page = browser.new_page(viewport={"width": SIZE[0], "height": SIZE[1]}, reduced_motion="reduce")
        start = time.perf_counter()
        page.goto(path.as_uri())
        page.wait_for_selector("html[data-ready=yes]", timeout=60_000)
        print(f"page ready after {time.perf_counter() - start:.1f} s")
        middle = (SIZE[0] / 2, SIZE[1] / 2)

        def told(name: str, work: object) -> None:
            page.evaluate(RECORD)
            before = cpu_seconds()
            work()
            spent = cpu_seconds() - before
            found = sorted(page.evaluate(STOP))
            print(
                f"  {name}: {len(found)} frames, median {statistics.median(found):.1f} ms,"
                f" 95th percentile {found[int(0.95 * len(found))]:.1f} ms,"
                f" {1000 * spent / len(found):.1f} ms of CPU each"
            )

        def move() -> None:
            page.mouse.move(*middle)
            page.mouse.down()
            for step in range(100):
                page.mouse.move(middle[0] + 150 * np.sin(step / 8), middle[1] + 100 * np.cos(step / 8))
            page.mouse.up()

        def zoom() -> None:
            page.mouse.move(*middle)
            for step in range(100):
                page.mouse.wheel(0, -60 if step < 50 else 60)

        told("the whole map moved", move)
        told("zoomed in and out", zoom)
        for _ in range(20):
            page.mouse.wheel(0, -60)
        told("moved near by", move)
        browser.close()


if __name__ == "__main__":
    main()
