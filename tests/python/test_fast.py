# SPDX-License-Identifier: Apache-2.0
import importlib
import sys

import pytest
from beava import _codec, _codec_py, _fast


@pytest.fixture
def reload():
    yield lambda: importlib.reload(_fast)
    importlib.reload(_fast)


def test_the_compiled_codec_is_picked():
    assert _fast.IS_COMPILED
    assert _fast.pack is _codec.pack


def test_python_is_picked_when_asked_for(reload, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setenv("BEAVA_PURE_PYTHON", "1")
        assert reload().pack is _codec_py.pack
        assert not _fast.IS_COMPILED


def test_python_is_picked_when_nothing_was_compiled(reload, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setitem(sys.modules, "beava._codec", None)
        patch.delattr("beava._codec")
        assert reload().pack is _codec_py.pack


def test_both_have_the_same_functions():
    names = {n for n in dir(_codec) if not n.startswith("_")}
    assert names == {
        "DEPTH_MAX",
        "decode_acks",
        "encode_frame",
        "encode_push_frames",
        "encode_push_many",
        "pack",
        "unpack",
    }
    assert all(hasattr(_codec_py, name) for name in names)
