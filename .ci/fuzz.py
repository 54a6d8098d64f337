"""Builds the libFuzzer targets and runs each for a number of seconds, two at a time.

A target that finds something leaves its input in build-fuzz/ and fails the run.
"""

import argparse
import concurrent.futures
import os
import pathlib
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
BUILD = ROOT / "build-fuzz"


def build() -> list[pathlib.Path]:
    subprocess.run(
        ["cmake", "-S", ROOT, "-B", BUILD, "-G", "Ninja", "-DBEAVA_FUZZ=ON", "-DBEAVA_TESTS=OFF",
         "-DBEAVA_BENCHMARKS=OFF", "-DCMAKE_C_COMPILER=clang", "-DCMAKE_BUILD_TYPE=RelWithDebInfo"],
        check=True, stdout=subprocess.DEVNULL,
    )  # fmt: skip
    names = sorted(path.stem for path in (ROOT / "tests/core/fuzz").glob("fuzz_*.c"))
    subprocess.run(["ninja", "-C", BUILD, *names], check=True, stdout=subprocess.DEVNULL)
    return [BUILD / name for name in names]


def run(target: pathlib.Path, seconds: int) -> tuple[str, bool, str]:
    seeds = ROOT / "tests/core/fuzz/corpus" / target.name.removeprefix("fuzz_")
    found = BUILD / "corpus" / target.name
    found.mkdir(parents=True, exist_ok=True)
    command = [str(target), f"-max_total_time={seconds}", "-timeout=10", "-rss_limit_mb=2048",
               "-max_len=65536", "-print_final_stats=1", f"-artifact_prefix={BUILD}/{target.name}-",
               str(found)]  # fmt: skip
    if seeds.is_dir():
        command.append(str(seeds))
    result = subprocess.run(command, capture_output=True, text=True, errors="replace")
    runs = "".join(
        line.split()[-1] for line in result.stderr.splitlines() if "number_of_executed" in line
    )
    return target.name, result.returncode == 0, runs if result.returncode == 0 else result.stderr


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("only", nargs="*")
    arguments = parser.parse_args()
    targets = [t for t in build() if not arguments.only or t.name in arguments.only]
    started = time.monotonic()
    failed = 0
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        for name, good, detail in pool.map(lambda t: run(t, arguments.seconds), targets):
            print(f"{'ok  ' if good else 'FAIL'} {name}: {detail if good else detail[-4000:]}")
            failed += not good
    print(f"fuzz: {len(targets) - failed} passed, {failed} failed "
          f"({time.monotonic() - started:.0f} s)")  # fmt: skip
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
