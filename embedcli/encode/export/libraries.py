"""The libraries that only an export needs, and what is set before they are imported."""

from __future__ import annotations

import contextlib
import importlib
import importlib.metadata
import importlib.util
import io
import logging
import os
import warnings
from typing import TYPE_CHECKING

from embedcli.errors import MissingExtraError

if TYPE_CHECKING:
    from collections.abc import Iterator

_MODULES = ("torch", "transformers", "optimum", "onnx", "sympy")
_DISTRIBUTIONS = ("torch", "transformers", "optimum", "optimum-onnx", "onnx", "onnxruntime")

_SETTINGS = {
    # An export reads a folder; nothing may be looked up or reported.
    "HF_HUB_OFFLINE": "1",
    "TRANSFORMERS_OFFLINE": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "TRANSFORMERS_VERBOSITY": "error",
    "TOKENIZERS_PARALLELISM": "false",
}


@contextlib.contextmanager
def export_libraries() -> Iterator[dict[str, str]]:
    """Make sure the libraries are there, keep them offline and quiet, and hand over their versions.

    The environment is put back at the end. Libraries that were imported before keep the settings that they
    read then.

    Yields:
        Versions by distribution name.

    Raises:
        MissingExtraError: A library is not installed.
    """
    if any(importlib.util.find_spec(name) is None for name in _MODULES) or (
        # `optimum` alone is a shell around the part that writes ONNX.
        importlib.util.find_spec("optimum.exporters") is None
        or importlib.util.find_spec("optimum.exporters.onnx") is None
    ):
        raise MissingExtraError("export", "exporting a model")
    before = {name: os.environ.get(name) for name in _SETTINGS}
    os.environ.update(_SETTINGS)
    disabled = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield {name: importlib.metadata.version(name) for name in _DISTRIBUTIONS}
    finally:
        logging.disable(disabled)
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


@contextlib.contextmanager
def silent() -> Iterator[None]:
    """Keep what a library prints off stdout and stderr: what matters is checked, and said in our words."""
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        yield
