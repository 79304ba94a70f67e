/* SPDX-License-Identifier: Apache-2.0 */
/* The shared library whose functions cli_test.py calls. */
#include <lithops/lithops.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

LITHOPS_FUNCTION(square)
{
    int64_t x;
    if (lithops_args(call, "I", "x", &x) != 0)
        return LITHOPS_EARG;
    return lithops_return(call, "I", x * x);
}

LITHOPS_FUNCTION(add)
{
    int64_t x, y;
    if (lithops_args(call, "II", "x", &x, "y", &y) != 0)
        return LITHOPS_EARG;
    return lithops_return(call, "I", x + y);
}

LITHOPS_FUNCTION(sum)
{
    int64_t total = 0, x;
    int rc;
    while ((rc = lithops_call_next_result(call, "I", &x)) == 1)
        total += x;
    return rc < 0 ? rc : lithops_return(call, "I", total);
}

LITHOPS_FUNCTION(echo)
{
    return lithops_return(call, "O", lithops_call_input(call));
}

LITHOPS_FUNCTION(fail_odd)
{
    int64_t x = lithops_call_int(call);
    return x % 2 ? lithops_fail(call, "%d is odd", (int)x) : lithops_return(call, "I", x);
}

LITHOPS_FUNCTION(sleep_ms)
{
    int64_t ms = lithops_call_int(call);
    struct timespec time = {ms / 1000, ms % 1000 * 1000000};
    nanosleep(&time, NULL);
    return lithops_return(call, "I", ms);
}

/* Start a process that outlives the worker, then sleep. */
LITHOPS_FUNCTION(leave_child)
{
    pid_t pid = fork();
    if (pid == 0) { /* with output of its own, as by subprocess.run(..., capture_output=True) */
        close(1);
        close(2);
        execlp("sleep", "sleep", "600", (char *)NULL);
        _exit(127);
    }
    sleep((unsigned)lithops_call_int(call));
    return lithops_return_int(call, pid);
}

LITHOPS_FUNCTION(spin)
{
    volatile bool forever = true;
    while (forever)
        (void)call;
    return 0;
}

LITHOPS_FUNCTION(crash)
{
    (void)call;
    abort();
}

LITHOPS_FUNCTION(say)
{
    printf("said by the call %d\n", (int)lithops_call_id(call));
    return lithops_return(call, "n");
}

LITHOPS_FUNCTION(variable)
{
    const char *value = getenv("CLI_TEST_VARIABLE");
    return lithops_return(call, "s?", value);
}

LITHOPS_FUNCTION(not_a_number)
{
    return lithops_return_double(call, (double)NAN);
}

LITHOPS_FUNCTION(megabyte)
{
    void *room = lithops_call_alloc(call, 1 << 20);
    if (!room)
        return LITHOPS_ENOMEM;
    memset(room, 'm', 1 << 20);
    return lithops_return_bytes(call, room, 1 << 20);
}

LITHOPS_FUNCTION(count_lines)
{
    lithops_stream *stream = lithops_call_object(call);
    if (!stream)
        return LITHOPS_EARG;
    return lithops_return(call, "I", lithops_stream_skip_lines(stream, INT64_MAX));
}

/* The first number in a file that the job includes. */
LITHOPS_FUNCTION(included_number)
{
    const char *name;
    if (lithops_args(call, "s", "name", &name) != 0)
        return LITHOPS_EARG;
    char folder[64], path[4096];
    size_t len = strcspn(name, "/");
    snprintf(folder, sizeof folder, "%.*s", (int)len, name);
    const char *found = lithops_call_file(call, folder);
    if (!found)
        return lithops_fail(call, "'%s' was not included", folder);
    snprintf(path, sizeof path, "%s%s", found, name + len);
    FILE *file = fopen(path, "r");
    int number = 0;
    if (!file || fscanf(file, "%d", &number) != 1)
        number = -1;
    if (file)
        fclose(file);
    return lithops_return(call, "i", number);
}

/* A plain C function, called by its signature. */
LITHOPS_PUBLIC double plain_half(double x);
double plain_half(double x)
{
    return x / 2;
}
