"""Finding model folders by name, and opening the encoder in one."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from embedcli.encode.manifest import MANIFEST_NAME, Manifest, read_manifest
from embedcli.encode.processors import usable_cpus
from embedcli.errors import DeviceError, ModelError, UnknownModelError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from embedcli.datatypes import Pooling
    from embedcli.encode.encoder import Encoder

DEFAULT_MODEL = "all-MiniLM-L6-v2"


@dataclass(frozen=True, slots=True)
class Model:
    """A model folder and what its manifest says."""

    folder: Path
    manifest: Manifest


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
                yield Model(path.parent, read_manifest(path.parent))


def find_model(name: str | None = None, folders: Sequence[Path] = ()) -> Model:
    """Return a model by its name, or by the path of its folder.

    Args:
        name: A folder's name, a path with a separator in it, or None for the default model.
        folders: Where to look before the shipped models.

    Raises:
        UnknownModelError: There is none; the message lists what there is.
        DamagedModelError: Its manifest cannot be read.
    """
    name = name or DEFAULT_MODEL
    if "/" in name or "\\" in name:
        folder = Path(name)
        return Model(folder, read_manifest(folder))
    for parent in (*folders, shipped_folder()):
        if (parent / name / MANIFEST_NAME).is_file():
            return Model(parent / name, read_manifest(parent / name))
    known = {
        path.parent.name
        for parent in (*folders, shipped_folder())
        for path in parent.glob(f"*/{MANIFEST_NAME}")
    }
    raise UnknownModelError(name, tuple(sorted(known)))


def choose_variant(manifest: Manifest, settings: EncoderSettings) -> str:
    """Return the variant that a run will use, without loading anything but the settings.

    Raises:
        DeviceError: CUDA is demanded and the model has no variant for it.
        ModelError: The model has no variant of the name that was asked for.
    """
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
    """
    from embedcli.encode.onnx import OnnxEncoder

    check_device(settings.device)
    variant = choose_variant(model.manifest, settings)
    jobs = settings.jobs if settings.jobs is not None else usable_cpus()

    def open_on(device: str, variant: str) -> Encoder:
        return OnnxEncoder(
            model.folder,
            model.manifest,
            variant=variant,
            device=device,
            jobs=jobs,
            pooling=settings.pooling,
            cache_folder=settings.cache_folder,
        )

    wants_cuda = model.manifest.variants[variant].device == "cuda" and settings.device != "cpu"
    if not wants_cuda and not settings.device.startswith("cuda"):
        return open_on("cpu", variant)
    device = "cuda:0" if settings.device in ("auto", "cuda") else settings.device
    try:
        return open_on(device, variant)
    except DeviceError as error:
        if settings.device != "auto":
            raise
        on_notice(f"running on the CPU: {error}")
        return open_on("cpu", settings.variant or model.manifest.default_variant)


def check_device(device: str) -> None:
    """Raise UsageError unless `device` is `auto`, `cpu`, `cuda` or `cuda:N`."""
    kind, _, number = device.partition(":")
    if device not in ("auto", "cpu", "cuda") and not (kind == "cuda" and number.isdecimal()):
        raise UsageError(f"device {device!r} is not one", hint="auto, cpu, cuda or cuda:N")
