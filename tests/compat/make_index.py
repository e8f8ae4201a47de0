"""Make the index files of the current format, and what they answer. Run once for each format, then committed.

python tests/compat/make_index.py
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

from embedcli.index.schema import FORMAT_VERSION

HERE = Path(__file__).resolve().parent
QUERIES = ("bab bed", "gug kab leb", "nob", "sub rad tid", "fid fid mib")
KINDS = {
    "float16": [],
    "float32": ["--dtype", "float32"],
    "int8": ["--dtype", "int8", "--no-text"],
    "binary": ["--dtype", "binary"],
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


def answers(index: Path) -> dict[str, list[dict[str, object]]]:
    """The nearest chunks to every query, without what depends on where the index lies."""
    return {
        query: [
            {key: hit[key] for key in ("rank", "cosine", "id", "chunk", "line", "text")}
            for hit in map(
                json.loads,
                embedcli(
                    "search", query, "-i", str(index), "--mode", "dense", "-n", "5", "--json"
                ).splitlines(),
            )
        ]
        for query in QUERIES
    }


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
    for kind, options in KINDS.items():
        with tempfile.TemporaryDirectory() as folder:
            index = Path(folder) / "made.emb"
            embedcli("index", "build", "-q", "-i", str(index), *options, "-", stdin=records(words, 120, 1))
            # Some replaced, some new, some removed: there are several segments, and marks of deletion.
            embedcli("index", "build", "-q", "-i", str(index), *options, "-", stdin=records(words, 40, 2))
            embedcli("index", "remove", "-q", "-i", str(index), "--id", "r50", "--id", "r51")
            if kind == "float16":
                embedcli("search", "nob", "-q", "-i", str(index), "--plan", "graph")
            name = f"format-{FORMAT_VERSION}-{kind}"
            for path in Path(folder).iterdir():
                (HERE / path.name.replace("made", name)).write_bytes(path.read_bytes())
            (HERE / f"{name}.json").write_text(
                json.dumps(answers(index), indent=1, ensure_ascii=False) + "\n"
            )


if __name__ == "__main__":
    main()
