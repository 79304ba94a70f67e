/* SPDX-License-Identifier: Apache-2.0 */
/* Detects changes of the environment and the working directory. Checked before each job, so it must
 * cost next to nothing: glibc's setenv() makes a new string and never frees the old one, so equal
 * pointers mean an equal environment. The state is static because both belong to the process. */
#include "extension.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static struct {
    char **strings;
    size_t count, capacity;
    char folder[PATH_MAX]; /* "": it was removed, or has no path */
} noted;

static bool note_environment(void)
{
    size_t count = 0;
    while (environ && environ[count])
        count++;
    if (count == noted.count && count > 0 &&
        memcmp(noted.strings, environ, count * sizeof *environ) == 0)
        return false;
    if (count > noted.capacity) {
        char **more = realloc(noted.strings, 2 * count * sizeof *more);
        if (!more)
            return true; /* and again the next time */
        noted.strings = more;
        noted.capacity = 2 * count;
    }
    if (count)
        memcpy(noted.strings, environ, count * sizeof *environ);
    bool changed = count > 0 || noted.count > 0;
    noted.count = count;
    return changed;
}

static bool note_folder(void)
{
    char folder[PATH_MAX];
    if (!getcwd(folder, sizeof folder))
        folder[0] = '\0';
    if (strcmp(folder, noted.folder) == 0)
        return false;
    memcpy(noted.folder, folder, strlen(folder) + 1);
    return true;
}

PyDoc_STRVAR(surroundings_changed_doc,
             "surroundings_changed() -> bool\n--\n\n"
             "Whether the environment or the working directory may be others than when this was\n"
             "asked the last time. False is certain.");

static PyObject *surroundings_changed(PyObject *Py_UNUSED(module), PyObject *Py_UNUSED(ignored))
{
    bool environment = note_environment(), folder = note_folder();
    return PyBool_FromLong(environment || folder);
}

static PyMethodDef methods[] = {
    {"surroundings_changed", surroundings_changed, METH_NOARGS, surroundings_changed_doc},
    {NULL, NULL, 0, NULL},
};

int lithops_add_surroundings(PyObject *module)
{
    return PyModule_AddFunctions(module, methods);
}
