# SPDX-License-Identifier: Apache-2.0
"""Which event does a parameter mean: the annotations of functions under our decorators.

Enters: a function. Leaves: one object per parameter. Each parameter is resolved on its own, in the
closure of the function, then in the locals of its callers, then in its globals, so that a class
local to a test or a factory is found with and without deferred annotations.
"""

from __future__ import annotations

import builtins
import inspect
import sys
import typing
from collections import ChainMap
from collections.abc import Callable
from typing import Any

_FRAMES_MAX = 32
_PACKAGE = __name__.partition(".")[0]


def _annotations(fn: Callable[..., Any]) -> dict[str, Any]:
    try:
        return dict(fn.__annotations__)
    except NameError:
        # Python 3.14 evaluates on access; ask for the source text of what it cannot see.
        import annotationlib  # type: ignore[import-not-found,unused-ignore]

        return dict(annotationlib.get_annotations(fn, format=annotationlib.Format.STRING))


def _is_ours(module: str) -> bool:
    return module == _PACKAGE or module.startswith(_PACKAGE + ".")


def _namespace(fn: Callable[..., Any]) -> ChainMap[str, Any]:
    closure: dict[str, Any] = {}
    code = getattr(fn, "__code__", None)
    for name, cell in zip(
        getattr(code, "co_freevars", ()), getattr(fn, "__closure__", None) or (), strict=False
    ):
        try:
            closure[name] = cell.cell_contents
        except ValueError:  # an empty cell: the name is not bound yet
            continue
    maps: list[dict[str, Any]] = [closure]
    frame = sys._getframe(1)
    while frame is not None and len(maps) <= _FRAMES_MAX:
        if not _is_ours(frame.f_globals.get("__name__", "")):
            maps.append(dict(frame.f_locals))
        frame = frame.f_back  # type: ignore[assignment]
    maps.append(getattr(fn, "__globals__", {}))
    maps.append(vars(builtins))
    return ChainMap(*maps)


def _without_none(value: Any, names: ChainMap[str, Any]) -> Any:
    """Optional[X] means X; forward references inside are looked up."""
    args = typing.get_args(value)
    if type(None) in args:
        rest = [a for a in args if a is not type(None)]
        if len(rest) == 1:
            value = rest[0]
    if isinstance(value, typing.ForwardRef):
        value = _evaluate(value.__forward_arg__, names)
    return value


def _evaluate(text: str, names: ChainMap[str, Any]) -> Any:
    # As typing.get_type_hints does; not with it, because it insists on types.
    return eval(text, {"__builtins__": {}}, names)


def resolve(fn: Callable[..., Any], decorator: str) -> dict[str, Any]:
    """The value of every parameter's annotation, by name, in order.

    Raises:
        TypeError: No parameters, one without annotation, or one that cannot be resolved.
    """
    name = getattr(fn, "__name__", repr(fn))
    parameters = list(inspect.signature(fn).parameters)
    if not parameters:
        raise TypeError(
            f"{decorator} function '{name}' must take at least one parameter, annotated with "
            f"the upstream event class: def {name}(event: Click): ..."
        )
    annotations = _annotations(fn)
    names: ChainMap[str, Any] | None = None
    resolved: dict[str, Any] = {}
    for parameter in parameters:
        if parameter not in annotations:
            raise TypeError(
                f"{decorator} function '{name}' parameter '{parameter}' must be annotated with "
                f"the upstream event class: def {name}({parameter}: Click): ..."
            )
        raw = annotations[parameter]
        names = _namespace(fn) if names is None else names
        try:
            value = _evaluate(raw, names) if isinstance(raw, str) else raw
            resolved[parameter] = _without_none(value, names)
        except Exception as error:
            raise TypeError(
                f"{decorator} function '{name}' parameter '{parameter}': cannot resolve the "
                f"annotation {raw!r} ({type(error).__name__}: {error})"
            ) from error
    return resolved
