"""Twenty questions to three collections that people have: a project's docs, man pages, and mails.

The questions were written before anything was searched for, and before the man pages and the mails were looked at:
all that was known of the collections is in `COLLECTIONS`. What answers them was found afterwards by reading and
with grep.
"""

from __future__ import annotations

from typing import NamedTuple

COLLECTIONS = {
    "docs": "README.md and docs/*.md of this project",
    "man": "the man pages of coreutils, curl, findutils, gawk, git, grep, openssh, rsync, sed, systemd and tar",
    "mail": "the mails that notmuch is tested with: two mailing lists, the Linux kernel's and notmuch's own",
}


class Question(NamedTuple):
    """A question as a user would type it, and what answers it: `pattern` must match the text of a hit in `file`."""

    collection: str
    text: str
    file: str = ""
    pattern: str = ""


QUESTIONS = (
    Question("docs", "does it send my files to some server"),
    Question("docs", "what does --fuse rrf do"),
    Question("docs", "exit code 75"),
    Question("docs", "only search in files that changed last week"),
    Question("docs", "my computer lost power while it was indexing, is the index broken now"),
    Question("docs", "under which licence may I use the model that comes with it"),
    Question("docs", "convert a huggingface modle to onnx"),
    Question("man", "undo my last commit but keep the changes"),
    Question("man", "copy only files that are newer than the ones at the destination"),
    Question("man", "ProxyJump"),
    Question("man", "how do I delete all empty folders below here"),
    Question("man", "exit status 124"),
    Question("man", "tar exclud files matching a patern"),
    Question("man", "start a service again when it crashes"),
    Question("mail", "can I keep my mail in mbox files or does every message need its own file"),
    Question("mail", "does it build on FreeBSD"),
    Question("mail", "EXPORT_SYMBOL_GPL"),
    Question("mail", "laptop does not wake up after sleep"),
    Question("mail", "aplied your patch, thanks"),
    Question("mail", "change the colours of the message list in emacs"),
)
