/* SPDX-License-Identifier: Apache-2.0 */
/* Replies: runs of acks, and MessagePack rows.
 *
 * Enters:  bytes as they came from a server; they are not trusted.
 * Leaves:  Python values.
 * Owner:   the caller of each function.
 *
 * Invariants
 *   (1) Nothing is read past the buffer and nothing is allocated from a declared length alone.
 *   (2) Recursion ends at CODEC_DEPTH_MAX.
 */
#include "codec.h"

#include <stdbool.h>
#include <string.h>

/* ---- acks ---------------------------------------------------------------------------------- */

/* The number after the first "ack_lsn": that has one; false if there is none in 64 bits. */
static bool
find_lsn(const uint8_t *payload, size_t size, uint64_t *lsn)
{
    static const char member[] = "\"ack_lsn\":";
    const size_t member_size = sizeof member - 1;

    for (size_t at = 0; at + member_size < size; at++) {
        if (payload[at] != '"' || memcmp(payload + at, member, member_size) != 0) {
            continue;
        }
        size_t next = at + member_size;
        uint64_t value = 0;

        if (payload[next] < '0' || payload[next] > '9') {
            continue;
        }
        for (; next < size && payload[next] >= '0' && payload[next] <= '9'; next++) {
            if (__builtin_mul_overflow(value, (uint64_t)10, &value) ||
                __builtin_add_overflow(value, (uint64_t)(payload[next] - '0'), &value)) {
                return false;
            }
        }
        *lsn = value;
        return true;
    }
    return false;
}

static int
append_other(PyObject *others, Py_ssize_t index, int opcode, const uint8_t *data, size_t size)
{
    PyObject *entry = Py_BuildValue("niy#", index, opcode, (const char *)data, (Py_ssize_t)size);

    if (entry == NULL) {
        return -1;
    }
    int result = PyList_Append(others, entry);
    Py_DECREF(entry);
    return result;
}

PyObject *
decode_acks(PyObject *module, PyObject *const *args, Py_ssize_t count)
{
    Py_buffer buffer;
    PyObject *others = NULL;
    PyObject *answer = NULL;
    size_t at = 0;
    Py_ssize_t frames = 0;
    uint64_t last_lsn = 0;

    if (codec_check_count("decode_acks", count, 2) < 0) {
        return NULL;
    }
    Py_ssize_t payload_size_max = PyLong_AsSsize_t(args[1]);
    if (payload_size_max == -1 && PyErr_Occurred()) {
        return NULL;
    }
    if (PyObject_GetBuffer(args[0], &buffer, PyBUF_SIMPLE) < 0) {
        return NULL;
    }
    const uint8_t *data = buffer.buf;
    const size_t size = (size_t)buffer.len;
    others = PyList_New(0);
    if (others == NULL) {
        goto done;
    }
    while (size - at >= CODEC_FRAME_LENGTH_SIZE) {
        uint64_t length = codec_load_be(data + at, CODEC_FRAME_LENGTH_SIZE);

        if (length < CODEC_FRAME_HEAD_SIZE ||
            length > (uint64_t)payload_size_max + CODEC_FRAME_HEAD_SIZE) {
            PyErr_Format(PyExc_ValueError, "frame length %llu is out of bounds",
                         (unsigned long long)length);
            goto done;
        }
        if (size - at - CODEC_FRAME_LENGTH_SIZE < length) {
            break;
        }
        int opcode = (int)codec_load_be(data + at + 4, 2);
        const uint8_t *payload = data + at + CODEC_FRAME_HEADER_SIZE;
        size_t payload_size = (size_t)length - CODEC_FRAME_HEAD_SIZE;
        if ((opcode != CODEC_OP_PUSH || !find_lsn(payload, payload_size, &last_lsn)) &&
            append_other(others, frames, opcode, payload, payload_size) < 0) {
            goto done;
        }
        frames++;
        at += CODEC_FRAME_LENGTH_SIZE + (size_t)length;
    }
    answer = Py_BuildValue("nnKO", (Py_ssize_t)at, frames, (unsigned long long)last_lsn, others);
done:
    Py_XDECREF(others);
    PyBuffer_Release(&buffer);
    return answer;
}

/* ---- MessagePack --------------------------------------------------------------------------- */

struct reader {
    const uint8_t *at;
    const uint8_t *end;
};

/* The next `size` bytes, or NULL with an exception. */
static const uint8_t *
reader_take(struct reader *reader, uint64_t size)
{
    const uint8_t *at = reader->at;

    if ((uint64_t)(reader->end - at) < size) {
        PyErr_SetString(PyExc_ValueError, "MessagePack value is cut short");
        return NULL;
    }
    reader->at += size;
    return at;
}

static int
reader_number(struct reader *reader, int size, uint64_t *value)
{
    const uint8_t *at = reader_take(reader, (uint64_t)size);

    if (at == NULL) {
        return -1;
    }
    *value = codec_load_be(at, size);
    return 0;
}

static PyObject *
unpack_str(struct reader *reader, uint64_t size)
{
    const uint8_t *at = reader_take(reader, size);

    return at == NULL ? NULL : PyUnicode_DecodeUTF8((const char *)at, (Py_ssize_t)size, NULL);
}

static PyObject *
unpack_bytes(struct reader *reader, uint64_t size)
{
    const uint8_t *at = reader_take(reader, size);

    return at == NULL ? NULL : PyBytes_FromStringAndSize((const char *)at, (Py_ssize_t)size);
}

static PyObject *unpack_value(struct reader *reader, int depth);

static PyObject *
unpack_array(struct reader *reader, uint64_t count, int depth)
{
    PyObject *list = PyList_New(0);

    for (uint64_t i = 0; list != NULL && i < count; i++) {
        PyObject *item = unpack_value(reader, depth + 1);

        if (item == NULL || PyList_Append(list, item) < 0) {
            Py_CLEAR(list);
        }
        Py_XDECREF(item);
    }
    return list;
}

static int
unpack_member(struct reader *reader, PyObject *dict, int depth)
{
    int result = -1;
    PyObject *value = NULL;
    /* A container is no key; at the limit it is refused before it is built. */
    PyObject *key = unpack_value(reader, CODEC_DEPTH_MAX);

    if (key == NULL) {
        return -1;
    }
    if (!PyUnicode_Check(key)) {
        PyErr_SetString(PyExc_ValueError, "MessagePack map key must be a string");
        goto done;
    }
    value = unpack_value(reader, depth + 1);
    if (value != NULL) {
        result = PyDict_SetItem(dict, key, value);
    }
done:
    Py_DECREF(key);
    Py_XDECREF(value);
    return result;
}

static PyObject *
unpack_map(struct reader *reader, uint64_t count, int depth)
{
    PyObject *dict = PyDict_New();

    for (uint64_t i = 0; dict != NULL && i < count; i++) {
        if (unpack_member(reader, dict, depth) < 0) {
            Py_CLEAR(dict);
        }
    }
    return dict;
}

static PyObject *
unpack_container(struct reader *reader, bool is_map, uint64_t count, int depth)
{
    if (depth >= CODEC_DEPTH_MAX) {
        PyErr_Format(PyExc_ValueError, "value is nested deeper than %d levels", CODEC_DEPTH_MAX);
        return NULL;
    }
    return is_map ? unpack_map(reader, count, depth) : unpack_array(reader, count, depth);
}

static PyObject *
unpack_float(struct reader *reader, int size)
{
    uint64_t bits;
    double number;

    if (reader_number(reader, size, &bits) < 0) {
        return NULL;
    }
    if (size == 4) {
        uint32_t narrow = (uint32_t)bits;
        float single;
        memcpy(&single, &narrow, sizeof single);
        number = (double)single;
    } else {
        memcpy(&number, &bits, sizeof number);
    }
    return PyFloat_FromDouble(number);
}

static PyObject *
unpack_signed(struct reader *reader, int size)
{
    uint64_t bits;

    if (reader_number(reader, size, &bits) < 0) {
        return NULL;
    }
    /* Shift the sign up to bit 63 and let it come down again. */
    int shift = 64 - 8 * size;
    return PyLong_FromLongLong((int64_t)(bits << shift) >> shift);
}

/* Types with a number of 1, 2, 4 or 8 bytes behind the type byte. */
static PyObject *
unpack_wide(struct reader *reader, uint8_t tag, int depth)
{
    uint64_t number;

    switch (tag) {
    case 0xca:
        return unpack_float(reader, 4);
    case 0xcb:
        return unpack_float(reader, 8);
    case 0xd0:
    case 0xd1:
    case 0xd2:
    case 0xd3:
        return unpack_signed(reader, 1 << (tag - 0xd0));
    case 0xcc:
    case 0xcd:
    case 0xce:
    case 0xcf:
        return reader_number(reader, 1 << (tag - 0xcc), &number) < 0
                   ? NULL
                   : PyLong_FromUnsignedLongLong(number);
    case 0xd9:
    case 0xda:
    case 0xdb:
        return reader_number(reader, 1 << (tag - 0xd9), &number) < 0 ? NULL
                                                                     : unpack_str(reader, number);
    case 0xc4:
    case 0xc5:
    case 0xc6:
        return reader_number(reader, 1 << (tag - 0xc4), &number) < 0 ? NULL
                                                                     : unpack_bytes(reader, number);
    case 0xdc:
    case 0xdd:
    case 0xde:
    case 0xdf:
        return reader_number(reader, (tag & 1) != 0 ? 4 : 2, &number) < 0
                   ? NULL
                   : unpack_container(reader, tag >= 0xde, number, depth);
    default:
        PyErr_Format(PyExc_ValueError, "MessagePack type 0x%02x is not supported", tag);
        return NULL;
    }
}

static PyObject *
unpack_value(struct reader *reader, int depth)
{
    const uint8_t *at = reader_take(reader, 1);

    if (at == NULL) {
        return NULL;
    }
    uint8_t tag = *at;
    if (tag < 0x80) {
        return PyLong_FromLong(tag);
    }
    if (tag >= 0xe0) {
        return PyLong_FromLong((long)tag - 0x100);
    }
    if (tag >= 0xa0 && tag <= 0xbf) {
        return unpack_str(reader, tag & 31u);
    }
    if (tag <= 0x9f) {
        return unpack_container(reader, tag <= 0x8f, tag & 15u, depth);
    }
    if (tag == 0xc0) {
        Py_RETURN_NONE;
    }
    if (tag == 0xc2 || tag == 0xc3) {
        return PyBool_FromLong(tag == 0xc3);
    }
    return unpack_wide(reader, tag, depth);
}

PyObject *
decode_unpack(PyObject *module, PyObject *const *args, Py_ssize_t count)
{
    Py_buffer buffer;

    if (codec_check_count("unpack", count, 1) < 0) {
        return NULL;
    }
    if (PyObject_GetBuffer(args[0], &buffer, PyBUF_SIMPLE) < 0) {
        return NULL;
    }
    const uint8_t *data = buffer.buf;
    struct reader reader = {data, data + buffer.len};
    PyObject *value = unpack_value(&reader, 0);
    if (value != NULL && reader.at != reader.end) {
        PyErr_SetString(PyExc_ValueError, "bytes follow the MessagePack value");
        Py_CLEAR(value);
    }
    PyBuffer_Release(&buffer);
    return value;
}
