"""Start-up is a feature: what each command loads is listed, and nothing else gets in."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.conftest import bare_environment

HEAVY = {
    "huggingface_hub", "ignore", "numpy", "onnx", "onnxruntime", "optimum", "orjson", "platformdirs", "pyarrow",
    "graspologic_native", "openTSNE", "PIL", "pydantic", "rensa", "rich", "scipy", "sklearn", "sqlite3", "tokenizers", "torch", "transformers", "xxhash",
    "asyncio", "concurrent", "multiprocessing", "tomllib", "http",
}  # fmt: skip


def loaded(code: str) -> set[str]:
    """Return the top-level modules that a fresh interpreter has loaded after running `code`."""
    program = f"import sys\ntry:\n  {code}\nexcept SystemExit: pass\nprint('LOADED', *sorted({{name.split('.')[0] for name in sys.modules}}), file=sys.stderr)"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, check=True, env=bare_environment()
    )
    return set(done.stderr.decode().rpartition("LOADED")[2].split())


RUN = "import embedcli.cli.main as m; sys.argv = ['embedcli', {}]; m.main()"


@pytest.mark.parametrize(
    ("code", "allowed"),
    [
        ("import embedcli", set()),
        (RUN.format("'--help'"), set()),
        (RUN.format("'search', '--help'"), {"platformdirs"}),
        (RUN.format("'--version'"), set()),
        (RUN.format("'embed', '--to', 'xml'"), {"platformdirs"}),
        (RUN.format("'models', 'verify'"), {"platformdirs", "tomllib"}),
        (
            RUN.format("'embed', '--string', 'x', '--to', 'raw'"),
            {"platformdirs", "tomllib", "numpy", "onnxruntime", "tokenizers", "xxhash"},
        ),
    ],
)
def test_no_command_loads_more_than_it_needs(code: str, allowed: set[str]) -> None:
    heavy = loaded(code) & HEAVY
    # What onnxruntime itself pulls in is not ours to choose.
    extra = loaded("import onnxruntime, tokenizers") if "onnxruntime" in allowed else set()
    assert heavy - extra <= allowed
