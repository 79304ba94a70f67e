/* SPDX-License-Identifier: Apache-2.0 */
/* Objects of the storage that LITHOPS_CONFIG names.
 *
 *     objects get BUCKET KEY               a large object, into memory that is made for it
 *     objects get-into BUCKET KEY          into memory that is there
 *     objects download BUCKET KEY FILE
 *     objects upload BUCKET KEY FILE
 *     objects small-get BUCKET COUNT THREADS    4 KiB each; there must be small/0 to small/63
 *     objects small-put BUCKET COUNT THREADS
 *
 * Reports the seconds, the CPU time of this process, and a sum that shows what came. */
#include "objects.h"
#include "ours/ours.h"

#include <fcntl.h>
#include <pthread.h>

static lithops_storage *storage;
static const char *bucket;

static void get(const char *key)
{
    void *data;
    size_t len;
    struct objects_time start = objects_start();
    ours_check(lithops_storage_get(storage, bucket, key, 0, SIZE_MAX, &data, &len, &ours_error));
    objects_stop(start);
    bench_report("sum", objects_sum(data, len));
    free(data);
}

static void get_into(const char *key)
{
    lithops_object_info info;
    size_t len;
    ours_check(lithops_storage_head(storage, bucket, key, &info, &ours_error));
    void *buf = bench_share(info.size_bytes);
    struct objects_time start = objects_start();
    ours_check(
        lithops_storage_get_into(storage, bucket, key, 0, buf, info.size_bytes, &len, &ours_error));
    objects_stop(start);
    bench_report("sum", objects_sum(buf, len));
}

static int open_file(const char *path, int flags)
{
    int fd = open(path, flags | O_CLOEXEC, 0600);
    if (fd < 0)
        bench_die("the file cannot be opened");
    return fd;
}

static void download(const char *key, const char *path)
{
    uint64_t len;
    int fd = open_file(path, O_RDWR | O_CREAT | O_TRUNC);
    struct objects_time start = objects_start();
    ours_check(lithops_storage_get_fd(storage, bucket, key, fd, &len, &ours_error));
    objects_stop(start);
    const void *data = mmap(NULL, len, PROT_READ, MAP_SHARED, fd, 0);
    if (data == MAP_FAILED)
        bench_die("the file cannot be mapped");
    bench_report("sum", objects_sum(data, len));
    close(fd);
    unlink(path);
}

/* The server leaves the parts as they are. */
static void upload(const char *key, const char *path)
{
    int fd = open_file(path, O_RDONLY);
    struct objects_time start = objects_start();
    ours_check(lithops_storage_put_fd(storage, bucket, key, fd, &ours_error));
    objects_stop(start);
    double sum = 0, size = (double)lseek(fd, 0, SEEK_END);
    for (int i = 1; size > 0; i++) {
        void *data;
        size_t len;
        char part[32];
        snprintf(part, sizeof part, "parts/%d", i);
        ours_check(
            lithops_storage_get(storage, bucket, part, 0, SIZE_MAX, &data, &len, &ours_error));
        sum += objects_sum(data, len);
        size -= (double)len;
        free(data);
        ours_check(lithops_storage_delete(storage, bucket, part, &ours_error));
    }
    bench_report("sum", sum);
    close(fd);
}

struct share {
    pthread_t thread;
    long first, step, count;
    bool puts;
};

static void *small(void *user)
{
    const struct share *share = user;
    char expected[OBJECTS_SMALL], key[32];
    void *data;
    size_t len;
    lithops_error err = LITHOPS_ERROR_INIT;
    for (long i = share->first; i < share->count; i += share->step) {
        objects_small_key(i, key);
        objects_small(i, expected);
        int rc = share->puts
                     ? lithops_storage_put(storage, bucket, key,
                                           (lithops_bytes){expected, sizeof expected}, &err)
                     : lithops_storage_get(storage, bucket, key, 0, SIZE_MAX, &data, &len, &err);
        if (rc) {
            lithops_error_print(&err, stderr);
            exit(1);
        }
        if (share->puts)
            continue;
        if (len != sizeof expected || memcmp(data, expected, len) != 0)
            bench_die("a small object is wrong");
        free(data);
    }
    return NULL;
}

static void many_small(bool puts, long count, long threads)
{
    struct share shares[256];
    if (threads < 1 || threads > 256)
        bench_die("1 to 256 threads");
    struct share warm_up = {.step = 1, .count = OBJECTS_KEYS, .puts = puts};
    small(&warm_up);
    struct objects_time start = objects_start();
    for (long i = 0; i < threads; i++) {
        shares[i] = (struct share){.first = i, .step = threads, .count = count, .puts = puts};
        if (pthread_create(&shares[i].thread, NULL, small, &shares[i]) != 0)
            bench_die("no thread");
    }
    for (long i = 0; i < threads; i++)
        pthread_join(shares[i].thread, NULL);
    objects_stop(start);
}

int main(int argc, char **argv)
{
    lithops_init(&argc, &argv);
    if (argc < 4)
        bench_die("usage: objects get|download|upload|small-get|small-put BUCKET ...");
    const char *what = argv[1];
    bucket = argv[2];
    storage = ours_have(lithops_storage_open(NULL, NULL, &ours_error));
    if (strcmp(what, "get") == 0)
        get(argv[3]);
    else if (strcmp(what, "get-into") == 0)
        get_into(argv[3]);
    else if (strcmp(what, "download") == 0 && argc > 4)
        download(argv[3], argv[4]);
    else if (strcmp(what, "upload") == 0 && argc > 4)
        upload(argv[3], argv[4]);
    else
        many_small(strcmp(what, "small-put") == 0, bench_argument(argc, argv, 3, 1000),
                   bench_argument(argc, argv, 4, 1));
    lithops_storage_close(storage);
    return 0;
}
