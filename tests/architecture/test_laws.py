"""The laws of docs/ARCHITECTURE.md, read from the source and from what the compiler made of it."""

from __future__ import annotations

import ctypes
import pathlib
import re
import subprocess

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
SOURCE = ROOT / "core/src"

# A room may include what stands beside it here and nothing else. The order is the arrow of the
# house: server -> apply -> durability -> state -> plan -> registry -> expr, agg -> wire -> util;
# server -> admin, net -> wire; admin -> net -> wire; durability -> os -> util.
BELOW = {
    "util": set(),
    "os": {"util"},
    "wire": {"util"},
    "net": {"wire", "util"},
    "admin": {"net", "wire", "util"},
    "expr": {"wire", "util"},
    "agg": {"wire", "util"},
    "registry": {"expr", "agg", "wire", "util"},
    "plan": {"registry", "expr", "agg", "wire", "util"},
    "state": {"plan", "registry", "expr", "agg", "wire", "util"},
    "durability": {"os", "state", "plan", "registry", "expr", "agg", "wire", "util"},
    "apply": {"durability", "state", "plan", "registry", "expr", "agg", "wire", "util"},
    "server": {
        "admin",
        "apply",
        "net",
        "durability",
        "os",
        "state",
        "plan",
        "registry",
        "expr",
        "agg",
        "wire",
        "util",
    },
}
ROOMS = sorted(path.name for path in SOURCE.iterdir() if path.is_dir())
FILES = sorted([*SOURCE.rglob("*.c"), *SOURCE.rglob("*.h"), *SOURCE.rglob("*.def")])


def text_without_comments(path: pathlib.Path) -> str:
    return re.sub(r"/\*.*?\*/|//[^\n]*", " ", path.read_text(), flags=re.S)


def includes(path: pathlib.Path) -> list[str]:
    return re.findall(r'#include "([^"]+)"', path.read_text())


def test_every_room_is_on_the_map() -> None:
    assert set(ROOMS) == set(BELOW)


@pytest.mark.parametrize("room", ROOMS)
def test_arrows_point_one_way(room: str) -> None:
    wrong = []
    for path in (SOURCE / room).rglob("*.[ch]"):
        for name in includes(path):
            other = name.split("/")[0]
            if other not in (room, "beava.h") and other not in BELOW[room]:
                wrong.append(f"{path.relative_to(ROOT)} includes {name}")
    assert wrong == []


@pytest.mark.parametrize("room", ROOMS)
def test_every_room_tells_what_it_is(room: str) -> None:
    readme = SOURCE / room / "README.md"
    assert readme.is_file(), f"core/src/{room}/README.md is missing"
    assert len(readme.read_text().splitlines()) <= 70, "one page at most"


def test_files_open_with_licence_and_story() -> None:
    wrong = []
    for path in FILES:
        if path.suffix == ".def":
            continue
        lines = path.read_text().splitlines()
        if lines[0] != "/* SPDX-License-Identifier: Apache-2.0 */":
            wrong.append(f"{path.relative_to(ROOT)}: no SPDX line")
        opening = next((line for line in lines[1:] if line), "")
        if path.suffix == ".c" and not opening.startswith("/* "):
            wrong.append(f"{path.relative_to(ROOT)}: no story")
        if len(lines) > 1000:
            wrong.append(f"{path.relative_to(ROOT)}: {len(lines)} lines")
    assert wrong == []


def callers(function: str) -> set[str]:
    """Files that call a function, its definition and declarations aside."""
    found = set()
    for path in [*SOURCE.rglob("*.c")]:
        for line in text_without_comments(path).splitlines():
            if re.search(rf"\b{function}\(", line) and not line.startswith(function):
                found.add(str(path.relative_to(SOURCE)))
    return found


def test_one_door() -> None:
    """Law 2: requests enter through engine_dispatch, events reach tables from two places."""
    assert callers("apply_event") == {"apply/push.c"}
    push = text_without_comments(SOURCE / "apply/push.c")
    assert len(re.findall(r"\bapply_event\(", push)) == 2, "its definition and push_flush"
    assert callers("push_dispatch") <= {"apply/dispatch.c", "apply/push.c"}
    assert callers("push_replay") == {"apply/engine.c"}
    doors = callers("engine_dispatch")
    assert "api.c" in doors
    assert all(name == "api.c" or name.startswith("server/") for name in doors), doors


FILE_CALLS = (
    "open openat creat pwrite pwritev pwritev2 fsync fdatasync rename renameat unlink ftruncate"
    " fallocate posix_fallocate opendir mkdir fopen"
).split()


def test_only_the_os_room_touches_files() -> None:
    """Law 3. The settings file is read before anything starts; the listener opens /dev/null once,
    to have a descriptor to give up when there are none left."""
    allowed = {"server/config_file.c", "net/listener.c"}
    wrong = []
    for path in SOURCE.rglob("*.c"):
        name = str(path.relative_to(SOURCE))
        if name.startswith("os/") or name in allowed:
            continue
        code = text_without_comments(path)
        for call in FILE_CALLS:
            if re.search(rf"(?<![\w.>]){call}\(", code):
                wrong.append(f"{name} calls {call}")
    assert wrong == []


BLOCKING_CALLS = "pthread_mutex_lock pthread_cond_wait sem_wait usleep nanosleep".split()


def test_no_lock_stands_on_the_path_of_a_push() -> None:
    """Law 1: rooms that run on the apply thread take no mutex and no blocking wait."""
    wrong = []
    for room in ("wire", "expr", "agg", "registry", "plan", "state", "apply"):
        for path in (SOURCE / room).rglob("*.c"):
            if path.name == "populate.c":  # a thread of its own
                continue
            code = text_without_comments(path)
            for call in BLOCKING_CALLS:
                if f"{call}(" in code:
                    wrong.append(f"{path.relative_to(SOURCE)} calls {call}")
    assert wrong == []


def test_operators_ask_no_clock_and_roll_no_dice() -> None:
    wrong = []
    for room in ("expr", "agg", "plan", "state"):
        for path in (SOURCE / room).rglob("*.[ch]"):
            if path.name in ("hash.c", "hash.h"):  # the index's secret, drawn at boot
                continue
            code = text_without_comments(path)
            for call in ("clock_gettime", "clock_wall_ms", "gettimeofday", "getrandom", "rand"):
                if re.search(rf"\b{call}\(", code):
                    wrong.append(f"{path.relative_to(SOURCE)} uses {call}")
    assert wrong == []


def test_the_wall() -> None:
    """Law 6: main, bindings and benchmarks include beava.h and nothing of core/src."""
    outside = [SOURCE / "server/main.c"]
    outside += (ROOT / "bindings").rglob("*.[ch]")
    outside += (ROOT / "benchmarks/load").rglob("*.[ch]")
    wrong = []
    for path in outside:
        for name in includes(path):
            beside = (path.parent / name).exists()
            if name != "beava.h" and not (beside and SOURCE not in path.parents):
                wrong.append(f"{path.relative_to(ROOT)} includes {name}")
    assert wrong == []


def exported() -> list[str]:
    result = subprocess.run(
        ["nm", "-D", "--defined-only", str(ROOT / "build/libbeava.so")],
        check=True,
        capture_output=True,
        text=True,
    )
    return sorted(line.split()[-1] for line in result.stdout.splitlines())


def test_exported_symbols_are_the_checked_in_list() -> None:
    wanted = (ROOT / "tests/architecture/abi.txt").read_text().split()
    assert exported() == sorted(wanted)


def test_exported_symbols_are_those_of_the_header() -> None:
    header = (ROOT / "core/include/beava.h").read_text()
    declared = sorted(re.findall(r"BV_API[^;]*?\b(bv_\w+)\(", header))
    assert exported() == declared


def test_struct_sizes_of_the_interface(tmp_path: pathlib.Path) -> None:
    """Sizes are part of the ABI: a change here breaks compiled callers."""
    sizes = {
        "bv_error": 1288,
        "bv_bytes": 16,
        "bv_digest": 32,
        "bv_engine_options": 40,
        "bv_engine_stats": 72,
        "bv_snapshot_info": 32,
        "bv_server_options": 24,
    }
    asserts = "\n".join(
        f'_Static_assert(sizeof({name}) == {size}, "{name}");' for name, size in sizes.items()
    )
    program = tmp_path / "sizes.c"
    program.write_text(f'#include "beava.h"\n{asserts}\n')
    subprocess.run(
        ["cc", "-std=c11", "-fsyntax-only", f"-I{ROOT / 'core/include'}", str(program)], check=True
    )


def test_the_library_says_which_interface_it_is() -> None:
    library = ctypes.CDLL(str(ROOT / "build/libbeava.so"))
    library.bv_version.restype = ctypes.c_char_p
    declared = re.search(r"BV_API_VERSION (\d+)u", (ROOT / "core/include/beava.h").read_text())
    version = re.search(r'^version = "(.*)"', (ROOT / "pyproject.toml").read_text(), re.M)
    assert declared is not None and version is not None
    assert library.bv_api_version() == int(declared.group(1))
    assert library.bv_version().decode() == version.group(1)


# tests/core mirrors core/src. These files are tested through another, or through a whole server.
TESTED_THROUGH = {
    "api.c": "tests/property and tests/python/test_engine.py",
    "server/main.c": "tests/e2e",
    "admin/absent.c": "tests/python/test_bindings.py",
    "admin/no_tls.c": "tests/python/test_wheel.py",
    "agg/family_season.c": "tests/core/agg/test_family_shape.c",
    "agg/image.c": "tests/core/plan/test_image.c",
    "agg/latest.c": "tests/core/agg/test_family_velocity.c",
    "agg/text_counts.c": "tests/core/agg/test_family_shape.c",
    "durability/snapshot_file.c": "tests/core/durability/test_snapshot_write.c",
    "durability/snapshot_format.c": "tests/core/durability/test_snapshot_read.c",
    "durability/snapshot_thread.c": "tests/core/durability/test_snapshot_write.c",
    "net/conn_output.c": "tests/core/net/test_conn.c",
    "net/net.c": "tests/core/net/test_framed.c and tests/core/net/test_http.c",
    "server/boot.c": "tests/e2e",
    "server/command.c": "tests/e2e and tests/python/test_cli.py",
    "server/config_file.c": "tests/core/server/test_config.c",
    "server/metrics.c": "tests/core/server/test_sidecar.c",
    "server/seat_engine.c": "tests/e2e",
    "server/serve.c": "tests/e2e",
    "server/tools.c": "tests/e2e",
    "server/seat_null.c": "tests/core/server/test_public.c",
    "server/server.c": "tests/core/server/test_public.c",
    "server/tick.c": "tests/core/server/test_public.c",
    "wire/row_predict_json.c": "tests/core/wire/test_row_predict.c",
    "wire/row_predict_msgpack.c": "tests/core/wire/test_row_predict.c",
    "apply/images.c": "tests/core/apply/test_snapshot_copy.c",
    "apply/migrate.c": "tests/core/apply/test_snapshot_copy.c",
    "apply/sections.c": "tests/core/apply/test_snapshot_load.c",
    "apply/stats.c": "tests/core/apply/test_background.c",
    "apply/dispatch.c": "tests/core/apply/test_push.c",
    "apply/digest.c": "tests/core/apply/test_engine.c",
    "apply/feature.c": "tests/core/apply/test_read.c",
    "apply/journal.c": "tests/core/apply/test_engine.c",
    "apply/live.c": "tests/core/apply/test_register.c",
    "apply/reply.c": "tests/core/apply/test_read.c",
}


def test_every_source_file_has_its_test() -> None:
    missing = []
    for path in SOURCE.rglob("*.c"):
        name = path.relative_to(SOURCE)
        through = TESTED_THROUGH.get(str(name))
        if through is not None:
            assert all((ROOT / part).exists() for part in through.split(" and ")), through
        elif not (ROOT / "tests/core" / name.parts[0] / f"test_{path.name}").exists():
            missing.append(str(name))
    assert missing == []


def test_status_list_and_header_agree() -> None:
    rows = re.findall(r"BV_STATUS\((\w+), (\d+),", (SOURCE / "util/status.def").read_text())
    header = (ROOT / "core/include/beava.h").read_text()
    assert [(n, v) for n, v in re.findall(r"    BV_(\w+) = (\d+),", header)] == rows
    assert len({number for _, number in rows}) == len(rows), "numbers are never reused"
