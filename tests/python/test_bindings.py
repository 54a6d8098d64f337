# SPDX-License-Identifier: Apache-2.0
"""The bindings and the header that they were made from: this fails when they part."""

import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from beava import _abi, _engine

ROOT = Path(__file__).resolve().parents[2]
HEADER = ROOT / "core" / "include" / "beava.h"


@pytest.fixture(scope="module")
def build_beava():
    path = ROOT / "bindings" / "cffi" / "build_beava.py"
    spec = importlib.util.spec_from_file_location("build_beava", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def parsed(build_beava):
    """The declarations as cffi reads them now."""
    from cffi import FFI

    ffi = FFI()
    ffi.cdef(build_beava.declarations(HEADER.read_text()).replace(" ...\n", " 0\n"))
    return ffi


def test_every_function_of_the_header_is_bound():
    names = re.findall(r"^BV_API .*?\b(bv_\w+)\(", HEADER.read_text(), re.M)
    assert len(names) > 15
    for name in names:
        assert callable(getattr(_abi.lib, name))


def test_every_constant_of_the_header_is_bound():
    for name, value in re.findall(r"^#define (BV_\w+)\s+(\d+)u$", HEADER.read_text(), re.M):
        assert getattr(_abi.lib, name) == int(value)


def test_the_built_module_has_the_headers_statuses(parsed):
    built = _abi.ffi.typeof("bv_status").elements
    assert built == parsed.typeof("bv_status").elements
    assert built[0] == "BV_OK"


@pytest.mark.parametrize(
    "struct",
    [
        "bv_error",
        "bv_bytes",
        "bv_engine_options",
        "bv_digest",
        "bv_engine_stats",
        "bv_server_options",
    ],
)
def test_the_built_module_has_the_headers_structs(parsed, struct):
    def layout(ffi):
        fields = ffi.typeof(struct).fields
        return [(name, f.offset, ffi.sizeof(f.type)) for name, f in fields]

    assert layout(_abi.ffi) == layout(parsed)
    assert _abi.ffi.sizeof(struct) == parsed.sizeof(struct)


def test_a_linkage_block_that_is_not_guarded_is_noticed(build_beava):
    with pytest.raises(ValueError, match="linkage block"):
        build_beava.declarations('extern "C" {\nint f(void);\n}\n')


def test_the_library_has_our_interface_version():
    assert _abi.lib.bv_api_version() >= _engine.API_VERSION


def test_a_server_in_this_process_has_no_admin_listener():
    ffi, lib = _abi.ffi, _abi.lib

    def start(*settings):
        texts = [
            ffi.new("char[]", text.encode()) for text in ("listen_addr=127.0.0.1:0", *settings)
        ]
        array = ffi.new("char *[]", texts)
        options = ffi.new("bv_server_options *")
        options.struct_size = ffi.sizeof("bv_server_options")
        options.settings, options.setting_count = array, len(texts)
        options.is_null = 1
        server, error = ffi.new("bv_server **"), ffi.new("bv_error *")
        status = lib.bv_server_start(server, options, error)
        return status, server[0], ffi.string(error.message).decode()

    first, second = start("tcp.enabled=false"), start("tcp.enabled=false")  # no port in common
    for status, server, message in (first, second):
        assert status == 0, message
        assert lib.bv_server_stop(server) == 0
    status, _, message = start("tcp.enabled=false", "admin_addr=127.0.0.1:0")
    assert status != 0
    assert message == "admin_addr: a server inside a program has no admin listener"


def test_an_older_library_is_refused(monkeypatch):
    monkeypatch.setattr(_engine, "API_VERSION", 10_000)
    with pytest.raises(ImportError, match="interface version"):
        _engine._load.__wrapped__()


def test_the_extensions_export_their_entry_and_nothing_else():
    package = ROOT / "python" / "beava"
    for path in package.glob("_codec.*.so"):
        out = subprocess.run(["nm", "-D", "--defined-only", path], capture_output=True, text=True)
        symbols = [line.split()[-1] for line in out.stdout.splitlines()]
        assert [s for s in symbols if not s.startswith("_") or "PyInit" in s] == ["PyInit__codec"]


def test_compiled_modules_match_their_stubs(tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "mypy.stubtest", "beava._codec"],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env={**os.environ, "MYPYPATH": str(ROOT / "python"), "PYTHONPATH": str(ROOT / "python")},
    )
    assert done.returncode == 0, done.stdout + done.stderr
