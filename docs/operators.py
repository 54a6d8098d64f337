# SPDX-License-Identifier: Apache-2.0
"""docs/operators.md: every operator, with an example that was run.

Enters: the core's catalogue, docs/weak_items.json, and the engine in process, for the examples.
Leaves: the page. What stands between the cost markers is the benchmark's
(benchmarks/operators.py) and is kept. Run by `make operators`; tests/docs/test_operators_page.py
holds the page to it.
"""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
TARGET = ROOT / "docs" / "operators.md"
WEAK_ITEMS = ROOT / "docs" / "weak_items.json"
COST_BEGIN = "<!-- costs: written by `make bench-operators` -->"
COST_END = "<!-- end of costs -->"
if str(ROOT / "python") not in sys.path:
    sys.path.insert(0, str(ROOT / "python"))

import beava as bv  # noqa: E402
from beava import _catalog  # noqa: E402

MINUTE = 60_000
START_MS = 1_700_000_000_000 // (60 * MINUTE) * (60 * MINUTE)  # a full hour of 2023-11-14, UTC

# What every example sees, a minute apart; it is read a minute after the last.
EVENTS: list[dict[str, Any]] = [
    {"amount": 12.5, "merchant": "cafe", "lat": 52.52, "lon": 13.40},
    {"amount": 40.0, "merchant": "shop", "lat": 52.50, "lon": 13.42},
    {"amount": 8.0, "merchant": "cafe", "lat": 52.53, "lon": 13.38},
    {"amount": 99.0, "merchant": "fuel", "lat": 52.40, "lon": 13.10},
    {"amount": 25.0, "merchant": "cafe", "lat": 52.52, "lon": 13.41},
]

FAMILIES = {
    "basic": "Counts, sums and extremes",
    "recency": "First, last, when, and runs",
    "decay": "Weights that fade with time",
    "velocity": "Change over time",
    "deviation": "Distance from the usual",
    "distinct": "Different values, the most frequent, membership",
    "quantile": "Quantiles",
    "entropy": "Entropy",
    "shape": "Distributions and categories",
    "season": "Hours and days",
    "buffer": "The values themselves",
    "geo": "Positions",
}

WINDOWS = {
    "optional": "Optional `window`; without it, or with `forever`, all time.",
    "required": "`window` is required.",
    "parameter": "`window` is required and is compared at the read.",
    "refused": "No `window`: one is refused with `{refusal}`.",
}

OUTPUTS = {
    "i64": "int",
    "f64": "float",
    "bool": "bool",
    "datetime": "int, milliseconds since the epoch",
    "field": "the value as it was pushed",
    "str": "array or object",
    "json": "array of objects",
}

INTRO = """# Operators

Made by `make operators` from the core's catalogue (`bv_catalog_json`), the rows of
`core/src/agg/family_*.c`; the examples were run. {count} operators{aliases}.

- **where**: every operator takes a predicate, `where=bv.col("amount") > 20`. An event for which it
  is true *matches*; one for which it is false or null does not.
- **window**: a window of length W is kept in 64 panes of `ceil(W / 64)` ms, aligned to the epoch;
  a pane counts while its start lies in `(now - W, now]`. `forever` is no window.
- **null** below means null or missing. A result that is not finite reads null.
- **empty** is what reads before anything has contributed.
- On the wire an operator is `{{"op": NAME, "params": {{...}}}}`; in Python it is the function
  of the same name.

Examples push these events of one user, a minute apart, and read a minute after the last:

{events}
"""


def load(name: str, path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


build_operators = load("build_operators", ROOT / "bindings" / "build_operators.py")


def table(head: list[str], rows: list[list[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


def rounded(value: Any) -> Any:
    """Six digits are enough to see, and do not depend on the machine's libm."""
    if isinstance(value, float):
        return float(f"{value:.6g}")
    if isinstance(value, list):
        return [rounded(item) for item in value]
    if isinstance(value, dict):
        return {name: rounded(item) for name, item in value.items()}
    return value


def short_json(value: Any) -> str:
    text = json.dumps(rounded(value))
    return text if len(text) <= 160 else f"{text[:60]} ... {text[-30:]}"


def answers() -> dict[str, Any]:
    """What every operator's example reads."""
    now_ms = START_MS

    @bv.event
    class Txn:
        user_id: str
        amount: float
        merchant: str
        lat: float
        lon: float

    features = {op: eval(build_operators.example(op, op), {"bv": bv}) for op in _catalog.rows()}

    @bv.table(key="user_id")
    def Features(txn: Txn) -> Any:
        return txn.group_by("user_id").agg(**features)

    with bv.Engine(clock=lambda: now_ms) as engine:
        engine.register(Txn, Features)
        for event in EVENTS:
            engine.push("Txn", {"user_id": "u1", **event})
            now_ms += MINUTE
        return dict(engine.get("Features", "u1"))


def bounds(param: dict[str, Any]) -> str:
    return f"{param['min']} to {param['max']}" if "min" in param else ""


def parameters(row: dict[str, Any]) -> str:
    rows = []
    for param in row["params"]:
        default = "required" if param["required"] else ""
        if "default" in param:
            default = f"`{json.dumps(param['default'])}`"
        rows.append([f"`{param['name']}`", param["type"], bounds(param), default,
                     cell(param["help"]), f"`{param['refusal']}`"])  # fmt: skip
    return table(["parameter", "type", "bounds", "default", "", "refused with"], rows)


def window_rule(row: dict[str, Any]) -> str:
    text = WINDOWS[row["window"]].format(refusal=row["window_refusal"])
    return f"{text} Also called `{row['window_alias']}`." if row["window_alias"] else text


def section(row: dict[str, Any], answer: Any) -> str:
    op = row["name"]
    contract = build_operators.OPERATORS[op]
    approximate = any(one["approximate"] for use in row["uses"] for one in use["any_of"])
    kept = ", ".join(
        " or ".join(f"`{one['name']}`" for one in use["any_of"]) for use in row["uses"]
    )
    error = row["error"] or ("approximate, as said above" if approximate else "exact")
    lines = [
        f"### {op}",
        "",
        row["summary"],
        "",
        f"```python\nbv.{op}({build_operators.signature(contract)})\n```",
        "",
    ]
    if row["params"]:
        lines += [parameters(row), ""]
    lines += [
        f"- **window**: {window_rule(row)}",
        f"- **null, NaN, other kinds**: {row['nulls']}",
        f"- **reads** {OUTPUTS[row['output']]} (declared `{row['output']}`);"
        f" **empty** `{short_json(row['empty'])}`",
        f"- **error**: {error}",
        f"- **keeps** {kept}",
        f"- **example**: `{build_operators.example(op, op)}` reads `{short_json(answer)}`",
        "",
    ]
    return "\n".join(lines)


def weak_items() -> str:
    items = json.loads(WEAK_ITEMS.read_text())
    rows = []
    for item in items:
        tests = "; ".join(f"`{test['file']}` {test['name']}" for test in item["tests"])
        rows.append([item["id"], cell(item["ours"]), tests])
    return (
        "## Where each weakness of the published server is tested\n\nThe items of `operators.md`"
        " section 13 of the specification, what ours does, and the tests that hold it.\n\n"
        + table(["item", "ours", "tests"], rows)
    )


def costs() -> str:
    """What the benchmark wrote, markers included."""
    text = TARGET.read_text() if TARGET.exists() else ""
    if COST_BEGIN not in text:
        return f"{COST_BEGIN}\n{COST_END}"
    return text[text.index(COST_BEGIN) : text.index(COST_END) + len(COST_END)]


def page() -> str:
    rows = _catalog.rows()
    aliases = _catalog.catalog()["aliases"]
    read = answers()
    also = "".join(f" and the alias `{alias}` of `{op}`" for alias, op in aliases.items())
    shown = table(list(EVENTS[0]), [[str(value) for value in event.values()] for event in EVENTS])
    parts = [INTRO.format(count=len(rows), aliases=also, events=shown)]
    parts.append("## Costs\n\n" + costs() + "\n")
    found = list(dict.fromkeys([*FAMILIES, *(row["family"] for row in rows.values())]))
    for family in found:
        members = [row for row in rows.values() if row["family"] == family]
        if members:
            parts.append(f"## {FAMILIES.get(family, family.capitalize())}\n")
            parts += [section(row, read[row["name"]]) for row in members]
    parts.append(weak_items())
    return "\n".join(parts) + "\n"


def main() -> int:
    TARGET.write_text(page())
    return 0


if __name__ == "__main__":
    sys.exit(main())
