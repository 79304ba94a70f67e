// SPDX-License-Identifier: Apache-2.0
// oneTBB parallel_for at grain 1, the peer of a map: one task per call, as a map has one outcome
// per call. Threads of one process: nothing is isolated, one crash ends everything.
//
//     tbb_for map CALLS ROUNDS             no-op calls
//     tbb_for spin SHORTS SHORT_US LONG_MS   one long call among many short ones
#include <tbb/blocked_range.h>
#include <tbb/parallel_for.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
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

template <typename Body> static void run_all(size_t calls, Body body)
{
    tbb::parallel_for(
        tbb::blocked_range<size_t>(0, calls, 1),
        [&](const tbb::blocked_range<size_t> &range) {
            for (size_t i = range.begin(); i != range.end(); i++)
                body(i);
        },
        tbb::simple_partitioner());
}

static int map(size_t calls, int rounds)
{
    std::vector<int64_t> results(calls);
    std::vector<double> times;
    double sum = 0;
    for (int r = -2; r < rounds; r++) {
        std::fill(results.begin(), results.end(), 0);
        double start = now();
        run_all(calls, [&](size_t i) { results[i] = noop(static_cast<int64_t>(i)); });
        if (r >= 0)
            times.push_back(now() - start);
        sum = 0;
        for (int64_t result : results)
            sum += static_cast<double>(result);
    }
    std::sort(times.begin(), times.end());
    std::printf("seconds %.9g\nsum %.17g\n", times[times.size() / 2], sum);
    return 0;
}

static void spin_until(double end)
{
    while (now() < end) {
    }
}

static int spin(size_t shorts, double short_s, double long_s)
{
    run_all(1000, [](size_t) { spin_until(now() + 1e-5); }); // starts the threads
    double start = now();
    run_all(shorts + 1,
            [&](size_t i) { spin_until(now() + (i == shorts / 2 ? long_s : short_s)); });
    double ideal = (static_cast<double>(shorts) * short_s + long_s) / 2;
    std::printf("over_ideal %.9g\n", (now() - start) / ideal);
    return 0;
}

int main(int argc, char **argv)
{
    if (argc > 3 && std::strcmp(argv[1], "map") == 0)
        return map(std::strtoul(argv[2], nullptr, 10), std::atoi(argv[3]));
    if (argc > 4 && std::strcmp(argv[1], "spin") == 0)
        return spin(std::strtoul(argv[2], nullptr, 10), std::atof(argv[3]) * 1e-6,
                    std::atof(argv[4]) * 1e-3);
    std::fprintf(stderr, "usage: tbb_for map CALLS ROUNDS | spin SHORTS SHORT_US LONG_MS\n");
    return 1;
}
