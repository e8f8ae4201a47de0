"""The program's own `main`, called again and again in one process: many answers, one start.

Reads a JSON object a line, with arguments, folder and environment; answers each with a line of exit code,
standard output and standard error.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
from typing import Any

from embedcli.cli.main import main


def run(request: dict[str, Any], out: Any, err: Any) -> dict[str, Any]:
    """Run one command with its output in two files."""
    for stream in (out, err):
        stream.seek(0)
        stream.truncate()
    os.dup2(out.fileno(), 1)
    os.dup2(err.fileno(), 2)
    os.chdir(request["folder"])
    os.environ.clear()
    os.environ.update(request["environment"])
    sys.argv = ["embedcli", *request["arguments"]]
    code: Any = None
    try:
        main()
    except SystemExit as stop:
        code = stop.code
    sys.stdout.flush()
    sys.stderr.flush()
    texts = []
    for stream in (out, err):
        stream.seek(0)
        texts.append(stream.read().decode("utf-8", "replace"))
    return {"code": code, "out": texts[0], "err": texts[1]}


def serve() -> None:
    """Answer until the input ends."""
    requests, answers = os.fdopen(os.dup(0), "r"), os.fdopen(os.dup(1), "w")
    empty = os.open(os.devnull, os.O_RDONLY)
    os.dup2(empty, 0)
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        for line in requests:
            answers.write(json.dumps(run(json.loads(line), out, err)) + "\n")
            answers.flush()


if __name__ == "__main__":
    serve()
