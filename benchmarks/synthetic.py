"""Large indexes without an encoder's hours: rows made by adding noise to the vectors of real texts.

    python benchmarks/synthetic.py --texts FILE --rows 1000000 --out big.emb [--dtype float16] [--seed 1]

Each row is a text's vector plus Gaussian noise along the principal directions of all of them, scaled to unit
length: clusters as uneven as the texts, on a surface of the dimension that `--directions` gives. The local
intrinsic dimension of what was made is estimated and printed. Each row is a record of its own.

Source of the estimate: E. Facco et al., "Estimating the intrinsic dimension of datasets by a minimal
neighborhood information", Scientific Reports 7, 2017 (two nearest neighbours).
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

import embedcli
from embedcli.datatypes import Chunk, Counts, Record
from embedcli.encode.catalog import EncoderSettings, find_model
from embedcli.index.file import open_for_writing
from embedcli.index.schema import SEGMENT_ROWS
from embedcli.index.writer import IndexWriter, NewChunk
from embedcli.tasks.chunks import identity_of
from embedcli.tasks.vectorize import Vectorizer, VectorSettings
from embedcli.vectors.normalize import normalize

if TYPE_CHECKING:
    from collections.abc import Iterator

    from embedcli.datatypes import Vectors


def text_vectors(texts: list[str]) -> Vectors:
    """The default model's vectors, shape (n, 384)."""
    with embedcli.load_model() as model:
        return model.encode(texts)


def noisy_rows(
    real: Vectors, count: int, *, seed: int, directions: int, strength: float
) -> Iterator[tuple[np.ndarray, Vectors]]:
    """Blocks of rows: which text each is from, and its vector, shape (n, dim), float32, unit length."""
    chooser = np.random.default_rng(seed)
    centred = real - real.mean(axis=0)
    _, spread, axes = np.linalg.svd(centred, full_matrices=False)
    scale = (spread[:directions] / np.sqrt(len(real)))[:, None] * axes[:directions]
    for start in range(0, count, SEGMENT_ROWS):
        size = min(SEGMENT_ROWS, count - start)
        origin = chooser.integers(0, len(real), size)
        noise = chooser.standard_normal((size, directions), dtype=np.float32) @ scale.astype(np.float32)
        yield origin, normalize(real[origin] + strength * noise)


def intrinsic_dimension(rows: Vectors) -> float:
    """Estimate from the ratio of the distances to the two nearest neighbours; rows of shape (n, dim)."""
    near = rows @ rows.T
    np.fill_diagonal(near, -1)
    best = np.sort(np.partition(near, -2, axis=1)[:, -2:], axis=1)
    distance = np.sqrt(np.maximum(2 - 2 * best.astype(np.float64), 1e-12))
    ratio = distance[:, 0] / distance[:, 1]
    return float(len(ratio) / np.log(ratio[ratio > 1]).sum())


def write_index(
    path: Path, texts: list[str], blocks: Iterator[tuple[np.ndarray, Vectors]], dtype: str
) -> None:
    """Write rows into a new index of the default model."""
    model = find_model(None)
    vectorizer = Vectorizer(model, EncoderSettings(), VectorSettings(normalize=True), Counts())
    identity = identity_of(vectorizer, dtype, keep_text=True)
    with open_for_writing(path, identity) as connection:
        writer = IndexWriter(path, connection, identity, may_shrink=True)
        source = writer.put_source(0, b"-", stat=None, content_hash=None, state="indexed", settings="{}")
        line = 0
        for origin, vectors in blocks:
            chunks = []
            for number in origin.tolist():
                line += 1
                text = texts[number]
                record = writer.reserve_record()
                fields = f'{{"n":{line},"percent":{line % 1000 / 10}}}'
                writer.add_record(record, source, Record(str(line), text, line=line), fields, b"t" * 16)
                span = Chunk(text, 1, 0, len(text), 0, len(text.encode()), line, line)
                chunks.append(NewChunk(record, span, line.to_bytes(16, "big")))
            writer.add_chunks(chunks, vectors, set())
            writer.commit()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--texts", type=Path, required=True, help="one text a line")
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--dtype", default="float16")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--directions", type=int, default=64)
    parser.add_argument("--strength", type=float, default=0.5)
    parser.add_argument("--most-texts", type=int, default=20_000)
    given = parser.parse_args()
    texts = [line for line in given.texts.read_text().splitlines() if line.strip()][: given.most_texts]
    real = text_vectors(texts)
    made = {"seed": given.seed, "directions": given.directions, "strength": given.strength}
    sample = np.concatenate([rows for _, rows in noisy_rows(real, 8192, **made)])
    start = time.perf_counter()
    write_index(given.out, texts, noisy_rows(real, given.rows, **made), given.dtype)
    print(
        f"{given.rows} rows from {len(texts)} texts in {time.perf_counter() - start:.0f} s; intrinsic dimension"
        f" about {intrinsic_dimension(sample):.0f} (real texts: {intrinsic_dimension(real[:8192]):.0f}),"
        f" {given.out.stat().st_size / 1e6:.0f} MB",
        file=sys.stderr,
    )


if __name__ == "__main__":
    main()
