# SPDX-License-Identifier: Apache-2.0
"""Builds what is not Python: the engine and the server with CMake, then the two extensions.

BEAVA_BUILD_DIR names a CMake build to bring up to date and use (bindings/build_inplace.py does
that); otherwise one is made below setuptools' own temporary directory.

    libbeava.so   beside the extensions, which find it there ($ORIGIN)
    _abi          cffi over core/include/beava.h
    _codec        bindings/cpython
    beava         the server, in the scripts directory
"""

import importlib.util
import os
import shutil
import subprocess
import sysconfig
from pathlib import Path

from setuptools import Extension, setup
from setuptools.command.build import build
from setuptools.command.build_ext import build_ext

try:
    from setuptools.command.build_scripts import build_scripts
except ImportError:
    from distutils.command.build_scripts import build_scripts

ROOT = Path(__file__).resolve().parent
LIBRARY = "libbeava.so"

# What to install when one is not there, by its Debian package.
TOOLS = {"cmake": "cmake", "cc": "gcc"}
HEADERS = {
    "msgpack.h": "libmsgpack-dev",
    "yaml.h": "libyaml-dev",
    "xxhash.h": "libxxhash-dev",
    "microhttpd.h": "libmicrohttpd-dev",
    "Python.h": "python3-dev",
}
WARNINGS = [
    "-Wall",
    "-Wextra",
    "-Werror",
    "-Wshadow",
    "-Wstrict-prototypes",
    "-Wmissing-prototypes",
    "-Wpointer-arith",
    "-Wwrite-strings",
    "-Wvla",
    "-Wcast-qual",
    "-Wno-unused-parameter",
]


def missing_packages() -> list[str]:
    """Debian packages of the tools and headers that are not there."""
    missing = [package for tool, package in TOOLS.items() if shutil.which(tool) is None]
    if "gcc" in missing:
        return missing
    include = sysconfig.get_path("include")
    for header, package in HEADERS.items():
        done = subprocess.run(
            ["cc", "-E", f"-I{include}", "-x", "c", "-", "-o", os.devnull],
            input=f"#include <{header}>\n",
            text=True,
            capture_output=True,
        )
        if done.returncode != 0:
            missing.append(package)
    return missing


def cmake_build(build_dir: Path) -> None:
    """Brings the shared library and the server up to date."""
    missing = missing_packages()
    if missing:
        raise SystemExit(
            "beava: to build from source, first install (Debian names): "
            f"apt-get install {' '.join(missing)}"
        )
    if not (build_dir / "CMakeCache.txt").exists():
        generator = ["-G", "Ninja"] if shutil.which("ninja") else []
        subprocess.run(
            [
                "cmake",
                "-S",
                str(ROOT),
                "-B",
                str(build_dir),
                *generator,
                "-DBEAVA_TESTS=OFF",
                "-DBEAVA_LTO=ON",
            ],
            check=True,
        )
    jobs = str(os.cpu_count() or 1)
    targets = ["beava_shared", "beava"]
    subprocess.run(
        ["cmake", "--build", str(build_dir), "-j", jobs, "--target", *targets], check=True
    )


def load_build_beava():
    """bindings/cffi/build_beava.py, which is not on the path."""
    path = ROOT / "bindings" / "cffi" / "build_beava.py"
    spec = importlib.util.spec_from_file_location("build_beava", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class Build(build):
    """Starts from nothing: a module that was removed must not stay in the wheel."""

    def run(self) -> None:
        shutil.rmtree(self.build_lib, ignore_errors=True)
        super().run()


class BuildExtensions(build_ext):
    """CMake first; then _abi is generated, and both are compiled."""

    def cmake_dir(self) -> Path:
        given = os.environ.get("BEAVA_BUILD_DIR")
        return Path(given).resolve() if given else Path(self.build_temp).resolve() / "cmake"

    def run(self) -> None:
        cmake_dir = self.cmake_dir()
        cmake_build(cmake_dir)
        generated = Path(self.build_temp) / "_abi.c"
        generated.parent.mkdir(parents=True, exist_ok=True)
        load_build_beava().make_ffi().emit_c_code(str(generated))
        for extension in self.extensions:
            if extension.name == "beava._abi":
                extension.sources = [str(generated)]
                extension.library_dirs = [str(cmake_dir)]
        super().run()
        package = ROOT / "python" if self.inplace else Path(self.build_lib)
        shutil.copy2(cmake_dir / LIBRARY, package / "beava" / LIBRARY)

    def get_outputs(self) -> list[str]:
        return [*super().get_outputs(), str(Path(self.build_lib) / "beava" / LIBRARY)]


class BuildServer(build_scripts):
    """Puts the server where scripts go. The base class takes every script for text."""

    def run(self) -> None:
        extensions = self.get_finalized_command("build_ext")
        self.run_command("build_ext")
        Path(self.build_dir).mkdir(parents=True, exist_ok=True)
        target = Path(self.build_dir) / "beava"
        shutil.copy2(extensions.cmake_dir() / "beava", target)
        target.chmod(0o755)

    def get_source_files(self) -> list[str]:
        return []  # it is built, not shipped as source


EXTENSIONS = [
    Extension(
        "beava._abi",
        sources=[],
        include_dirs=["core/include"],
        libraries=["beava"],
        extra_compile_args=["-O2", "-std=gnu11", "-fvisibility=hidden"],
        extra_link_args=["-Wl,-rpath,$ORIGIN"],
    ),
    Extension(
        "beava._codec",
        sources=[f"bindings/cpython/{name}.c" for name in ("module", "encode", "decode")],
        depends=["bindings/cpython/codec.h"],
        extra_compile_args=["-O2", "-std=gnu11", "-fvisibility=hidden", *WARNINGS],
    ),
]

setup(
    ext_modules=EXTENSIONS,
    scripts=["beava"],
    cmdclass={"build": Build, "build_ext": BuildExtensions, "build_scripts": BuildServer},
    # build/ itself is CMake's.
    options={"build": {"build_base": "build/package"}},
)
