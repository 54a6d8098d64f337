# SPDX-License-Identifier: Apache-2.0
"""The cffi bindings of core/include/beava.h: `beava._abi`, out of line, in API mode.

Enters: the header. Leaves: the C source of an extension. The declarations are made from the
header, so they cannot drift; the C compiler checks every struct and function against it again.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
HEADER = ROOT / "core" / "include" / "beava.h"

# Called by the engine on the caller's thread when Engine(clock=...) was given.
CALLBACKS = 'extern "Python" uint64_t beava_ask_clock(void *clock_arg);\n'

_COMMENT = re.compile(r"/\*.*?\*/", re.DOTALL)
_CONSTANT = re.compile(r"^#define (BV_[A-Z_]+)[ ]+(\d+)u$", re.MULTILINE)
_CONTINUATION = re.compile(r"\\\n")
_DIRECTIVE = re.compile(r"^#[^\n]*$", re.MULTILINE)
_EXTERN_C = re.compile(r'extern "C" \{')


def declarations(header: str) -> str:
    """The header without its preprocessor: what cffi's parser can read.

    Constants are kept, as `#define NAME ...`: the compiler fills the value in.
    """
    text = _COMMENT.sub("", header)
    text = _CONTINUATION.sub(" ", text)
    constants = "".join(f"#define {name} ...\n" for name, _ in _CONSTANT.findall(text))
    # Between `#ifdef __cplusplus` and `#endif` stand the braces of the linkage block.
    text = re.sub(r"#ifdef __cplusplus.*?#endif", "", text, flags=re.DOTALL)
    text = _DIRECTIVE.sub("", text)
    text = text.replace("BV_API ", "")
    if _EXTERN_C.search(text):
        raise ValueError("the header opens a linkage block outside #ifdef __cplusplus")
    return constants + text


def make_ffi() -> Any:
    """The builder of `beava._abi`; whoever compiles what it emits links libbeava."""
    from cffi import FFI

    ffi = FFI()
    ffi.cdef(declarations(HEADER.read_text()) + CALLBACKS)
    ffi.set_source("beava._abi", '#include "beava.h"\n')
    return ffi


if __name__ == "__main__":
    sys.stdout.write(declarations(HEADER.read_text()) + CALLBACKS)
