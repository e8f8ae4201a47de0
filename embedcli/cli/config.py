"""The user's config file: defaults for options, below the command line and the environment."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from embedcli.errors import UsageError

if TYPE_CHECKING:
    import typer

CONFIG_NAME = "config.toml"


def config_path() -> Path:
    """Return where the config file is looked for."""
    given = os.environ.get("EMBEDCLI_CONFIG")
    return Path(given) if given else user_folder("config") / CONFIG_NAME


def user_folder(kind: str) -> Path:
    """Return the user's folder for `cache`, `config` or `data`, after the platform's own rules."""
    import platformdirs

    match kind:
        case "cache":
            return Path(platformdirs.user_cache_dir("embedcli", appauthor=False))
        case "config":
            return Path(platformdirs.user_config_dir("embedcli", appauthor=False))
        case _:
            return Path(platformdirs.user_data_dir("embedcli", appauthor=False))


def apply_config(context: typer.Context) -> None:
    """Make the values of the config file the defaults of all commands.

    A key is an option's long name, at the head of the file for every command that has it, or in a table
    named after one command, such as `[search]` or `[index.build]`.

    Raises:
        UsageError: The file is not TOML, or has a key that is no option.
    """
    path = config_path()
    try:
        text = path.read_text(encoding="utf-8")
    except (FileNotFoundError, NotADirectoryError):
        return
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{path}: cannot be read: {error}") from error
    import tomllib

    try:
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise UsageError(f"{path}: {error}") from error
    general = {key: value for key, value in table.items() if not isinstance(value, dict)}
    unknown = set(general)
    tables = {key: value for key, value in table.items() if isinstance(value, dict)}
    context.default_map = _defaults(context.command, general, tables, unknown, path)
    if unknown:
        raise UsageError(f"{path}: no command has an option --{min(unknown)}")


def _defaults(
    group: Any, general: dict[str, Any], tables: dict[str, Any], unknown: set[str], path: Path
) -> dict[str, Any]:
    """Return the nested defaults of a group's commands; take the keys that were used out of `unknown`."""
    commands = group.commands
    if strange := set(tables) - set(commands):
        raise UsageError(f"{path}: no command named {min(strange)!r}")
    defaults: dict[str, Any] = {}
    for name, command in commands.items():
        own = tables.get(name, {})
        if hasattr(command, "commands"):
            defaults[name] = _defaults(command, general, own, unknown, path)
            continue
        names = {
            option.removeprefix("--"): parameter.name
            for parameter in command.params
            for option in parameter.opts
            if option.startswith("--")
        }
        if wrong := set(own) - set(names):
            raise UsageError(f"{path}: [{name}] has no option --{min(wrong)}")
        unknown -= set(names)
        defaults[name] = {names[key]: value for key, value in {**general, **own}.items() if key in names}
    return defaults
