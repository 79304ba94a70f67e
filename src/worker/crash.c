/* SPDX-License-Identifier: Apache-2.0 */
/* The last words of a worker process: when a function crashes, a signal handler notes the signal
 * and where it happened in the process's line in shared memory, and lets the process die of it.
 * The client reads the note and makes it the call's error.
 *
 * Handlers are set in worker processes only, which are Lithops' own; a function may set others.
 * Not everything here is async-signal-safe by the letter (dladdr, snprintf); it runs once, on a
 * stack of its own, and a second fault in it ends the process at once. */
#include "worker/crash.h"

#include "ipc/layout.h"
#include "worker/call.h"
#include "worker/process.h"

#include <dlfcn.h>
#include <execinfo.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

enum { STACK_BYTES = 64 << 10, FRAMES = 24 };

static struct lithops__worker_process *crashing;
static const int signals[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT, SIGSYS};
enum { SIGNALS = sizeof signals / sizeof signals[0] };
static struct sigaction of_runtime[SIGNALS]; /* handlers that come after ours */

static size_t write_frame(char *text, size_t room, const void *address)
{
    Dl_info info;
    int len;
    if (!dladdr(address, &info) || !info.dli_fname)
        len = snprintf(text, room, "  %p\n", address);
    else if (info.dli_sname)
        len = snprintf(text, room, "  %s+0x%zx (%s)\n", info.dli_sname,
                       (size_t)((const char *)address - (const char *)info.dli_saddr),
                       info.dli_fname);
    else
        len = snprintf(text, room, "  %s+0x%zx\n", info.dli_fname,
                       (size_t)((const char *)address - (const char *)info.dli_fbase));
    return len < 0 ? 0 : (size_t)len < room ? (size_t)len : room;
}

/* With an rlimit in place of a memory group, running out shows as an allocation that fails, and
 * then as whatever the function does about that. Half of the limit in use is taken as a sign: a
 * refused allocation is large, or there were many. */
static bool memory_is_at_limit(uint64_t limit)
{
    char text[64] = "";
    int fd = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
    ssize_t len = fd < 0 ? -1 : read(fd, text, sizeof text - 1);
    if (fd >= 0)
        close(fd);
    unsigned long long total, resident, shared, code, library, data = 0;
    if (len <= 0 || sscanf(text, "%llu %llu %llu %llu %llu %llu", &total, &resident, &shared, &code,
                           &library, &data) != 6)
        return false;
    return data * (unsigned long long)sysconf(_SC_PAGESIZE) > limit / 2;
}

/* The next one to handle the signal. */
static void hand_over(int signal)
{
    for (size_t i = 0; i < SIGNALS; i++)
        if (signals[i] == signal && of_runtime[i].sa_handler != SIG_DFL &&
            of_runtime[i].sa_handler != SIG_IGN)
            sigaction(signal, &of_runtime[i], NULL);
}

static void on_crash(int signal, siginfo_t *info, void *context)
{
    (void)context;
    struct lithops__worker *line = crashing->line;
    line->crash_address = (uint64_t)(uintptr_t)info->si_addr;
    line->crash_memory =
        crashing->memory_bytes && !crashing->in_group && memory_is_at_limit(crashing->memory_bytes);
    atomic_store(&line->crash_signal, (uint32_t)signal);
    void *frames[FRAMES];
    int count = backtrace(frames, FRAMES);
    size_t used = 0;
    for (int i = 2; i < count && used + 1 < sizeof line->crash_text; i++)
        used += write_frame(line->crash_text + used, sizeof line->crash_text - used, frames[i]);
#if defined(__GLIBC__)
    /* What stdio has buffered; not by fflush(), whose lock another thread may hold. */
    if (stdout->_IO_write_ptr > stdout->_IO_write_base)
        (void)!write(STDOUT_FILENO, stdout->_IO_write_base,
                     (size_t)(stdout->_IO_write_ptr - stdout->_IO_write_base));
#endif
    /* SA_RESETHAND: returning runs into the same fault again, and that is the end, or for the
     * runtime's handler. */
    hand_over(signal);
    if (info->si_code <= 0)
        raise(signal);
}

void lithops__crash_init(struct lithops__worker_process *process, bool keep_handlers)
{
    crashing = process;
    static char stack_memory[STACK_BYTES];
    stack_t stack = {.ss_sp = stack_memory, .ss_size = sizeof stack_memory};
    sigaltstack(&stack, NULL);
    struct sigaction action = {.sa_sigaction = on_crash,
                               .sa_flags = SA_SIGINFO | SA_ONSTACK | SA_RESETHAND};
    for (size_t i = 0; i < SIGNALS; i++)
        sigaction(signals[i], &action, keep_handlers ? &of_runtime[i] : NULL);
    void *frame;
    (void)backtrace(&frame, 1); /* loads the unwinder, which a handler must not; 0.2 ms */
}
