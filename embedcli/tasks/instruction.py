"""Instructions for encoders that were trained to follow them: what to look at in a text.

Such an encoder's manifest has a prompt of one of the forms below; a user's instruction takes the place of the
one that stands in it.

Source: L. Wang et al., "Improving Text Embeddings with Large Language Models", ACL 2024, for the form
"Instruct: … Query:" of E5-instruct, Qwen3-Embedding and others; the model card of EmbeddingGemma for
"task: … | query:".
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from embedcli.errors import UsageError

if TYPE_CHECKING:
    from embedcli.encode.manifest import Manifest

_FORMS: Final = (
    re.compile(r"(?P<head>\s*Instruct:\s*).*?(?P<tail>\s*\n\s*Query:\s*)", re.DOTALL),
    re.compile(r"(?P<head>\s*task:\s*)[^|]*?(?P<tail>\s*\|\s*query:\s*)"),
)


def instruction_prompt(manifest: Manifest, instruction: str) -> str:
    """Return what is put before each text so that the encoder follows an instruction.

    Args:
        manifest: Of the encoder. Its query prompt says how it takes instructions, else the first of its
            prompts that says so.
        instruction: One line of plain words.

    Raises:
        UsageError: It is blank, or the encoder takes none.
    """
    words = " ".join(instruction.split())
    if not words:
        raise UsageError("--instruct: the instruction is blank")
    prompts = {"query": manifest.prompts.get("query", ""), **manifest.prompts}
    for prompt in prompts.values():
        for form in _FORMS:
            if found := form.fullmatch(prompt):
                return f"{found['head']}{words}{found['tail']}"
    raise UsageError(
        f"--instruct: model {manifest.name} takes no instructions",
        hint="one with a prompt such as 'Instruct: … Query:' does; --prompt puts any text before each record",
    )
