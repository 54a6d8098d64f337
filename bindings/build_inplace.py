# SPDX-License-Identifier: Apache-2.0
"""Makes the package importable from python/: builds both extensions there, over build/.

Run by `make build` after CMake. Does nothing when nothing changed since the last time.
"""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "python" / "beava"


def inputs(build_dir: Path) -> list[Path]:
    """What the outputs are made from."""
    bindings = ROOT / "bindings"
    return [
        ROOT / "setup.py",
        ROOT / "core" / "include" / "beava.h",
        build_dir / "libbeava.so",
        *bindings.glob("cffi/*.py"),
        *bindings.glob("cpython/*.[ch]"),
    ]


def outputs() -> list[Path]:
    """What `import beava` needs, for the interpreter that runs this."""
    suffix = sysconfig.get_config_var("EXT_SUFFIX")
    names = ("libbeava.so", f"_abi{suffix}", f"_codec{suffix}")
    return [PACKAGE / name for name in names]


def is_current(build_dir: Path) -> bool:
    """Whether every output is there and newer than every input."""
    files = [*inputs(build_dir), *outputs()]
    if not all(path.exists() for path in files):
        return False
    newest = max(path.stat().st_mtime for path in inputs(build_dir))
    # libbeava.so is a copy that keeps its time.
    return newest <= min(path.stat().st_mtime for path in outputs())


def main() -> int:
    """Builds if needed; returns the exit status."""
    build_dir = Path(os.environ.get("BEAVA_BUILD_DIR", ROOT / "build")).resolve()
    if is_current(build_dir):
        return 0
    command = [
        sys.executable,
        "setup.py",
        "-q",
        "build_ext",
        "--inplace",
        "--force",
        "--build-temp",
        str(build_dir / "python"),
    ]
    env = {**os.environ, "BEAVA_BUILD_DIR": str(build_dir)}
    return subprocess.run(command, cwd=ROOT, env=env).returncode


if __name__ == "__main__":
    sys.exit(main())
