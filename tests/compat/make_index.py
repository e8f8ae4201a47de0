"""Make the index files of the current format, and what they answer. Run once for each format, then committed.

python -m tests.compat.make_index KIND…

The sparse model is made once too, and committed.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

from embedcli.index.schema import FORMAT_VERSION, SPARSE_FORMAT_VERSION
from tests.models_maker import write_sparse_model

HERE = Path(__file__).resolve().parent
SPARSE_MODEL = "tiny-sparse"
QUERIES = ("bab bed", "gug kab leb", "nob", "sub rad tid", "fid fid mib")
KINDS = {
    "float16": [],
    "float32": ["--dtype", "float32"],
    "int8": ["--dtype", "int8", "--no-text"],
    "binary": ["--dtype", "binary"],
    "sparse": ["--sparse", SPARSE_MODEL],
}


def embedcli(*arguments: str, stdin: bytes = b"") -> bytes:
    environment = os.environ | {"EMBEDCLI_MODELS": str(HERE / "models"), "EMBEDCLI_MODEL": "tiny"}
    done = subprocess.run(
        [sys.executable, "-m", "embedcli", *arguments],
        input=stdin,
        capture_output=True,
        env=environment,
        check=False,
    )
    assert done.returncode in (0, 1), done.stderr.decode()
    return done.stdout


def answers(index: Path, mode: str = "dense") -> dict[str, list[dict[str, object]]]:
    """The best chunks for every query, without what depends on where the index lies."""
    score = "cosine" if mode == "dense" else "score"
    return {
        query: [
            {key: hit[key] for key in ("rank", score, "id", "chunk", "line", "text")}
            for hit in map(
                json.loads,
                embedcli("search", query, "-i", str(index), "--mode", mode, "-n", "5", "--json").splitlines(),
            )
        ]
        for query in QUERIES
    }


def mode_of(name: str) -> str:
    """What the answers of an index file are ranked by."""
    return "sparse" if name.endswith("sparse") else "dense"


def records(words: list[str], count: int, seed: int) -> bytes:
    """JSONL with texts of 1 to 60 words, so that some are longer than the model takes."""
    chooser = np.random.default_rng(seed)
    lines = []
    for number in range(count):
        text = " ".join(chooser.choice(words, int(chooser.integers(1, 60))))
        lines.append(
            json.dumps({"id": f"r{number}", "text": text, "year": 2000 + number % 7, "tags": ["a", "ü"]})
        )
    return ("\n".join(lines) + "\n").encode()


def main() -> None:
    words = list(json.loads((HERE / "models/tiny/tokenizer.json").read_text())["model"]["vocab"])[4:]
    if not (HERE / "models" / SPARSE_MODEL).exists():
        write_sparse_model(HERE / "models" / SPARSE_MODEL)
    for kind in sys.argv[1:]:
        options, count = KINDS[kind], 60 if kind == "sparse" else 120
        with tempfile.TemporaryDirectory() as folder:
            index = Path(folder) / "made.emb"
            embedcli("index", "build", "-q", "-i", str(index), *options, "-", stdin=records(words, count, 1))
            # Some replaced, some new, some removed: there are several segments, and marks of deletion.
            embedcli(
                "index", "build", "-q", "-i", str(index), *options, "-", stdin=records(words, count // 3, 2)
            )
            embedcli("index", "remove", "-q", "-i", str(index), "--id", "r50", "--id", "r51")
            if kind == "float16":
                embedcli("search", "nob", "-q", "-i", str(index), "--plan", "graph")
            version = SPARSE_FORMAT_VERSION if kind == "sparse" else FORMAT_VERSION
            name = f"format-{version}-{kind}"
            for path in Path(folder).iterdir():
                (HERE / path.name.replace("made", name)).write_bytes(path.read_bytes())
            (HERE / f"{name}.json").write_text(
                json.dumps(answers(index, mode_of(name)), indent=1, ensure_ascii=False) + "\n"
            )


if __name__ == "__main__":
    main()
