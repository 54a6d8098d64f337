/* SPDX-License-Identifier: Apache-2.0 */
/* Python values to MessagePack and push frames.
 *
 * Enters:  events as dicts.
 * Leaves:  bytes, and the exception of every row that has no encoding.
 * Owner:   the caller of each function; a struct out lives for one call.
 *
 * Invariants
 *   (1) A row that fails leaves no byte behind.
 *   (2) An item is held while it is packed: what runs inside (`item()` of a numpy scalar) may
 * change the container that it came from, which is then an error and not a read of freed memory.
 */
#include "codec.h"

#include <math.h>
#include <string.h>

struct out {
    uint8_t *data;
    size_t size;
    size_t capacity;
};

static int
out_reserve(struct out *out, size_t extra)
{
    size_t wanted = out->size + extra;
    size_t capacity = out->capacity == 0 ? 256 : out->capacity;

    if (wanted <= out->capacity) {
        return 0;
    }
    if (wanted < extra || wanted > PY_SSIZE_T_MAX / 2) {
        PyErr_NoMemory();
        return -1;
    }
    while (capacity < wanted) {
        capacity *= 2;
    }
    uint8_t *data = PyMem_Realloc(out->data, capacity);
    if (data == NULL) {
        PyErr_NoMemory();
        return -1;
    }
    out->data = data;
    out->capacity = capacity;
    return 0;
}

static int
out_append(struct out *out, const void *bytes, size_t size)
{
    if (out_reserve(out, size) < 0) {
        return -1;
    }
    memcpy(out->data + out->size, bytes, size);
    out->size += size;
    return 0;
}

/* A type byte and a big-endian number of `size` bytes behind it. */
static int
out_tagged(struct out *out, uint8_t tag, uint64_t value, int size)
{
    if (out_reserve(out, 9) < 0) {
        return -1;
    }
    out->data[out->size] = tag;
    codec_store_be(out->data + out->size + 1, value, size);
    out->size += 1 + (size_t)size;
    return 0;
}

static PyObject *
out_bytes(struct out *out)
{
    return PyBytes_FromStringAndSize((const char *)out->data, (Py_ssize_t)out->size);
}

/* TypeError with the name of the value's type; tp_name would have the module of some before it. */
static void
refuse_type(const char *format, PyObject *value)
{
    PyObject *name = PyObject_GetAttrString((PyObject *)Py_TYPE(value), "__name__");

    if (name != NULL) {
        PyErr_Format(PyExc_TypeError, format, name);
        Py_DECREF(name);
    }
}

/* ---- values -------------------------------------------------------------------------------- */

/* The type bytes of one kind of length: in the byte itself up to fix_max (-1: never), or in 1 (0:
 * there is none), 2 or 4 bytes after it. */
struct heads {
    uint8_t fix;
    int fix_max;
    uint8_t wide[3];
};

static const struct heads str_heads = {0xa0, 31, {0xd9, 0xda, 0xdb}};
static const struct heads bin_heads = {0, -1, {0xc4, 0xc5, 0xc6}};
static const struct heads array_heads = {0x90, 15, {0, 0xdc, 0xdd}};
static const struct heads map_heads = {0x80, 15, {0, 0xde, 0xdf}};

static int
pack_head(struct out *out, const struct heads *heads, Py_ssize_t size)
{
    if (size <= heads->fix_max) {
        return out_tagged(out, (uint8_t)(heads->fix | size), 0, 0);
    }
    if (heads->wide[0] != 0 && size <= UINT8_MAX) {
        return out_tagged(out, heads->wide[0], (uint64_t)size, 1);
    }
    if (size <= UINT16_MAX) {
        return out_tagged(out, heads->wide[1], (uint64_t)size, 2);
    }
    if ((uint64_t)size <= UINT32_MAX) {
        return out_tagged(out, heads->wide[2], (uint64_t)size, 4);
    }
    PyErr_SetString(PyExc_ValueError, "value is too large");
    return -1;
}

static int
pack_unsigned(struct out *out, uint64_t value)
{
    if (value < 0x80) {
        return out_tagged(out, (uint8_t)value, 0, 0);
    }
    if (value <= UINT8_MAX) {
        return out_tagged(out, 0xcc, value, 1);
    }
    if (value <= UINT16_MAX) {
        return out_tagged(out, 0xcd, value, 2);
    }
    if (value <= UINT32_MAX) {
        return out_tagged(out, 0xce, value, 4);
    }
    return out_tagged(out, 0xcf, value, 8);
}

static int
pack_negative(struct out *out, int64_t value)
{
    if (value >= -32) {
        return out_tagged(out, (uint8_t)value, 0, 0);
    }
    if (value >= INT8_MIN) {
        return out_tagged(out, 0xd0, (uint64_t)value, 1);
    }
    if (value >= INT16_MIN) {
        return out_tagged(out, 0xd1, (uint64_t)value, 2);
    }
    if (value >= INT32_MIN) {
        return out_tagged(out, 0xd2, (uint64_t)value, 4);
    }
    return out_tagged(out, 0xd3, (uint64_t)value, 8);
}

static int
pack_int(struct out *out, PyObject *value)
{
    int overflow = 0;
    long long number = PyLong_AsLongLongAndOverflow(value, &overflow);

    if (overflow == 0) {
        if (number == -1 && PyErr_Occurred()) {
            return -1;
        }
        return number >= 0 ? pack_unsigned(out, (uint64_t)number) : pack_negative(out, number);
    }
    if (overflow > 0) {
        unsigned long long large = PyLong_AsUnsignedLongLong(value);

        if (large != (unsigned long long)-1 || !PyErr_Occurred()) {
            return pack_unsigned(out, large);
        }
        if (!PyErr_ExceptionMatches(PyExc_OverflowError)) {
            return -1;
        }
        PyErr_Clear();
    }
    PyErr_SetString(PyExc_ValueError, "integer does not fit 64 bits");
    return -1;
}

static int
pack_float(struct out *out, double value)
{
    uint64_t bits;

    if (!isfinite(value)) {
        PyErr_SetString(PyExc_ValueError, "float must be finite");
        return -1;
    }
    memcpy(&bits, &value, sizeof bits);
    return out_tagged(out, 0xcb, bits, 8);
}

static int
pack_str(struct out *out, PyObject *value)
{
    Py_ssize_t size;
    const char *text = PyUnicode_AsUTF8AndSize(value, &size);

    if (text == NULL || pack_head(out, &str_heads, size) < 0) {
        return -1;
    }
    return out_append(out, text, (size_t)size);
}

static int
pack_bytes(struct out *out, PyObject *value)
{
    if (pack_head(out, &bin_heads, PyBytes_GET_SIZE(value)) < 0) {
        return -1;
    }
    return out_append(out, PyBytes_AS_STRING(value), (size_t)PyBytes_GET_SIZE(value));
}

static int pack_value(struct out *out, PyObject *value, int depth);

static int
check_depth(int depth)
{
    if (depth >= CODEC_DEPTH_MAX) {
        PyErr_Format(PyExc_ValueError, "value is nested deeper than %d levels", CODEC_DEPTH_MAX);
        return -1;
    }
    return 0;
}

static int
pack_dict(struct out *out, PyObject *dict, int depth)
{
    Py_ssize_t count = PyDict_GET_SIZE(dict);
    Py_ssize_t position = 0;
    PyObject *key;
    PyObject *value;

    if (check_depth(depth) < 0 || pack_head(out, &map_heads, count) < 0) {
        return -1;
    }
    while (PyDict_Next(dict, &position, &key, &value)) {
        int result = -1;

        Py_INCREF(key);
        Py_INCREF(value);
        if (!PyUnicode_Check(key)) {
            refuse_type("keys must be str, not %U", key);
        } else if (pack_str(out, key) == 0) {
            result = pack_value(out, value, depth + 1);
        }
        Py_DECREF(key);
        Py_DECREF(value);
        if (result < 0) {
            return -1;
        }
        if (PyDict_GET_SIZE(dict) != count) {
            PyErr_SetString(PyExc_RuntimeError, "dictionary changed size during iteration");
            return -1;
        }
    }
    return 0;
}

static int
pack_sequence(struct out *out, PyObject *sequence, int depth)
{
    Py_ssize_t count = PySequence_Fast_GET_SIZE(sequence);

    if (check_depth(depth) < 0 || pack_head(out, &array_heads, count) < 0) {
        return -1;
    }
    for (Py_ssize_t i = 0; i < count; i++) {
        PyObject *item = PySequence_Fast_GET_ITEM(sequence, i);

        Py_INCREF(item);
        int result = pack_value(out, item, depth + 1);
        Py_DECREF(item);
        if (result < 0) {
            return -1;
        }
        if (PySequence_Fast_GET_SIZE(sequence) != count) {
            PyErr_SetString(PyExc_RuntimeError, "list changed size during iteration");
            return -1;
        }
    }
    return 0;
}

static int
is_of_numpy(PyObject *value)
{
    PyObject *module = PyObject_GetAttrString((PyObject *)Py_TYPE(value), "__module__");

    if (module == NULL) {
        PyErr_Clear();
        return 0;
    }
    int is_numpy =
        PyUnicode_Check(module) && PyUnicode_CompareWithASCIIString(module, "numpy") == 0;
    Py_DECREF(module);
    return is_numpy && PyObject_HasAttrString(value, "item");
}

/* A numpy scalar is packed as the Python value that it stands for; nothing else gets here and is
 * packed, so this does not come back to itself. */
static int
pack_other(struct out *out, PyObject *value)
{
    int result = -1;
    PyObject *plain = NULL;

    if (is_of_numpy(value)) {
        plain = PyObject_CallMethod(value, "item", NULL);
        if (plain == NULL) {
            return -1;
        }
        if (PyBool_Check(plain) || PyLong_Check(plain) || PyFloat_Check(plain) ||
            PyUnicode_Check(plain) || PyBytes_Check(plain)) {
            result = pack_value(out, plain, 0);
            goto done;
        }
    }
    refuse_type("Object of type %U is not serializable", value);
done:
    Py_XDECREF(plain);
    return result;
}

static int
pack_value(struct out *out, PyObject *value, int depth)
{
    if (value == Py_None) {
        return out_tagged(out, 0xc0, 0, 0);
    }
    if (PyBool_Check(value)) {
        return out_tagged(out, value == Py_True ? 0xc3 : 0xc2, 0, 0);
    }
    if (PyUnicode_Check(value)) {
        return pack_str(out, value);
    }
    if (PyLong_Check(value)) {
        return pack_int(out, value);
    }
    if (PyFloat_Check(value)) {
        return pack_float(out, PyFloat_AS_DOUBLE(value));
    }
    if (PyDict_Check(value)) {
        return pack_dict(out, value, depth);
    }
    if (PyList_Check(value) || PyTuple_Check(value)) {
        return pack_sequence(out, value, depth);
    }
    if (PyBytes_Check(value)) {
        return pack_bytes(out, value);
    }
    return pack_other(out, value);
}

/* ---- rows ---------------------------------------------------------------------------------- */

static int
pack_row(struct out *out, PyObject *row)
{
    if (!PyDict_Check(row)) {
        refuse_type("an event must be a dict, not %U", row);
        return -1;
    }
    return pack_value(out, row, 0);
}

static int
refuse_size(size_t size, Py_ssize_t size_max)
{
    PyErr_Format(PyExc_ValueError, "event of %zu bytes exceeds the limit of %zd", size, size_max);
    return -1;
}

/* Moves the current exception into the list, as (index, exception). What is not about the row
 * (memory, an interrupt) stays raised. */
static int
record_error(PyObject *errors, Py_ssize_t index)
{
    PyObject *error;

    if (!PyErr_ExceptionMatches(PyExc_Exception) || PyErr_ExceptionMatches(PyExc_MemoryError)) {
        return -1;
    }
#if PY_VERSION_HEX >= 0x030c0000
    error = PyErr_GetRaisedException();
#else
    PyObject *type;
    PyObject *traceback;
    PyErr_Fetch(&type, &error, &traceback);
    PyErr_NormalizeException(&type, &error, &traceback);
    Py_XDECREF(type);
    Py_XDECREF(traceback);
#endif
    PyObject *entry = Py_BuildValue("nN", index, error);
    if (entry == NULL) {
        return -1;
    }
    int result = PyList_Append(errors, entry);
    Py_DECREF(entry);
    return result;
}

struct run {
    PyObject *event;
    PyObject *rows;
    PyObject *errors;
    Py_ssize_t index; /* of the next row */
    Py_ssize_t payload_size_max;
    struct out out;
};

static int
run_begin(struct run *run, const char *name, PyObject *const *args)
{
    if (!PyUnicode_Check(args[0]) || !PyList_Check(args[1])) {
        PyErr_Format(PyExc_TypeError, "%s() expects a str and a list", name);
        return -1;
    }
    run->event = args[0];
    run->rows = args[1];
    run->index = PyLong_AsSsize_t(args[2]);
    if (run->index == -1 && PyErr_Occurred()) {
        return -1;
    }
    run->payload_size_max = PyLong_AsSsize_t(args[3]);
    if (run->payload_size_max == -1 && PyErr_Occurred()) {
        return -1;
    }
    if (run->index < 0) {
        PyErr_SetString(PyExc_ValueError, "start must not be negative");
        return -1;
    }
    run->errors = PyList_New(0);
    return run->errors == NULL ? -1 : 0;
}

/* (bytes, next index, errors), or NULL with an exception. */
static PyObject *
run_end(struct run *run, int result)
{
    PyObject *answer = NULL;

    if (result == 0) {
        PyObject *bytes = out_bytes(&run->out);
        if (bytes != NULL) {
            answer = Py_BuildValue("NnO", bytes, run->index, run->errors);
        }
    }
    Py_XDECREF(run->errors);
    PyMem_Free(run->out.data);
    return answer;
}

static int
push_frame(struct run *run, const struct out *name, PyObject *row)
{
    struct out *out = &run->out;
    size_t begin = out->size;
    const uint8_t header[CODEC_FRAME_HEADER_SIZE] = {0, 0, 0, 0, 0, CODEC_OP_PUSH, CODEC_MSGPACK};

    if (out_append(out, header, sizeof header) < 0 || out_append(out, name->data, name->size) < 0 ||
        pack_row(out, row) < 0) {
        return -1;
    }
    size_t size = out->size - begin - sizeof header;
    if (size > (size_t)run->payload_size_max) {
        return refuse_size(size, run->payload_size_max);
    }
    codec_store_be(out->data + begin, size + CODEC_FRAME_HEAD_SIZE, CODEC_FRAME_LENGTH_SIZE);
    return 0;
}

PyObject *
encode_push_frames(PyObject *module, PyObject *const *args, Py_ssize_t count)
{
    static const char head[] = "\x82\xa5"
                               "event";
    static const char body[] = "\xa4"
                               "body";
    struct run run = {0};
    struct out name = {0};
    int result = -1;

    if (codec_check_count("encode_push_frames", count, 5) < 0) {
        return NULL;
    }
    Py_ssize_t size_max = PyLong_AsSsize_t(args[4]);
    if ((size_max == -1 && PyErr_Occurred()) || run_begin(&run, "encode_push_frames", args) < 0) {
        return NULL;
    }
    if (out_append(&name, head, sizeof head - 1) < 0 || pack_str(&name, run.event) < 0 ||
        out_append(&name, body, sizeof body - 1) < 0) {
        goto done;
    }
    while (run.index < PyList_GET_SIZE(run.rows) && (Py_ssize_t)run.out.size < size_max) {
        size_t begin = run.out.size;
        PyObject *row = PyList_GET_ITEM(run.rows, run.index);

        Py_INCREF(row);
        int pushed = push_frame(&run, &name, row);
        Py_DECREF(row);
        if (pushed < 0) {
            run.out.size = begin;
            if (record_error(run.errors, run.index) < 0) {
                goto done;
            }
        }
        run.index++;
    }
    result = 0;
done:
    PyMem_Free(name.data);
    return run_end(&run, result);
}

PyObject *
encode_push_many(PyObject *module, PyObject *const *args, Py_ssize_t count)
{
    static const char head[] = "\x82\xa5"
                               "event";
    static const char bodies[] = "\xa6"
                                 "bodies";
    struct run run = {0};
    uint64_t packed = 0;
    size_t count_at = 0;
    int result = -1;

    if (codec_check_count("encode_push_many", count, 4) < 0 ||
        run_begin(&run, "encode_push_many", args) < 0) {
        return NULL;
    }
    if (out_append(&run.out, head, sizeof head - 1) < 0 || pack_str(&run.out, run.event) < 0 ||
        out_append(&run.out, bodies, sizeof bodies - 1) < 0) {
        goto done;
    }
    count_at = run.out.size + 1;
    if (out_tagged(&run.out, 0xdd, 0, 4) < 0) {
        goto done;
    }
    while (run.index < PyList_GET_SIZE(run.rows)) {
        size_t begin = run.out.size;
        PyObject *row = PyList_GET_ITEM(run.rows, run.index);

        Py_INCREF(row);
        int pushed = pack_row(&run.out, row);
        Py_DECREF(row);
        if (pushed == 0 && run.out.size > (size_t)run.payload_size_max) {
            if (packed > 0) {
                run.out.size = begin; /* it goes first next time */
                break;
            }
            pushed = refuse_size(run.out.size, run.payload_size_max);
        }
        if (pushed < 0) {
            run.out.size = begin;
            if (record_error(run.errors, run.index) < 0) {
                goto done;
            }
        } else {
            packed++;
        }
        run.index++;
    }
    codec_store_be(run.out.data + count_at, packed, 4);
    result = 0;
done:
    return run_end(&run, result);
}

/* ---- single ones --------------------------------------------------------------------------- */

PyObject *
encode_pack(PyObject *module, PyObject *const *args, Py_ssize_t count)
{
    struct out out = {0};
    PyObject *bytes = NULL;

    if (codec_check_count("pack", count, 1) < 0) {
        return NULL;
    }
    if (pack_value(&out, args[0], 0) == 0) {
        bytes = out_bytes(&out);
    }
    PyMem_Free(out.data);
    return bytes;
}

PyObject *
encode_frame(PyObject *module, PyObject *const *args, Py_ssize_t count)
{
    Py_buffer payload;
    PyObject *frame = NULL;

    if (codec_check_count("encode_frame", count, 3) < 0) {
        return NULL;
    }
    long opcode = PyLong_AsLong(args[0]);
    if (opcode == -1 && PyErr_Occurred()) {
        return NULL;
    }
    long content_type = PyLong_AsLong(args[1]);
    if (content_type == -1 && PyErr_Occurred()) {
        return NULL;
    }
    if (PyObject_GetBuffer(args[2], &payload, PyBUF_SIMPLE) < 0) {
        return NULL;
    }
    if (opcode < 0 || opcode > UINT16_MAX || content_type < 0 || content_type > UINT8_MAX ||
        (uint64_t)payload.len > UINT32_MAX - CODEC_FRAME_HEAD_SIZE) {
        PyErr_SetString(PyExc_ValueError, "opcode, content type or payload size is out of bounds");
        goto done;
    }
    frame = PyBytes_FromStringAndSize(NULL, CODEC_FRAME_HEADER_SIZE + payload.len);
    if (frame == NULL) {
        goto done;
    }
    uint8_t *at = (uint8_t *)PyBytes_AS_STRING(frame);
    codec_store_be(at, (uint64_t)payload.len + CODEC_FRAME_HEAD_SIZE, CODEC_FRAME_LENGTH_SIZE);
    codec_store_be(at + 4, (uint64_t)opcode, 2);
    at[6] = (uint8_t)content_type;
    if (payload.len > 0) {
        memcpy(at + CODEC_FRAME_HEADER_SIZE, payload.buf, (size_t)payload.len);
    }
done:
    PyBuffer_Release(&payload);
    return frame;
}
