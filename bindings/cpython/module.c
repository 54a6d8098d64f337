/* SPDX-License-Identifier: Apache-2.0 */
/* The module beava._codec: its table of functions and nothing else.
 *
 * Enters:  imports.
 * Leaves:  a module without state; several interpreters may each have one.
 *
 * Invariants
 *   (1) No static Python object: nothing outlives the interpreter that made it.
 *   (2) Nothing here waits, so the GIL is never released.
 */
#include "codec.h"

int
codec_check_count(const char *name, Py_ssize_t count, Py_ssize_t wanted)
{
    if (count != wanted) {
        PyErr_Format(PyExc_TypeError, "%s() takes %zd arguments, got %zd", name, wanted, count);
        return -1;
    }
    return 0;
}

static int
module_exec(PyObject *module)
{
    return PyModule_AddIntConstant(module, "DEPTH_MAX", CODEC_DEPTH_MAX);
}

/* CPython wants one function type in this table whatever the calling convention; through void (*)
 * the compiler does not take the cast for a mistake. */
#define FUNCTION(f) ((PyCFunction)(void (*)(void))(f))

static PyMethodDef methods[] = {
    {"encode_frame", FUNCTION(encode_frame), METH_FASTCALL,
     PyDoc_STR("encode_frame(opcode, content_type, payload) -> bytes")},
    {"pack", FUNCTION(encode_pack), METH_FASTCALL, PyDoc_STR("pack(value) -> bytes")},
    {"encode_push_frames", FUNCTION(encode_push_frames), METH_FASTCALL,
     PyDoc_STR("encode_push_frames(event, rows, start, payload_size_max, size_max)"
               " -> (frames, next, errors)")},
    {"encode_push_many", FUNCTION(encode_push_many), METH_FASTCALL,
     PyDoc_STR("encode_push_many(event, rows, start, payload_size_max)"
               " -> (payload, next, errors)")},
    {"decode_acks", FUNCTION(decode_acks), METH_FASTCALL,
     PyDoc_STR("decode_acks(data, payload_size_max) -> (size, count, last_lsn, others)")},
    {"unpack", FUNCTION(decode_unpack), METH_FASTCALL, PyDoc_STR("unpack(data) -> value")},
    {NULL, NULL, 0, NULL},
};

static PyModuleDef_Slot slots[] = {
    {Py_mod_exec, (void *)module_exec},
#if PY_VERSION_HEX >= 0x030c0000
    {Py_mod_multiple_interpreters, Py_MOD_PER_INTERPRETER_GIL_SUPPORTED},
#endif
    {0, NULL},
};

static struct PyModuleDef definition = {
    .m_base = PyModuleDef_HEAD_INIT,
    .m_name = "beava._codec",
    .m_doc = PyDoc_STR("Frames and MessagePack; the twin is beava._codec_py."),
    .m_size = 0,
    .m_methods = methods,
    .m_slots = slots,
};

PyMODINIT_FUNC PyInit__codec(void);

PyMODINIT_FUNC
PyInit__codec(void)
{
    return PyModuleDef_Init(&definition);
}
