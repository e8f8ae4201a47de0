"""Groups of options that several commands share: defined once, as a dataclass, and joined to each command."""

import inspect
from collections.abc import Callable
from dataclasses import fields, is_dataclass
from functools import wraps
from typing import Any, TypeVar, get_type_hints

R = TypeVar("R")


def with_groups(command: Callable[..., R]) -> Callable[..., R]:
    """Give a command the options of each group among its parameters, in the group's place.

    A group is a parameter annotated with a dataclass whose fields are options. An option that the command
    has itself, with a help text of its own, is not given twice; the group has its value all the same.
    """
    signature = inspect.signature(command)
    groups: dict[str, Any] = {
        name: parameter.annotation
        for name, parameter in signature.parameters.items()
        if is_dataclass(parameter.annotation)
    }
    own = set(signature.parameters) - set(groups)
    parameters: list[inspect.Parameter] = []
    for name, parameter in signature.parameters.items():
        if name in groups:
            parameters += (option for option in _options(groups[name]) if option.name not in own)
        else:
            parameters.append(parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY))

    @wraps(command)
    def with_options(**typed: Any) -> R:
        made = {
            name: group(**{item.name: typed[item.name] for item in fields(group)})
            for name, group in groups.items()
        }
        return command(**{name: typed[name] for name in own}, **made)

    # What Typer looks at.
    with_options.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]
    with_options.__annotations__ = {option.name: option.annotation for option in parameters}
    return with_options


def _options(group: Any) -> list[inspect.Parameter]:
    hints = get_type_hints(group, include_extras=True)
    return [
        inspect.Parameter(
            item.name, inspect.Parameter.KEYWORD_ONLY, default=item.default, annotation=hints[item.name]
        )
        for item in fields(group)
    ]
