/* SPDX-License-Identifier: Apache-2.0 */
/* After the run: pictures and the table of costs. Both are made from futures alone, so their
 * executor may be closed by now. */
#include "client/arguments.h"
#include "client/selection.h"
#include "errors.h"
#include "extension.h"

PyDoc_STRVAR(plot_doc, "plot($module, futures, dst, width, height, /)\n--\n\n"
                       "Draw the time line and histogram of the futures that are done into\n"
                       "'<dst>_timeline.png' and '<dst>_histogram.png'; sizes in inches.");

static PyObject *plot(PyObject *module, PyObject *args)
{
    struct module_state *state = state_of_module(module);
    PyObject *futures, *folder;
    lithops_plot_options options = LITHOPS_PLOT_OPTIONS_INIT;
    const char *dst;
    struct selection selection;
    if (!PyArg_ParseTuple(args, "OOdd:plot", &futures, &folder, &options.width_in,
                          &options.height_in) ||
        take_text(folder, "dst", &dst) != 0 || selection_open(state, futures, &selection) != 0)
        return NULL;
    lithops_error err = LITHOPS_ERROR_INIT;
    int rc;
    Py_BEGIN_ALLOW_THREADS
    rc = lithops_plot(NULL, selection.futures, dst, &options, &err);
    Py_END_ALLOW_THREADS
    selection_close(&selection);
    if (rc != 0)
        return raise_error(state, &err);
    Py_RETURN_NONE;
}

PyDoc_STRVAR(job_summary_doc, "job_summary($module, futures, cloud_objects_n, path, /)\n--\n\n"
                              "The table of their jobs as CSV; written to `path` if there is one.");

static PyObject *job_summary(PyObject *module, PyObject *args)
{
    struct module_state *state = state_of_module(module);
    PyObject *futures, *number, *file;
    int64_t count;
    const char *path;
    struct selection selection;
    if (!PyArg_ParseTuple(args, "OOO:job_summary", &futures, &number, &file) ||
        take_int(number, "cloud_objects_n", &count) != 0 || take_text(file, "path", &path) != 0 ||
        selection_open(state, futures, &selection) != 0)
        return NULL;
    if (count == LITHOPS_DEFAULT)
        count = 0;
    lithops_error err = LITHOPS_ERROR_INIT;
    char *csv = NULL;
    int rc;
    Py_BEGIN_ALLOW_THREADS
    rc = lithops_futures_summary(selection.futures, count, path, &csv, &err);
    Py_END_ALLOW_THREADS
    selection_close(&selection);
    if (rc != 0)
        return raise_error(state, &err);
    PyObject *text = PyUnicode_DecodeUTF8(csv, (Py_ssize_t)strlen(csv), "replace");
    free(csv);
    return text;
}

static PyMethodDef methods[] = {
    {"plot", plot, METH_VARARGS, plot_doc},
    {"job_summary", job_summary, METH_VARARGS, job_summary_doc},
    {NULL, NULL, 0, NULL},
};

int lithops_add_report(PyObject *module)
{
    return PyModule_AddFunctions(module, methods);
}
