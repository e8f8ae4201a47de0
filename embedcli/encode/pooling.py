"""Token vectors to one vector."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast, get_args

from embedcli.datatypes import PoolingMode
from embedcli.errors import UsageError

if TYPE_CHECKING:
    from embedcli.datatypes import Pooling, Vector, Vectors
    from embedcli.encode.manifest import Manifest


SPLADE = "splade"
"""What a source may be said to be pooled by where its weights are a masked language model that was trained as
a learned sparse encoder: the largest weight of each word over the tokens. See `sparse.py`."""


def stated_pooling(name: str) -> str:
    """Return a pooling as it may be stated for a source: `splade`, or modes joined by `+`.

    Raises:
        UsageError: It is neither.
    """
    return name if name == SPLADE else "+".join(pooling_modes(name))


def pooling_modes(pooling: Pooling) -> tuple[PoolingMode, ...]:
    """Return the modes that are joined by `+` in a pooling's name.

    Raises:
        UsageError: One of them is not a mode; the message lists those there are.
    """
    modes = tuple(pooling.split("+"))
    for mode in modes:
        if mode not in get_args(PoolingMode):
            raise UsageError(
                f"pooling {mode!r} is not one", hint=", ".join(get_args(PoolingMode)) + ", or several with +"
            )
    return cast("tuple[PoolingMode, ...]", modes)


def pooled_dim(manifest: Manifest, pooling: Pooling | None = None) -> int:
    """Return how many numbers the vectors of a model have when it is pooled in another way than its own.

    Raises:
        UsageError: Dense layers follow pooling and take as many numbers as the model's own pooling gives; or
            the other is not a pooling.
    """
    if pooling is None or pooling == manifest.pooling:
        return manifest.dim
    own, other = len(pooling_modes(manifest.pooling)), len(pooling_modes(pooling))
    if not manifest.dense:
        return manifest.dim // own * other
    if own != other:
        raise UsageError(
            f"--pooling {pooling}: {manifest.name} has dense layers that take what {manifest.pooling} gives",
            hint="leave --pooling out, or join as many modes",
        )
    return manifest.dim


def pool(tokens: Vectors, pooling: Pooling, *, start: int = 0) -> Vector:
    """Return one vector for the token vectors of one text.

    Args:
        tokens: Shape (tokens, dim), float32, special tokens included, padding left out.
        pooling: `mean` of all tokens; the first (`cls`) or last (`last_token`); the largest value of each
            dimension (`max`); the sum over the square root of their number (`mean_sqrt_len`); the mean
            weighted by position, from 1 for the first (`weighted_mean`); or several of them joined by `+`.
        start: Tokens at the head that do not take part: those of a prompt that is left out. Positions are
            counted from the head all the same. Where it leaves none, the vector is zero.

    Returns:
        Shape (dim,) for one mode, (n x dim,) for n, in the order of the name; float32, not normalized.

    Source: sentence-transformers, `Pooling`, the modes of the same names. For a text without a token left it
    gives the first token for `cls` and minus infinity for `max`.
    """
    import numpy as np

    modes = pooling_modes(pooling)
    if start >= len(tokens):
        return np.zeros(tokens.shape[1] * len(modes), dtype=np.float32)
    if len(modes) == 1:
        return _pool(tokens[start:], modes[0], start)
    return np.concatenate([_pool(tokens[start:], mode, start) for mode in modes])


def _pool(tokens: Vectors, mode: PoolingMode, start: int) -> Vector:
    import numpy as np

    vector: Vector
    match mode:
        case "mean":
            vector = tokens.mean(axis=0)
        case "cls":
            vector = tokens[0]
        case "last_token":
            vector = tokens[-1]
        case "max":
            vector = tokens.max(axis=0)
        case "mean_sqrt_len":
            vector = tokens.sum(axis=0) / np.float32(np.sqrt(len(tokens)))
        case "weighted_mean":
            weights = np.arange(start + 1, start + len(tokens) + 1, dtype=np.float32)
            vector = (tokens * weights[:, None]).sum(axis=0) / weights.sum()
    return vector
