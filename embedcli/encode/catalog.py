"""Finding model folders by name, and opening the encoder in one."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from embedcli.encode.manifest import MANIFEST_NAME, Manifest, read_manifest
from embedcli.encode.processors import usable_cpus
from embedcli.errors import DeviceError, ModelError, UnknownModelError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from embedcli.datatypes import Pooling
    from embedcli.encode.encoder import Encoder
    from embedcli.encode.pairs import PairEncoder
    from embedcli.encode.sparse import SparseEncoder

T = TypeVar("T")

DEFAULT_MODEL = "all-MiniLM-L6-v2"
STATIC_MODEL = "static-minilm"
ALIASES = {"default": DEFAULT_MODEL, "static": STATIC_MODEL}
"""Short names of shipped models, where no folder has that name."""


@dataclass(frozen=True, slots=True)
class Model:
    """A model folder and what its manifest says.

    Attributes:
        folder: For models that were joined by `+`, which have none, their names as they were given.
        folders: Where the parts of a joined model are looked for.
    """

    folder: Path
    manifest: Manifest
    folders: tuple[Path, ...] = ()


@dataclass(frozen=True, slots=True)
class EncoderSettings:
    """How an encoder is to be opened.

    Attributes:
        device: `auto`, `cpu`, `cuda` or `cuda:N`.
        jobs: Worker threads; None for as many as this process has CPUs.
        variant: One of the manifest's variants; None for the one that fits the device.
        pooling: Instead of the model's own; the vectors are then not what the model was trained to give.
        cache_folder: Where optimized graphs are kept; None for nowhere.
    """

    device: str = "auto"
    jobs: int | None = None
    variant: str | None = None
    pooling: Pooling | None = None
    cache_folder: Path | None = None


def shipped_folder() -> Path:
    """Return the folder with the models that come with the program."""
    package = Path(__file__).resolve().parent.parent
    installed = package / "models"
    # In a source tree the models lie beside the package.
    return installed if installed.is_dir() else package.parent / "models"


def iter_models(folders: Sequence[Path] = ()) -> Iterator[Model]:
    """Yield every readable model of the given folders and the shipped one, by name within each folder.

    A name that an earlier folder holds hides the same name in a later one.
    """
    seen: set[str] = set()
    for folder in (*folders, shipped_folder()):
        for path in sorted(folder.glob(f"*/{MANIFEST_NAME}")):
            if path.parent.name not in seen:
                seen.add(path.parent.name)
                yield Model(path.parent, read_manifest(path.parent), tuple(folders))


def find_model(name: str | None = None, folders: Sequence[Path] = ()) -> Model:
    """Return a model by its name, or by the path of its folder.

    Names and paths with `+` between them mean all of these models as one; a folder of the whole name goes
    before.

    Args:
        name: A folder's name, a path with a separator in it, or None for the default model.
        folders: Where to look before the shipped models.

    Raises:
        UsageError: A name is empty beside a `+`, or one of the models cannot be joined.
        UnknownModelError: There is none; the message lists what there is.
        DamagedModelError: Its manifest cannot be read.
    """
    name = name or DEFAULT_MODEL
    is_path = "/" in name or "\\" in name
    for folder in [Path(name)] if is_path else [parent / name for parent in (*folders, shipped_folder())]:
        if (is_path and "+" not in name) or _holds_model(folder):
            return Model(folder, read_manifest(folder), tuple(folders))
    if name in ALIASES:
        return find_model(ALIASES[name], folders)
    if "+" in name:
        return _join(name, folders)
    known = {
        path.parent.name
        for parent in (*folders, shipped_folder())
        for path in parent.glob(f"*/{MANIFEST_NAME}")
    }
    raise UnknownModelError(name, tuple(sorted(known)))


def _holds_model(folder: Path) -> bool:
    try:
        return (folder / MANIFEST_NAME).is_file()
    except OSError:
        # Many names in one are longer than a file's name may be.
        return False


def _join(name: str, folders: Sequence[Path]) -> Model:
    """Return the models of a name with `+` in it as one."""
    from embedcli.encode.joined_manifest import join_models

    names = name.split("+")
    if not all(names):
        raise UsageError(
            f"model {name!r}: nothing stands beside a +", hint="name+name, or a path in either place"
        )
    parts = [find_model(part, folders) for part in names]
    return Model(Path(name), join_models(names, [part.manifest for part in parts]), tuple(folders))


def choose_variant(manifest: Manifest, settings: EncoderSettings) -> str:
    """Return the variant that a run will use, without loading anything but the settings.

    Raises:
        DeviceError: CUDA is demanded and the model has no variant for it.
        ModelError: The model has no variant of the name that was asked for.
        UsageError: A pooling was asked for, and the model is joined of several that have their own.
    """
    if manifest.kind == "joined" and settings.pooling not in (None, manifest.pooling):
        raise UsageError(
            f"--pooling {settings.pooling}: {manifest.name} is several models, each with its own pooling",
            hint="leave --pooling out",
        )
    if settings.variant is not None:
        if settings.variant not in manifest.variants:
            raise ModelError(
                f"model {manifest.name} has no variant {settings.variant!r}",
                hint="it has: " + ", ".join(manifest.variants),
            )
        if settings.device.startswith("cuda") and manifest.variants[settings.variant].device != "cuda":
            # Made for calls without padding: it may have no mask.
            raise DeviceError(
                f"device {settings.device}: variant {settings.variant} of {manifest.name} is for the CPU",
                hint="leave --variant out, or use --device cpu",
            )
        return settings.variant
    if settings.device.startswith("cuda"):
        variant = _cuda_variant(manifest)
        if variant is None:
            raise DeviceError(
                f"device {settings.device}: model {manifest.name} has no variant for a GPU",
                hint="embedcli models export --recipe fp16 makes one; --device cpu always works",
            )
        return variant
    if settings.device == "auto" and (variant := _cuda_variant(manifest)) is not None:
        from embedcli.encode.session import has_cuda

        if has_cuda():
            return variant
    return manifest.default_variant


def _cuda_variant(manifest: Manifest) -> str | None:
    return next((name for name, entry in manifest.variants.items() if entry.device == "cuda"), None)


def open_encoder(
    model: Model, settings: EncoderSettings, on_notice: Callable[[str], None] = lambda _notice: None
) -> Encoder:
    """Load a model's encoder.

    Args:
        model: Where it is.
        settings: How to open it.
        on_notice: Told, once, when `auto` falls back from a GPU to the CPU.

    Raises:
        UsageError: The device's name is not one.
        DeviceError: The device that was demanded cannot be had.
        DamagedModelError: A file is missing or is not what the manifest says.
        ModelError: The model is of a kind that gives no vectors of texts, or a part of it is another one now.
    """
    check_device(settings.device)
    check_gives_vectors(model.manifest)
    if model.manifest.kind == "static":
        from embedcli.encode.static import StaticEncoder

        if settings.device.startswith("cuda"):
            raise DeviceError(
                f"device {settings.device}: {model.manifest.name} is a table and runs on the CPU",
                hint="leave --device out",
            )
        return StaticEncoder(
            model.folder,
            model.manifest,
            variant=choose_variant(model.manifest, settings),
            jobs=settings.jobs if settings.jobs is not None else usable_cpus(),
        )
    if model.manifest.kind == "joined":
        from embedcli.encode.joined import open_joined

        return open_joined(model, settings, on_notice)
    from embedcli.encode.onnx import OnnxEncoder

    def open_on(device: str, variant: str, jobs: int) -> Encoder:
        return OnnxEncoder(
            model.folder,
            model.manifest,
            variant=variant,
            device=device,
            jobs=jobs,
            pooling=settings.pooling,
            cache_folder=settings.cache_folder,
        )

    return _open_graph(model.manifest, settings, open_on, on_notice)


def open_sparse_encoder(
    model: Model, settings: EncoderSettings, on_notice: Callable[[str], None] = lambda _notice: None
) -> SparseEncoder:
    """Load a learned sparse model's encoder; see `open_encoder`.

    Raises:
        ModelError: The model is of another kind.
    """
    check_device(settings.device)
    check_is_sparse(model.manifest)
    from embedcli.encode.sparse import SparseEncoder

    def open_on(device: str, variant: str, jobs: int) -> SparseEncoder:
        return SparseEncoder(
            model.folder,
            model.manifest,
            variant=variant,
            device=device,
            jobs=jobs,
            cache_folder=settings.cache_folder,
        )

    return _open_graph(model.manifest, settings, open_on, on_notice)


def check_scores_pairs(manifest: Manifest) -> None:
    """Raise UsageError unless a model of this kind scores pairs of texts."""
    if manifest.kind != "cross-encoder":
        kind = {"onnx": "an encoder", "joined": "several encoders"}.get(manifest.kind)
        raise UsageError(
            f"{manifest.name} is {kind or f'a {manifest.kind} encoder'}: it does not score pairs of texts",
            hint="what is needed is a cross-encoder; --rerank maxsim needs no further model",
        )


def open_pair_encoder(
    model: Model, settings: EncoderSettings, on_notice: Callable[[str], None] = lambda _notice: None
) -> PairEncoder:
    """Load a cross-encoder. Pooling is not looked at.

    Args:
        model: Where it is.
        settings: How to open it.
        on_notice: Told, once, when `auto` falls back from a GPU to the CPU.

    Raises:
        UsageError: The device's name is not one, or the model is of another kind.
        DeviceError: The device that was demanded cannot be had.
        DamagedModelError: A file is missing or is not what the manifest says.
        ModelError: It does not give one score for a pair.
    """
    check_device(settings.device)
    check_scores_pairs(model.manifest)
    from embedcli.encode.pairs import PairEncoder

    def open_on(device: str, variant: str, jobs: int) -> PairEncoder:
        return PairEncoder(
            model.folder,
            model.manifest,
            variant=variant,
            device=device,
            jobs=jobs,
            cache_folder=settings.cache_folder,
        )

    return _open_graph(model.manifest, settings, open_on, on_notice)


def _open_graph(
    manifest: Manifest,
    settings: EncoderSettings,
    open_on: Callable[[str, str, int], T],
    on_notice: Callable[[str], None],
) -> T:
    """Return what `open_on` makes of a device, a variant and a number of threads.

    Where `auto` meets a GPU that cannot be used, that is said, and the CPU takes its place.
    """
    variant = choose_variant(manifest, settings)
    jobs = settings.jobs if settings.jobs is not None else usable_cpus()
    wants_cuda = manifest.variants[variant].device == "cuda" and settings.device != "cpu"
    if not wants_cuda and not settings.device.startswith("cuda"):
        return open_on("cpu", variant, jobs)
    device = "cuda:0" if settings.device in ("auto", "cuda") else settings.device
    try:
        return open_on(device, variant, jobs)
    except DeviceError as error:
        if settings.device != "auto":
            raise
        on_notice(f"running on the CPU: {error}")
        return open_on("cpu", settings.variant or manifest.default_variant, jobs)


def check_gives_vectors(manifest: Manifest) -> None:
    """Refuse a model that gives no vectors of texts.

    Raises:
        ModelError: It does not.
    """
    if manifest.kind == "sparse":
        raise ModelError(
            f"{manifest.name} is a sparse model: it gives weights of words, not vectors",
            hint="embedcli embed --sparse MODEL, embedcli index build --sparse MODEL",
        )
    if manifest.kind == "cross-encoder":
        raise ModelError(
            f"{manifest.name} is a cross-encoder: it scores pairs of texts and gives no vectors",
            hint=f"search --rerank {manifest.name} looks at the first hits again with it",
        )


def check_is_sparse(manifest: Manifest) -> None:
    """Refuse a model that gives no weights of words.

    Raises:
        ModelError: It does not.
    """
    if manifest.kind != "sparse":
        raise ModelError(
            f"{manifest.name} is no sparse model: its kind is {manifest.kind}",
            hint="-m takes models that give vectors; embedcli models list shows the kind of each",
        )


def check_device(device: str) -> None:
    """Raise UsageError unless `device` is `auto`, `cpu`, `cuda` or `cuda:N`."""
    kind, _, number = device.partition(":")
    if device not in ("auto", "cpu", "cuda") and not (kind == "cuda" and number.isdecimal()):
        raise UsageError(f"device {device!r} is not one", hint="auto, cpu, cuda or cuda:N")
