/* SPDX-License-Identifier: Apache-2.0 */
/* Memory of Python's objects that stays warm in a worker process.
 *
 * Python takes memory for small objects from the system 1 MiB at a time, and gives each piece back
 * as soon as the last object in it dies. A call that splits a chunk of text into words does that
 * with tens of pieces, the next call again, at some 450 us of page faults each. Here the last
 * pieces are kept; the system may take their pages when memory is short (MADV_FREE). */
#include "worker.h"

#include <malloc.h>
#include <sys/mman.h>

enum { MOST_ARENAS = 64 };

/* Under the GIL, as all of Python's allocator for objects. */
static struct {
    PyObjectArenaAllocator system;
    void *kept[MOST_ARENAS];
    size_t count, size;
} arenas;

static void drop_kept(void)
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
        drop_kept();
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
    mallopt(M_MMAP_THRESHOLD, 32 << 20); /* the same for what is larger than an object: of malloc */
    mallopt(M_TRIM_THRESHOLD, 64 << 20);
}
