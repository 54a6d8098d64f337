"""Runs every suite of `make test` within its budget and counts what passed.

The budgets stand in .ci/budgets.toml. Suites run one after another, because the machine has few
cores and some of them measure time; the last line says how many tests passed and failed.
"""

import os
import pathlib
import re
import signal
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
PYTHON = ROOT / ".venv/bin/python"


def budgets() -> dict[str, dict[str, int]]:
    """The few lines of TOML that the file has: tables of integers (3.10 has no TOML reader)."""
    tables: dict[str, dict[str, int]] = {}
    current: dict[str, int] = {}
    for line in (ROOT / ".ci/budgets.toml").read_text().splitlines():
        line = line.split("#")[0].strip()
        if line.startswith("["):
            current = tables.setdefault(line.strip("[]"), {})
        elif "=" in line:
            name, value = line.split("=")
            current[name.strip()] = int(value)
    return tables


def ctest(build: str, *options: str, only: str = "") -> str:
    jobs = os.cpu_count()
    return (
        f"cmake -S . -B {build} -G Ninja -DBEAVA_BENCHMARKS=OFF {' '.join(options)} >/dev/null"
        f" && ninja -C {build} -j{jobs} >{build}/ninja.log"
        f" || {{ tail -n 50 {build}/ninja.log; exit 1; }};"
        f" ctest --test-dir {build} --output-on-failure -j{jobs} {only}"
    )


def pytest(folder: str) -> str:
    return f"{PYTHON} -m pytest -q -p no:cacheprovider {folder}"


BUDGETS = budgets()
SUITES = {
    "build": "make build",
    # Its server can be killed at named places: tests/e2e/test_crash_points.py does.
    "c": ctest("build-tests", "-DBEAVA_CRASH_POINTS=ON"),
    "asan": ctest("build-asan", "-DBEAVA_SANITIZE=address,undefined", "-DCMAKE_BUILD_TYPE=Debug"),
    # Where threads meet: the log and its writer, pages and their toucher, the server, log lines.
    "tsan": ctest(
        "build-tsan",
        "-DBEAVA_SANITIZE=thread",
        "-DCMAKE_BUILD_TYPE=Debug",
        only="-R '^(util|os|durability|state|apply|net|admin|server)_'",
    ),
    "lint": "make lint",
    "architecture": pytest("tests/architecture"),
    "golden": pytest("tests/golden"),
    "python": pytest("tests/python"),
    "property": pytest("tests/oracle tests/property"),
    "e2e": pytest("tests/e2e"),
    "compat": pytest("tests/compat"),
    "docs": pytest("tests/docs"),
    "fuzz": f"{PYTHON} .ci/fuzz.py --seconds {BUDGETS['fuzz']['fuzz_seconds']}",
}


def count(output: str) -> tuple[int, int]:
    """Passed and failed tests, by the runners' own closing lines."""
    passed = failed = 0
    for bad, of in re.findall(r"% tests passed, (\d+) tests failed out of (\d+)", output):
        passed, failed = int(of) - int(bad), int(bad)
    closing = [
        line for line in output.splitlines() if re.search(r"\d+ (passed|failed|error)", line)
    ]
    if closing and not passed and not failed:
        for number, what in re.findall(r"(\d+) (passed|failed|error)", closing[-1]):
            if what == "passed":
                passed += int(number)
            else:
                failed += int(number)
    return passed, failed


def run(name: str, command: str) -> tuple[int, int]:
    seconds = BUDGETS[name]["seconds"]
    started = time.monotonic()
    process = subprocess.Popen(
        ["bash", "-c", command], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        text=True, errors="replace", start_new_session=True,
    )  # fmt: skip
    try:
        output, _ = process.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        output, _ = process.communicate()
        output += f"\nthe budget of {seconds} s is spent\n"
    took = time.monotonic() - started
    passed, failed = count(output)
    if process.returncode != 0 and failed == 0:
        failed = 1
    elif process.returncode == 0 and passed == 0:
        passed = 1
    print(f"{name:14} {passed:6} passed {failed:4} failed {took:7.1f} s of {seconds}", flush=True)
    if failed:
        print(output[-20000:], flush=True)
    return passed, failed


def main() -> int:
    wanted = sys.argv[1:] or list(SUITES)
    totals = [run(name, SUITES[name]) for name in wanted]
    passed = sum(passed for passed, _ in totals)
    failed = sum(failed for _, failed in totals)
    print(f"{passed} passed, {failed} failed")
    return 1 if failed or not passed else 0


if __name__ == "__main__":
    sys.exit(main())
