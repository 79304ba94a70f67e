/* SPDX-License-Identifier: Apache-2.0 */
/* Keeps memory of Python objects mapped between calls. */
#ifndef LITHOPS_PYTHON_WORKER_ARENAS_H
#define LITHOPS_PYTHON_WORKER_ARENAS_H

/* Call once, in a worker process. */
void keep_arenas_warm(void);
/* Return unused memory to the system. Needs the GIL. */
void drop_arenas(void);

#endif
