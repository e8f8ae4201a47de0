"""A program of the user's own, as it was typed."""

from __future__ import annotations

from embedcli.errors import UsageError


def command_words(option: str, command: str) -> list[str]:
    """Return a command as a list of words, split as a shell would; no shell will see it.

    Args:
        option: What it was given to, for messages.
        command: As it was typed.

    Raises:
        UsageError: A quote is not closed, or there is no word.
    """
    # Only for those who name one.
    import shlex

    try:
        words = shlex.split(command)
    except ValueError as error:
        raise UsageError(f"{option} {command}: {error}") from error
    if not words:
        raise UsageError(f"{option}: no command given")
    return words
