# SPDX-License-Identifier: Apache-2.0
"""Picks the codec: the compiled one, or its twin in Python (where BEAVA_PURE_PYTHON=1 asks, or
where nothing was compiled). Both have the same functions and the same tests."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING or os.environ.get("BEAVA_PURE_PYTHON") == "1":
    from . import _codec_py as codec
else:
    try:
        from . import _codec as codec
    except ImportError:
        from . import _codec_py as codec

IS_COMPILED: bool = codec.__name__.endswith("._codec")

encode_frame = codec.encode_frame
encode_push_frames = codec.encode_push_frames
encode_push_many = codec.encode_push_many
decode_acks = codec.decode_acks
pack = codec.pack
unpack = codec.unpack
