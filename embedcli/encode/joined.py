"""Several models as one: their vectors put end to end, or brought into one space and averaged."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from embedcli.encode.alignment import read_rotation, rotate
from embedcli.encode.encoder import Encoded
from embedcli.encode.joined_manifest import split_prompt
from embedcli.encode.manifest import verify_files
from embedcli.errors import DamagedModelError, DeviceError, ModelError
from embedcli.vectors.normalize import normalize

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from embedcli.datatypes import OnLong, TokenSpan, Vectors
    from embedcli.encode.catalog import EncoderSettings, Model
    from embedcli.encode.encoder import Encoder
    from embedcli.encode.manifest import Manifest, Part


class JoinedEncoder:
    """Runs the encoders of several models one after another, each as its own manifest says.

    A text that is too long for one of them is cut or averaged by that one alone.
    """

    def __init__(
        self,
        manifest: Manifest,
        variant: str,
        encoders: Sequence[Encoder],
        rotations: Sequence[Vectors | None] = (),
    ) -> None:
        """Take over the encoders.

        Args:
            manifest: What is said of the whole.
            variant: Which of its variants the encoders are.
            encoders: One for each part.
            rotations: What takes a part's vectors into the space of the first, shape (dim, the part's dim),
                or None; empty where vectors are put end to end.

        Raises:
            DamagedModelError: The numbers of dimensions do not fit.
        """
        self.manifest, self.variant = manifest, variant
        self._encoders, self._rotations = list(encoders), list(rotations)
        self._weights = [part.weight for part in manifest.parts]
        self._tight = min(range(len(encoders)), key=lambda number: encoders[number].content_tokens)
        dims = [encoder.manifest.dim for encoder in encoders]
        if not rotations:
            given = sum(dims)
        else:
            given = dims[0]
            for dim, rotation in zip(dims, rotations, strict=True):
                wanted = (manifest.dim, dim)
                if rotation is not None and rotation.shape != wanted:
                    raise DamagedModelError(
                        f"model {manifest.name}: a rotation of shape {rotation.shape}, not {wanted}"
                    )
        if given != manifest.dim:
            raise DamagedModelError(
                f"model {manifest.name}: its parts give {given} numbers, its manifest says {manifest.dim}"
            )

    @property
    def device(self) -> str:
        """The GPU, if one of the parts runs there; else `cpu`."""
        return next((encoder.device for encoder in self._encoders if encoder.device != "cpu"), "cpu")

    @property
    def content_tokens(self) -> int:
        """Tokens of text that one call of the part with the lowest limit takes."""
        return self._encoders[self._tight].content_tokens

    def token_spans(self, text: str) -> list[TokenSpan]:
        """Return where the tokens of the part with the lowest limit stand in the text."""
        return self._encoders[self._tight].token_spans(text)

    def encode(self, texts: Sequence[str], *, on_long: OnLong = "pool", prompt: str = "") -> Encoded:
        """Return one vector for each text, of unit length; see `Encoder.encode`.

        Args:
            texts: Texts as they are.
            on_long: As for one model.
            prompt: For all parts, or one for each with `PROMPT_MARK` between them.

        Raises:
            ModelError: A part failed, or the encoder was closed.
            UsageError: The prompt is for another number of parts.
        """
        prompts = split_prompt(prompt, len(self._encoders))
        encoded = [
            encoder.encode(texts, on_long=on_long, prompt=own)
            for encoder, own in zip(self._encoders, prompts, strict=True)
        ]
        units = [normalize(found.vectors) for found in encoded]
        vectors = self._average(units) if self._rotations else self._end_to_end(units)
        return Encoded(vectors, self._token_counts([found.token_counts for found in encoded]))

    def token_vectors(self, texts: Sequence[str], *, prompt: str = "") -> list[Vectors]:  # noqa: ARG002  (always refused)
        """Refuse: the tokens of one part are not those of another.

        Raises:
            ModelError: Always.
        """
        raise ModelError(f"model {self.manifest.name}: joined models have no tokens in common to compare")

    def span_vectors(
        self,
        texts: Sequence[str],  # noqa: ARG002  (always refused)
        spans: Sequence[Sequence[tuple[int, int]]],  # noqa: ARG002
        *,
        prompt: str = "",  # noqa: ARG002
    ) -> list[Vectors]:
        """Refuse: joined models have no tokens in common to pool.

        Raises:
            ModelError: Always.
        """
        raise ModelError(f"model {self.manifest.name}: joined models have no tokens in common to pool")

    def close(self) -> None:
        """Stop the workers of all parts."""
        for encoder in self._encoders:
            encoder.close()

    def _end_to_end(self, units: Sequence[Vectors]) -> Vectors:
        return np.concatenate(
            [unit * np.float32(math.sqrt(weight)) for unit, weight in zip(units, self._weights, strict=True)],
            axis=1,
        )

    def _average(self, units: Sequence[Vectors]) -> Vectors:
        total = np.zeros((len(units[0]), self.manifest.dim), dtype=np.float64)
        for unit, weight, rotation in zip(units, self._weights, self._rotations, strict=True):
            total += weight * (unit if rotation is None else normalize(rotate(unit, rotation)))
        return normalize(total)

    def _token_counts(self, counts: Sequence[Sequence[int]]) -> list[int]:
        """Return each text's tokens as the part with the lowest limit counts them.

        Where the text is too long for some part, the highest count of such parts: it is over the lowest
        limit, and no other count is.
        """
        limits = [encoder.manifest.max_tokens for encoder in self._encoders]
        return [
            max(
                (count for count, limit in zip(own, limits, strict=True) if count > limit),
                default=min(own[self._tight], *limits),
            )
            for own in zip(*counts, strict=True)
        ]


def open_joined(model: Model, settings: EncoderSettings, on_notice: Callable[[str], None]) -> JoinedEncoder:
    """Open the encoders of all parts; see `open_encoder`.

    Raises:
        ModelError: A part is another model than it was, or is joined itself.
        UnknownModelError: A part is not there.
        DeviceError: The device that was demanded cannot be had.
        DamagedModelError: A file is missing or is not what a manifest says.
    """
    from embedcli.encode.catalog import choose_variant

    manifest = model.manifest
    variant = choose_variant(manifest, settings)
    if manifest.variants[variant].device == "cpu" or settings.device == "cpu":
        return _open_on(model, variant, replace(settings, device="cpu"), on_notice)
    device = "cuda:0" if settings.device in ("auto", "cuda") else settings.device
    try:
        return _open_on(model, variant, replace(settings, device=device), on_notice)
    except DeviceError as error:
        if settings.device != "auto":
            raise
        on_notice(f"running on the CPU: {error}")
        variant = settings.variant or manifest.default_variant
        return _open_on(model, variant, replace(settings, device="cpu"), on_notice)


def _open_on(
    model: Model, variant: str, settings: EncoderSettings, on_notice: Callable[[str], None]
) -> JoinedEncoder:
    manifest = model.manifest
    rotations = _read_rotations(model) if manifest.is_averaged else []
    opened: list[Encoder] = []
    try:
        for part in manifest.parts:
            opened.append(_open_part(model, part, variant, settings, on_notice))  # noqa: PERF401
        return JoinedEncoder(manifest, variant, opened, rotations)
    except BaseException:
        for encoder in opened:
            encoder.close()
        raise


def _open_part(
    model: Model, part: Part, variant: str, settings: EncoderSettings, on_notice: Callable[[str], None]
) -> Encoder:
    from embedcli.encode.catalog import find_model, open_encoder

    found = find_model(part.model, model.folders or (model.folder.parent,))
    own, name = part.variants[variant], model.manifest.name
    if found.manifest.kind == "joined":
        raise ModelError(f"model {name}: its part {part.model} is joined itself")
    if own not in found.manifest.variants or found.manifest.fingerprint(own) != part.fingerprints[variant]:
        raise ModelError(
            f"model {name}: its part {part.model} is another model now than the one it was made with",
            hint="bring that one back, or merge again",
        )
    is_on_gpu = found.manifest.variants[own].device == "cuda"
    return open_encoder(
        found,
        replace(settings, device=settings.device if is_on_gpu else "cpu", variant=own, pooling=None),
        on_notice,
    )


def _read_rotations(model: Model) -> list[Vectors | None]:
    """Return what takes each part's vectors into the space of the first; None for a part that is there."""
    files = [part.file for part in model.manifest.parts]
    verify_files(model.folder, model.manifest, tuple(name for name in files if name))
    return [read_rotation(model.folder / name) if name else None for name in files]
