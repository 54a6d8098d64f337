# SPDX-License-Identifier: Apache-2.0
"""python/beava/operators.py: one typed, documented function per operator.

Enters: the core's catalogue (what an operator is) and `_descriptor.OPERATORS` (what the package
promises: names, signatures, checks). Leaves: the text of the module, formatted.
Run by `make operators`; tests/python/test_catalog.py holds the file to it.
"""

from __future__ import annotations

import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
TARGET = ROOT / "python" / "beava" / "operators.py"
if str(ROOT / "python") not in sys.path:
    sys.path.insert(0, str(ROOT / "python"))

from beava import _catalog  # noqa: E402
from beava._descriptor import OPERATORS, Operator, Param  # noqa: E402

HEADER = '''# SPDX-License-Identifier: Apache-2.0
"""The aggregation operators, one typed function each.

Every function hands its arguments to the operator's row in `_descriptor.OPERATORS`, which checks
them, and returns an `AggDescriptor`; nothing is sent.

Made by bindings/build_operators.py from the core's catalogue: change that, or the row in the
operator's family file, and run `make operators`.
"""

from __future__ import annotations

import datetime

from ._col import _Expr
from ._descriptor import AggDescriptor, describe

Duration = str | datetime.timedelta
'''

# How a value of each result type is spoken of.
RESULTS = {
    "i64": "an int",
    "f64": "a float",
    "bool": "a bool",
    "datetime": "an int, milliseconds since the epoch",
    "field": "a value as it was pushed",
    "str": "a list or a dict",
    "json": "a list of dicts",
}

WHERE = "Predicate; only events for which it is true match. None: all of them."
DURATION = '"30s", "10m", "24h", "7d" or a timedelta'

# What an example passes, by parameter.
ARGUMENTS = {
    "field": '"amount"',
    "lat": '"lat"',
    "lon": '"lon"',
    "q": "0.5",
    "k": "2",
    "n": "2",
    "samples": "5",
    "window": '"1h"',
    "half_life": '"10m"',
    "sub_window": '"5m"',
    "baseline_window": '"1h"',
    "buckets": "[10, 50]",
}
# Over names rather than amounts these say more.
OF_NAMES = {
    "n_unique",
    "top_k",
    "entropy",
    "bloom_member",
    "event_type_mix",
    "value_change_count",
}
# Without a predicate these say nothing: the amount that it asks for.
OF_PREDICATES = {"ratio": 20, "streak": 20, "max_streak": 20, "negative_streak": 30}


def names() -> dict[str, str]:
    """Function -> operator, in the order of `__all__`: aliases stand behind what they mean."""
    aliases = _catalog.catalog()["aliases"]
    out = {}
    for op in OPERATORS:
        out[op] = op
        out.update({alias: op for alias, meant in aliases.items() if meant == op})
    return out


def arguments(operator: Operator) -> list[Param]:
    """The parameters as a signature has them: column, durations, its own, then what may be left."""
    places = ("field", "lat", "lon", "window", "half_life")

    def place(param: Param) -> tuple[int, str]:
        if param.name == "where":
            return (9, "")
        if param.name == "window" and param.default:
            return (8, "")
        return (places.index(param.name), "") if param.name in places else (7, param.name)

    return sorted(operator.params, key=place)


def signature(operator: Operator) -> str:
    """What stands between the parentheses."""
    out = []
    for param in arguments(operator):
        text = f"{param.name}: {param.annotation}"
        out.append(f"{text} = {param.default}" if param.default else text)
        if param.name == "field":
            out.append("*")
    return ", ".join(out if "*" in out else ["*", *out])


def describe_window(row: dict[str, Any], param: Param) -> str:
    """What a window does, by the row's rule and the signature."""
    if row["window"] == "refused":
        return "Only None or nothing: this operator has no window and the server refuses one."
    rest = 'None or "forever": all time' if param.default else '"forever": all time'
    return f"How far back it looks: {DURATION}. {rest}."


def describe_argument(row: dict[str, Any], param: Param) -> str:
    """The line of an argument."""
    if param.name == "where":
        return WHERE
    if param.name == "window" or param.key == row["window_alias"]:
        return describe_window(row, param)
    known = {p["name"]: p for p in row["params"]}
    # An input may be named by several parameters; they mean the same column.
    meant = known.get(param.key) or known[param.name]
    text: str = meant["help"]
    if not param.default and param.name == "field":
        text = text.split(" Without it")[0]
    if "Duration" in param.annotation:
        text = f"{text.rstrip('.')}; a timedelta will do."
    return text


def filled(text: str, indent: str, hanging: str) -> str:
    return textwrap.fill(
        text, 100, initial_indent=indent, subsequent_indent=hanging, break_long_words=False
    )


def example(function: str, op: str, prefix: str = "bv.") -> str:
    """A call with arguments that make sense for the operator."""
    out = []
    for param in arguments(OPERATORS[op]):
        if param.default not in ("", "None") or param.name in ("categories", "where"):
            continue
        if param.name == "window" and _catalog.rows()[op]["window"] == "refused":
            continue
        text = ARGUMENTS[param.name]
        if param.name == "field":
            out.append('"merchant"' if op in OF_NAMES else text)
        else:
            out.append(f"{param.name}={text}")
    if op in OF_PREDICATES:
        out.append(f'where=bv.col("amount") > {OF_PREDICATES[op]}')
    return f"{prefix}{function}({', '.join(out)})"


def docstring(function: str, op: str) -> str:
    """Summary, arguments, what the feature reads, what is refused here, an example."""
    row = _catalog.rows()[op]
    operator = OPERATORS[op]
    inner, deep = " " * 4, " " * 8
    lines = [row["summary"] if function == op else f"Another name of `{op}`."]
    lines[0] = filled(lines[0], inner + '"""', inner)
    lines += ["", filled(row["nulls"], inner, inner)]
    if row["error"] is not None:
        lines += ["", filled(row["error"], inner, inner)]
    lines += ["", f"{inner}Args:"]
    for param in arguments(operator):
        lines.append(filled(f"{param.name}: {describe_argument(row, param)}", deep, " " * 12))
    empty = str(row["empty"])
    if len(empty) > 40:
        empty = "every cell 0"
    lines += ["", f"{inner}Returns:"]
    lines.append(
        filled(
            f"What `agg` takes; the feature reads {RESULTS[row['output']]}, {empty} before"
            " anything has contributed.",
            deep,
            deep,
        )
    )
    lines += ["", f"{inner}Raises:"]
    names_of = {param.name for param in operator.params}
    if "field" in names_of:
        lines.append(f"{deep}RegistrationError: `field` is not the name of a field.")
    lines.append(f"{deep}TypeError: `where` is not an expression.")
    if names_of - {"field", "lat", "lon", "where"}:
        lines.append(f"{deep}ValueError: A parameter is out of its range.")
    lines += ["", f"{inner}Example:", f"{deep}>>> feature = {example(function, op)}"]
    return "\n".join(lines) + f'\n{inner}"""'


def function_text(function: str, op: str) -> str:
    """One function, not yet formatted."""
    passed = "".join(f", {p.name}={p.name}" for p in arguments(OPERATORS[op]))
    return (
        f"def {function}({signature(OPERATORS[op])}) -> AggDescriptor:\n"
        f'{docstring(function, op)}\n    return describe("{op}"{passed})\n'
    )


def formatted(text: str) -> str:
    """As the linter wants it."""
    command = [sys.executable, "-m", "ruff", "format", "--stdin-filename", str(TARGET), "-"]
    done = subprocess.run(command, input=text, capture_output=True, text=True, cwd=ROOT)
    if done.returncode != 0:
        raise RuntimeError(done.stderr)
    return done.stdout


def module_text() -> str:
    """The whole module."""
    public = "".join(f'    "{name}",\n' for name in names())
    parts = [HEADER, f"__all__ = [\n{public}]\n"]
    parts += [function_text(function, op) for function, op in names().items()]
    return formatted("\n\n".join(parts))


def main() -> int:
    TARGET.write_text(module_text())
    return 0


if __name__ == "__main__":
    sys.exit(main())
