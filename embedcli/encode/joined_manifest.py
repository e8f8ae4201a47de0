"""What is said of several models that make one vector together."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING

import numpy as np

from embedcli.encode.manifest import Manifest, Part, Probe, Variant
from embedcli.errors import UsageError
from embedcli.vectors.normalize import normalize

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

PROMPT_MARK = "\x1f"
"""Stands between the prompts of the parts where they differ: a separator of ASCII that no prompt holds."""


def join_prompts(prompts: Sequence[str]) -> str:
    """Return one prompt that stands for one of each part: the same for all, or all of them, marked off."""
    return prompts[0] if len(set(prompts)) == 1 else PROMPT_MARK.join(prompts)


def split_prompt(prompt: str, count: int) -> list[str]:
    """Return the prompt of each of `count` parts; one without a mark goes to all of them.

    Raises:
        UsageError: It holds more or fewer than that.
    """
    prompts = prompt.split(PROMPT_MARK)
    if len(prompts) == 1:
        return prompts * count
    if len(prompts) != count:
        raise UsageError(f"a prompt for {len(prompts)} models, there are {count}")
    return prompts


def join_licences(licences: Iterable[str]) -> str:
    """Return the SPDX expression for a work to which all of these licences apply.

    Source: SPDX specification 2.3, annex D: `AND` binds tighter than `OR`; `NOASSERTION` stands for what is
    not known.
    """
    known = dict.fromkeys(licence or "NOASSERTION" for licence in licences)
    return " AND ".join(
        f"({licence})" if " OR " in licence and len(known) > 1 else licence for licence in known
    )


def join_models(names: Sequence[str], manifests: Sequence[Manifest]) -> Manifest:
    """Return the manifest of some models whose vectors are put end to end.

    Each vector is brought to unit length and divided by the root of their number: the cosine of two whole
    vectors is then the mean of the parts' cosines. (A part that has a zero vector for a text counts as if it
    were not there.)

    The languages are those that every model was trained for, as far as it says: in another language one
    part's cosines would only be noise in the mean.

    Args:
        names: How each model is found again.
        manifests: What they say, in the same order, two at least.

    Raises:
        UsageError: One of them is joined already, or gives no vectors of texts.
    """
    for manifest in manifests:
        if manifest.kind not in ("onnx", "static"):
            raise UsageError(
                f"{manifest.name} is {manifest.kind}: only models that give vectors of texts can be joined"
                if manifest.kind != "joined"
                else f"{manifest.name} is joined already and cannot be a part of another model",
                hint="" if manifest.kind != "joined" else "name its parts, with + between them",
            )
    weight = 1 / len(manifests)
    running = joint_variants(manifests)
    roles = dict.fromkeys(role for manifest in manifests for role in manifest.prompts)
    return Manifest(
        name="+".join(manifest.name for manifest in manifests),
        kind="joined",
        description=", ".join(manifest.name for manifest in manifests) + ": vectors put end to end",
        source=" + ".join(manifest.source for manifest in manifests),
        revision="+".join(manifest.revision for manifest in manifests),
        weights_sha256="",
        licence=join_licences(manifest.licence for manifest in manifests),
        languages=_shared_languages(manifests),
        not_for="; ".join(dict.fromkeys(manifest.not_for for manifest in manifests if manifest.not_for)),
        dim=sum(manifest.dim for manifest in manifests),
        dims=(),
        max_tokens=min(manifest.max_tokens for manifest in manifests),
        pooling="+".join(manifest.pooling for manifest in manifests),
        normalize=True,
        tokenizer="",
        default_variant=next(iter(running)),
        prompts={
            role: join_prompts([manifest.prompts.get(role, "") for manifest in manifests]) for role in roles
        },
        variants={name: _joint_variant(manifests, own) for name, own in running.items()},
        files={},
        probes=_joint_probes(manifests),
        parts=tuple(
            Part(
                name,
                weight,
                {joint: own[number] for joint, own in running.items()},
                {joint: manifest.fingerprint(own[number]) for joint, own in running.items()},
            )
            for number, (name, manifest) in enumerate(zip(names, manifests, strict=True))
        ),
    )


def joint_variants(manifests: Sequence[Manifest]) -> dict[str, tuple[str, ...]]:
    """Return which variants can run together, as those of each part, by a name for the whole.

    The parts' defaults come first; then those for a GPU, if no network lacks one (tables stay on the CPU);
    then every variant that all of them have.
    """
    together = [tuple(manifest.default_variant for manifest in manifests)]
    on_gpu = [
        next((name for name, entry in manifest.variants.items() if entry.device == "cuda"), None)
        or (manifest.default_variant if manifest.kind == "static" else "")
        for manifest in manifests
    ]
    if all(on_gpu):
        together.append(tuple(on_gpu))
    together += [
        (name,) * len(manifests)
        for name in manifests[0].variants
        if all(name in manifest.variants for manifest in manifests)
    ]
    named: dict[str, tuple[str, ...]] = {}
    for own in together:
        named.setdefault(own[0] if len(set(own)) == 1 else "+".join(own), own)
    return named


def _joint_variant(manifests: Sequence[Manifest], own: Sequence[str]) -> Variant:
    """Return what is said of some variants that run together.

    The mean of the parts' cosines to fp32 is exactly that of the whole; of the lowest ones it is a bound. The
    speed was not measured, which 0 stands for.
    """
    entries = [manifest.variants[name] for manifest, name in zip(manifests, own, strict=True)]
    lowest, means = [entry.cosine_min for entry in entries], [entry.cosine_mean for entry in entries]
    return Variant(
        file="",
        device=next((entry.device for entry in entries if entry.device != "cpu"), "cpu"),
        one_text_per_call=False,
        recipe="put end to end: " + ", ".join(own),
        cosine_min=round(sum(lowest) / len(lowest), 4) if all(lowest) else 0.0,
        cosine_mean=round(sum(means) / len(means), 4) if all(means) else 0.0,
        speed_ratio=0.0,
    )


def _shared_languages(manifests: Sequence[Manifest]) -> tuple[str, ...]:
    """Return the languages of all models that state any."""
    stated = [manifest.languages for manifest in manifests if manifest.languages]
    return tuple(code for code in stated[0] if all(code in codes for codes in stated)) if stated else ()


def _joint_probes(manifests: Sequence[Manifest]) -> tuple[Probe, ...]:
    """Return the texts that all models have probes of, with their vectors put end to end."""
    known = [{probe.text: probe.vector for probe in manifest.probes} for manifest in manifests]
    probes = []
    for text in known[0]:
        if all(text in vectors for vectors in known):
            try:
                units = [
                    normalize(np.frombuffer(base64.b64decode(vectors[text]), dtype="<f2")[np.newaxis])
                    for vectors in known
                ]
            except ValueError:
                return ()
            whole = np.concatenate(units, axis=1) / np.sqrt(len(units))
            probes.append(Probe(text, base64.b64encode(whole.astype("<f2").tobytes()).decode("ascii")))
    return tuple(probes)
