/* SPDX-License-Identifier: Apache-2.0 */
/* The module lithops._lithops: its state, the types of the other files, and what happens at exit.
 *
 * It uses multi-phase initialisation and has no static state, so it can be imported again after it
 * was removed from sys.modules. It needs the GIL: objects have no locks of their own.
 * Subinterpreters are refused where Python allows it (3.12), because done-callbacks run on threads
 * of the engine, which PyGILState_Ensure() attaches to the main interpreter.
 *
 * At exit, open executors are closed while Python still works: later, callbacks could not run, and
 * an engine thread waiting for the GIL would never get it. */
#include "client/executor.h"
#include "client/fork.h"
#include "codec/warm_bytes.h"
#include "extension.h"

PyDoc_STRVAR(module_doc, "The engine of Lithops, as the package lithops uses it.\n\n"
                         "See docs/python.md of the project; nothing here is for users.");

struct module_state *state_of(PyObject *self)
{
    for (PyTypeObject *type = Py_TYPE(self); type; type = type->tp_base) {
        if (!(type->tp_flags & Py_TPFLAGS_HEAPTYPE))
            continue;
        PyObject *module = ((PyHeapTypeObject *)type)->ht_module;
        if (module && PyModule_GetDef(module) == &lithops_module)
            return PyModule_GetState(module);
    }
    return NULL;
}

int add_type(PyObject *module, PyType_Spec *spec, PyObject **slot, bool is_public)
{
    *slot = PyType_FromModuleAndSpec(module, spec, NULL);
    if (!*slot)
        return -1;
    return is_public ? PyModule_AddType(module, (PyTypeObject *)*slot) : 0;
}

/* ---- the end --------------------------------------------------------------------------------- */

static PyObject *close_all(PyObject *module, PyObject *Py_UNUSED(ignored))
{
    struct module_state *state = state_of_module(module);
    state->is_exiting = true;
    state->exiting_thread = PyThread_get_thread_ident();
    while (state->open_executors) {
        struct executor *executor = state->open_executors;
        Py_INCREF(executor);
        executor_close(executor); /* takes it out of the list */
        Py_DECREF(executor);
    }
    Py_RETURN_NONE;
}

static PyMethodDef close_all_def = {"close_all", close_all, METH_NOARGS,
                                    "Close all executors: the interpreter ends."};

static int register_close_all(PyObject *module)
{
    PyObject *function = PyCFunction_New(&close_all_def, module);
    PyObject *atexit = function ? PyImport_ImportModule("atexit") : NULL;
    PyObject *result = atexit ? PyObject_CallMethod(atexit, "register", "O", function) : NULL;
    Py_XDECREF(result);
    Py_XDECREF(atexit);
    Py_XDECREF(function);
    return result ? 0 : -1;
}

/* ---- the module ------------------------------------------------------------------------------ */

static int module_exec(PyObject *module)
{
    static int (*const parts[])(PyObject *) = {
        lithops_add_errors,       lithops_add_codec,     lithops_add_function,
        lithops_add_job,          lithops_add_future,    lithops_add_wait,
        lithops_add_completed,    lithops_add_executor,  lithops_add_storage,
        lithops_add_stream,       lithops_add_call,      lithops_add_worker,
        lithops_add_report,       lithops_add_config,    lithops_add_log,
        lithops_add_surroundings, lithops_add_elsewhere, lithops_add_remembered,
        lithops_add_detached,
    };
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++)
        if (parts[i](module) != 0)
            return -1;
    if (fork_watch() != 0 || register_close_all(module) != 0)
        return -1;
    if (PyModule_AddStringConstant(module, "engine_version", lithops_version()) != 0)
        return -1;
    return PyModule_AddStringConstant(module, "__version__", LITHOPS_PYTHON_VERSION);
}

static int module_traverse(PyObject *module, visitproc visit, void *arg)
{
    struct module_state *state = state_of_module(module);
#define MODULE_VISIT(name) Py_VISIT(state->name);
    MODULE_OBJECTS(MODULE_VISIT)
#undef MODULE_VISIT
    for (size_t i = 0; i < LITHOPS_CODE_COUNT; i++)
        Py_VISIT(state->errors[i]);
    return 0;
}

static int module_clear(PyObject *module)
{
    struct module_state *state = state_of_module(module);
    warm_bytes_forget(state);
#define MODULE_CLEAR(name) Py_CLEAR(state->name);
    MODULE_OBJECTS(MODULE_CLEAR)
#undef MODULE_CLEAR
    for (size_t i = 0; i < LITHOPS_CODE_COUNT; i++)
        Py_CLEAR(state->errors[i]);
    return 0;
}

static void module_free(void *module)
{
    module_clear(module);
}

static PyModuleDef_Slot module_slots[] = {
    {Py_mod_exec, module_exec},
#if PY_VERSION_HEX >= 0x030c0000
    {Py_mod_multiple_interpreters, Py_MOD_MULTIPLE_INTERPRETERS_NOT_SUPPORTED},
#endif
#if PY_VERSION_HEX >= 0x030d0000
    {Py_mod_gil, Py_MOD_GIL_USED},
#endif
    {0, NULL},
};

PyModuleDef lithops_module = {
    PyModuleDef_HEAD_INIT,   .m_name = "lithops._lithops",
    .m_doc = module_doc,     .m_size = sizeof(struct module_state),
    .m_slots = module_slots, .m_traverse = module_traverse,
    .m_clear = module_clear, .m_free = module_free,
};

PyMODINIT_FUNC PyInit__lithops(void);
PyMODINIT_FUNC PyInit__lithops(void)
{
    return PyModuleDef_Init(&lithops_module);
}
