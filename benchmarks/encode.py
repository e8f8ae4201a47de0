"""Texts a second, beside sentence-transformers on the same machine in the same run.

    python benchmarks/encode.py --corpus corpus.jsonl --weights FOLDER [--runs 5]

`--corpus` is JSONL with a `text` field, such as the SciFact abstracts; `--weights` is a folder in the
sentence-transformers layout with the fp32 weights of the shipped model. Needs the packages
sentence-transformers and torch. The two take turns, run by run, and the ratio of the medians is printed.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

THREADS = 2
PASSAGES = 300
LINES = 2_000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--corpus", type=Path, required=True)
    parser.add_argument("--weights", type=Path, required=True)
    parser.add_argument("--runs", type=int, default=5)
    arguments = parser.parse_args()
    os.environ.update(OMP_NUM_THREADS=str(THREADS), HF_HUB_OFFLINE="1", TOKENIZERS_PARALLELISM="true")
    import torch
    from sentence_transformers import SentenceTransformer

    from embedcli.encode.catalog import EncoderSettings, find_model, open_encoder

    torch.set_num_threads(THREADS)
    peer = SentenceTransformer(str(arguments.weights), device="cpu")
    peer.max_seq_length = find_model().manifest.max_tokens
    graphs = Path(tempfile.mkdtemp())
    ours = open_encoder(find_model(), EncoderSettings(jobs=THREADS, cache_folder=graphs))

    texts = [json.loads(line)["text"] for line in arguments.corpus.open(encoding="utf-8")]
    passages = [text for text in texts if text][:PASSAGES]
    lines = [part.strip() for text in texts for part in text.split(". ") if 20 < len(part) < 120][:LINES]
    for name, sample in ((f"{PASSAGES} abstracts", passages), (f"{LINES} one-line texts", lines)):
        systems: dict[str, Callable[[Sequence[str]], object]] = {
            "sentence-transformers, torch fp32": lambda batch: peer.encode(
                list(batch), batch_size=32, show_progress_bar=False, normalize_embeddings=True
            ),
            "embedcli, int8": lambda batch: ours.encode(batch, on_long="truncate"),
        }
        report(name, sample, systems, arguments.runs)


def report(
    name: str, sample: Sequence[str], systems: dict[str, Callable[[Sequence[str]], object]], runs: int
) -> None:
    """Run the systems in turn and print medians and their ratio."""
    seconds: dict[str, list[float]] = {system: [] for system in systems}
    for encode in systems.values():
        encode(sample[:64])
    for _ in range(runs):
        for system, encode in systems.items():
            start = time.perf_counter()
            encode(sample)
            seconds[system].append(time.perf_counter() - start)
    print(f"{name}, {THREADS} threads, median of {runs}")
    medians = {system: statistics.median(times) for system, times in seconds.items()}
    for system, median in medians.items():
        spread = f"{len(sample) / max(seconds[system]):.0f} to {len(sample) / min(seconds[system]):.0f}"
        print(f"  {system:36} {len(sample) / median:8.1f} texts/s  ({spread})")
    first, second = medians.values()
    print(f"  ratio {first / second:.2f}\n")


if __name__ == "__main__":
    main()
