"""Weights in the sentence-transformers layout to a model folder: export, fuse, quantize, count, measure."""

from embedcli.encode.export.run import export_model
from embedcli.encode.export.settings import ExportSettings

__all__ = ["ExportSettings", "export_model"]
