/* SPDX-License-Identifier: Apache-2.0 */
#include "ipc/service.h"

#include "ipc/bell.h"

void lithops__service_set(struct lithops__table *table, const struct lithops__service *service,
                          void *user)
{
    table->service = service;
    table->service_user = user;
    table->has_service = service != NULL;
}

void lithops__service_end(struct lithops__table *table)
{
    pthread_mutex_lock(&table->lock);
    table->service = NULL;
    while (table->service_uses > 0)
        pthread_cond_wait(&table->service_left, &table->lock);
    pthread_mutex_unlock(&table->lock);
}

static const struct lithops__service *enter(struct lithops__table *table)
{
    if (!table->has_service)
        return NULL;
    pthread_mutex_lock(&table->lock);
    const struct lithops__service *service = table->service;
    table->service_uses += service != NULL;
    pthread_mutex_unlock(&table->lock);
    return service;
}

static void leave(struct lithops__table *table)
{
    pthread_mutex_lock(&table->lock);
    if (--table->service_uses == 0 && !table->service)
        pthread_cond_broadcast(&table->service_left);
    pthread_mutex_unlock(&table->lock);
}

void lithops__service_offered(struct lithops__table *table)
{
    const struct lithops__service *service = enter(table);
    bool is_sent = service && service->send(table->service_user);
    if (service)
        leave(table);
    if (!is_sent)
        lithops__bell_ring(table->area.control);
}

void lithops__service_wait(struct lithops__table *table, bool (*is_done)(void *what), void *what,
                           uint64_t deadline_ns)
{
    const struct lithops__service *service = enter(table);
    if (!service)
        return;
    service->serve(table->service_user, is_done, what, deadline_ns);
    leave(table);
}
