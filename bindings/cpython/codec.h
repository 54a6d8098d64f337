/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BV_BINDINGS_CODEC_H
#define BV_BINDINGS_CODEC_H

/* beava._codec: what a client does per event, in C. The twin in python/beava/_codec_py.py has the
 * same functions, results and messages; tests/python/test_codec.py runs over both. */

#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include <stdint.h>

/* Containers in containers; the server's limit on a value. It also bounds our recursion. */
#define CODEC_DEPTH_MAX 128

#define CODEC_FRAME_HEADER_SIZE 7
#define CODEC_FRAME_LENGTH_SIZE 4
#define CODEC_FRAME_HEAD_SIZE   3 /* opcode and content type, which the length counts */
#define CODEC_OP_PUSH           0x0010
#define CODEC_MSGPACK           0x02

/* All are METH_FASTCALL functions of the module. */
PyObject *encode_frame(PyObject *module, PyObject *const *args, Py_ssize_t count);
PyObject *encode_pack(PyObject *module, PyObject *const *args, Py_ssize_t count);
PyObject *encode_push_frames(PyObject *module, PyObject *const *args, Py_ssize_t count);
PyObject *encode_push_many(PyObject *module, PyObject *const *args, Py_ssize_t count);
PyObject *decode_acks(PyObject *module, PyObject *const *args, Py_ssize_t count);
PyObject *decode_unpack(PyObject *module, PyObject *const *args, Py_ssize_t count);

/* Sets TypeError and returns -1 unless there are `wanted` arguments. */
int codec_check_count(const char *name, Py_ssize_t count, Py_ssize_t wanted);

static inline void
codec_store_be(uint8_t *at, uint64_t value, int size)
{
    for (int i = 0; i < size; i++) {
        at[i] = (uint8_t)(value >> (8 * (size - 1 - i)));
    }
}

static inline uint64_t
codec_load_be(const uint8_t *at, int size)
{
    uint64_t value = 0;

    for (int i = 0; i < size; i++) {
        value = value << 8 | at[i];
    }
    return value;
}

#endif
