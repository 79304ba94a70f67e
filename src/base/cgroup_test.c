/* SPDX-License-Identifier: Apache-2.0 */
/* Tests of the limits of control groups, over made-up folders in place of /proc and /sys. */
#include "base/cgroup.h"

#include <ftw.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

enum { MIB = 1 << 20 };

static char root[] = "/tmp/lithops-cgroup-XXXXXX";

static int remove_one(const char *path, const struct stat *status, int type, struct FTW *where)
{
    (void)status;
    (void)type;
    (void)where;
    return remove(path);
}

static int make_root(void **state)
{
    (void)state;
    memcpy(root + sizeof root - 7, "XXXXXX", 6);
    return mkdtemp(root) ? 0 : -1;
}

static int remove_root(void **state)
{
    (void)state;
    return nftw(root, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

/* Write a file under the root, with its folders. */
static void put(const char *name, const char *text)
{
    char path[512];
    snprintf(path, sizeof path, "%s/%s", root, name);
    for (char *slash = path + sizeof root; (slash = strchr(slash, '/')) != NULL; *slash++ = '/') {
        *slash = '\0';
        (void)mkdir(path, 0755);
    }
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fputs(text, file);
    assert_int_equal(fclose(file), 0);
}

enum { NONE = -1 };

static void expect(int64_t cpus, int64_t memory)
{
    assert_int_equal(lithops__cgroup_cpus(root), (uint64_t)cpus);
    assert_int_equal(lithops__cgroup_memory_bytes(root), (uint64_t)memory);
}

static void without_groups_there_are_no_limits(void **state)
{
    (void)state;
    expect(NONE, NONE);
    put("proc/self/cgroup", "0::/\n");
    expect(NONE, NONE);
    put("proc/self/cgroup", "nonsense\n:\n1:\n");
    expect(NONE, NONE);
}

static void version_2_of_a_container(void **state)
{
    (void)state;
    put("proc/self/cgroup", "0::/\n");
    put("sys/fs/cgroup/cgroup.controllers", "cpu memory\n");
    put("sys/fs/cgroup/cpu.max", "100000 100000\n");
    put("sys/fs/cgroup/memory.max", "16777216\n");
    expect(1, 16 * MIB);
    put("sys/fs/cgroup/cpu.max", "max 100000\n");
    put("sys/fs/cgroup/memory.max", "max\n");
    expect(NONE, NONE);
}

static void version_1_of_a_container(void **state)
{
    (void)state;
    /* the path is the name outside: here the group is the root */
    put("proc/self/cgroup",
        "5:cpuacct,cpu:/docker/0123\n4:memory:/docker/0123\n1:name=systemd:/\n");
    put("sys/fs/cgroup/cpu/cpu.cfs_quota_us", "50000\n");
    put("sys/fs/cgroup/cpu/cpu.cfs_period_us", "100000\n");
    put("sys/fs/cgroup/memory/memory.limit_in_bytes", "33554432\n");
    expect(1, 32 * MIB);
    put("sys/fs/cgroup/cpu/cpu.cfs_quota_us", "-1\n");
    put("sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n");
    expect(NONE, INT64_MAX - 4095); /* as the kernel shows that there is none */
}

static void both_versions_at_once(void **state)
{
    (void)state;
    put("proc/self/cgroup", "4:memory:/a\n1:cpuset:/\n0::/b\n");
    put("sys/fs/cgroup/cgroup.controllers", "cpu\n");
    put("sys/fs/cgroup/memory/a/memory.limit_in_bytes", "33554432\n");
    put("sys/fs/cgroup/b/cpu.max", "1000 100000\n");
    put("sys/fs/cgroup/b/memory.max", "4096\n"); /* of no effect: version 1 has the controller */
    expect(1, 32 * MIB);
}

static void quotas_are_rounded_up(void **state)
{
    (void)state;
    put("proc/self/cgroup", "0::/\n");
    put("sys/fs/cgroup/cgroup.controllers", "");
    put("sys/fs/cgroup/cpu.max", "300000 100000\n");
    expect(3, NONE);
    put("sys/fs/cgroup/cpu.max", "300001 100000\n");
    expect(4, NONE);
}

static void the_smallest_on_the_way_up_counts(void **state)
{
    (void)state;
    put("proc/self/cgroup", "0::/a/b/c\n");
    put("sys/fs/cgroup/cgroup.controllers", "");
    put("sys/fs/cgroup/a/cpu.max", "100000 100000\n");
    put("sys/fs/cgroup/a/b/cpu.max", "800000 100000\n");
    put("sys/fs/cgroup/a/b/memory.max", "8388608\n");
    put("sys/fs/cgroup/a/b/c/memory.max", "16777216\n");
    put("sys/fs/cgroup/a/d/memory.max", "4096\n");
    expect(1, 8 * MIB);
}

static void the_folder_of_a_group(void **state)
{
    (void)state;
    char folder[512], wanted[512];
    assert_false(lithops__cgroup_folder(root, "memory", folder, sizeof folder));
    put("proc/self/cgroup", "4:memory:/a\n3:cpu,cpuacct:/../b\n2:memory2:/c\n");
    put("sys/fs/cgroup/memory/a/tasks", "");
    put("sys/fs/cgroup/b/tasks", "");
    assert_true(lithops__cgroup_folder(root, "memory", folder, sizeof folder));
    snprintf(wanted, sizeof wanted, "%s/sys/fs/cgroup/memory/a", root);
    assert_string_equal(folder, wanted);
    assert_true(lithops__cgroup_folder(root, "cpu", folder, sizeof folder));
    snprintf(wanted, sizeof wanted, "%s/sys/fs/cgroup/cpu", root);
    assert_string_equal(folder, wanted);
    assert_false(lithops__cgroup_folder(root, "memory", folder, 8));
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, make_root, remove_root)
    const struct CMUnitTest tests[] = {
        TEST(without_groups_there_are_no_limits),
        TEST(version_2_of_a_container),
        TEST(version_1_of_a_container),
        TEST(both_versions_at_once),
        TEST(quotas_are_rounded_up),
        TEST(the_smallest_on_the_way_up_counts),
        TEST(the_folder_of_a_group),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
