// SPDX-License-Identifier: Apache-2.0
// The peer of separate calls: each call is a std::packaged_task that a oneTBB task group runs, and
// its std::future is asked for the result. This is what Taskflow's executor.async() + get() does
// inside; Taskflow itself is not in Debian 12.
//
//     tbb_async CALLS
#include <tbb/task_group.h>

#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <future>
#include <memory>
#include <vector>

static double now()
{
    return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch())
        .count();
}

__attribute__((noinline)) static int64_t noop(int64_t x)
{
    asm volatile("" : "+r"(x));
    return x;
}

static double resident_bytes()
{
    double pages = 0, resident = 0;
    std::FILE *f = std::fopen("/proc/self/statm", "r");
    if (f && std::fscanf(f, "%lf %lf", &pages, &resident) != 2)
        resident = 0;
    if (f)
        std::fclose(f);
    return resident * 4096;
}

static double run(size_t calls, double *ret_sum, double *ret_bytes)
{
    tbb::task_group group;
    std::vector<std::future<int64_t>> futures;
    double before = resident_bytes(), sum = 0, start = now();
    futures.reserve(calls);
    for (size_t i = 0; i < calls; i++) {
        auto task = std::make_shared<std::packaged_task<int64_t()>>(
            [i] { return noop(static_cast<int64_t>(i)); });
        futures.push_back(task->get_future());
        group.run([task] { (*task)(); });
    }
    *ret_bytes = resident_bytes() - before;
    for (auto &future : futures)
        sum += static_cast<double>(future.get());
    double seconds = now() - start;
    group.wait();
    *ret_sum = sum;
    return seconds;
}

int main(int argc, char **argv)
{
    size_t calls = argc > 1 ? std::strtoul(argv[1], nullptr, 10) : 1000000;
    double sum, bytes;
    run(calls / 100 + 1, &sum, &bytes);
    double seconds = run(calls, &sum, &bytes);
    std::printf("seconds %.9g\nsum %.17g\nbytes %.9g\n", seconds, sum,
                bytes / static_cast<double>(calls));
    return 0;
}
