/* SPDX-License-Identifier: Apache-2.0 */
/* Keeps memory of Python objects mapped between the calls of a worker process.
 *
 * Python takes memory for small objects from the system 1 MiB at a time, and gives each piece back
 * as soon as the last object in it dies. A call that splits a chunk of text into words allocates
 * and frees tens of pieces, and so does the next call, at 450 us of page faults for each piece. So
 * the last pieces freed are kept until the worker is idle; when memory is short, the system may
 * reclaim their pages (MADV_FREE). */
#include "worker/arenas.h"

#include "extension.h"

#include <malloc.h>
#include <sys/mman.h>

enum { MOST_ARENAS = 64 };

/* Guarded by the GIL, as Python's object allocator is. */
static struct {
    PyObjectArenaAllocator system;
    void *kept[MOST_ARENAS];
    size_t count, size;
} arenas;

void drop_arenas(void)
{
    while (arenas.count > 0)
        arenas.system.free(arenas.system.ctx, arenas.kept[--arenas.count], arenas.size);
}

static void *arena_alloc(void *Py_UNUSED(context), size_t size)
{
    if (arenas.count > 0 && size == arenas.size)
        return arenas.kept[--arenas.count];
    void *arena = arenas.system.alloc(arenas.system.ctx, size);
    if (!arena && arenas.count > 0) {
        drop_arenas();
        arena = arenas.system.alloc(arenas.system.ctx, size);
    }
    return arena;
}

static void arena_free(void *Py_UNUSED(context), void *arena, size_t size)
{
    if (arenas.count == 0)
        arenas.size = size;
    if (arenas.count == MOST_ARENAS || size != arenas.size ||
        madvise(arena, size, MADV_FREE) != 0) {
        arenas.system.free(arenas.system.ctx, arena, size);
        return;
    }
    arenas.kept[arenas.count++] = arena;
}

void keep_arenas_warm(void)
{
    PyObjectArenaAllocator warm = {NULL, arena_alloc, arena_free};
    PyObject_GetArenaAllocator(&arenas.system);
    PyObject_SetArenaAllocator(&warm);
    mallopt(M_MMAP_THRESHOLD,
            32 << 20); /* and the same for larger blocks, which come from malloc() */
    mallopt(M_TRIM_THRESHOLD, 64 << 20);
}
