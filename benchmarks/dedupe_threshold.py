"""The thresholds of `dedupe` that the shipped encoders' manifests hold.

    /usr/lib/apt/apt-helper cat-file /var/lib/apt/lists/*_main_i18n_Translation-en* | python benchmarks/dedupe_threshold.py [--write]

Texts are of three kinds, 2,000 each, from 6,000 Debian packages: one-line summaries, sentences, and whole
descriptions of several sentences. The rule of `dedupe --calibrate` chooses a threshold for each kind alone; the
highest of them serves all, and --write puts it into `models/*/model.toml`, with what it does on all the pairs.
"""

from __future__ import annotations

import argparse
import random
import sys
from dataclasses import replace

from packages import descriptions

from embedcli.datatypes import Counts
from embedcli.encode.catalog import DEFAULT_MODEL, STATIC_MODEL, EncoderSettings, find_model, shipped_folder
from embedcli.encode.duplicates import Duplicates
from embedcli.encode.manifest import MANIFEST_NAME, format_manifest
from embedcli.records.sentences import iter_sentences
from embedcli.tasks.calibrate import Calibration, calibrate
from embedcli.tasks.vectorize import Vectorizer, VectorSettings

OF_EACH = 2_000
SHORTEST_SENTENCE_CHARS = 30
WORDS = "2,000 summaries, 2,000 sentences and 2,000 descriptions of Debian packages"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--write", action="store_true")
    arguments = parser.parse_args()
    kinds = texts_of(sys.stdin.read())
    for name in (DEFAULT_MODEL, STATIC_MODEL):
        model = find_model(name, (shipped_folder(),))
        vectorizer = Vectorizer(model, EncoderSettings(), VectorSettings(), Counts())
        highest = 0.0
        for kind, texts in kinds.items():
            found = calibrate(texts, vectorizer)
            show(f"{name}, {kind}", found)
            highest = max(highest, found.threshold)
        everything = [text for texts in kinds.values() for text in texts]
        found = calibrate(everything, vectorizer, at_most=len(everything), at_least=highest)
        show(f"{name}, all", found)
        vectorizer.close()
        if arguments.write:
            figures = (found.threshold, round(found.precision, 4), round(found.recall, 4), found.pairs)
            manifest = replace(model.manifest, duplicates=Duplicates(*figures, texts=WORDS))
            (model.folder / MANIFEST_NAME).write_text(format_manifest(manifest), encoding="utf-8")


def texts_of(translations: str) -> dict[str, list[str]]:
    """Return the three kinds of texts, each from other packages."""
    packages = descriptions(translations)
    chooser = random.Random(1)
    chooser.shuffle(packages)
    first, second, third = (packages[OF_EACH * part : OF_EACH * (part + 1)] for part in range(3))
    return {
        "summaries": [title for _, title, _ in first],
        "sentences": [chooser.choice(sentences(text)) for _, _, text in second],
        "descriptions": [text for _, _, text in third],
    }


def sentences(text: str) -> list[str]:
    spans = [text[start:end].strip() for start, end in iter_sentences(text)]
    return [sentence for sentence in spans if len(sentence) >= SHORTEST_SENTENCE_CHARS] or [text]


def show(what: str, found: Calibration) -> None:
    by = "  ".join(f"{edit} {recall:.3f}" for edit, recall in found.recall_by.items())
    print(
        f"{what}: threshold {found.threshold:.4f}  precision {found.precision:.3f}  recall {found.recall:.3f}"
        f"  of {found.pairs} pairs, {found.texts} texts  {by}"
    )
    for left, right, cosine in found.closest:
        print(f"    {cosine:.4f} {left[:90]!r}\n           {right[:90]!r}")


if __name__ == "__main__":
    main()
