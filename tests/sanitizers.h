/* SPDX-License-Identifier: Apache-2.0 */
/* Which sanitizer the tests were built with: its own time and memory would distort measurements. */
#ifndef LITHOPS_TESTS_SANITIZERS_H
#define LITHOPS_TESTS_SANITIZERS_H

#ifndef __has_feature /* gcc, which has macros instead */
#define __has_feature(x) 0
#endif
#if defined(__SANITIZE_THREAD__) || __has_feature(thread_sanitizer)
#define UNDER_TSAN 1
#else
#define UNDER_TSAN 0
#endif
#if defined(__SANITIZE_ADDRESS__) || __has_feature(address_sanitizer) || UNDER_TSAN
#define UNDER_SANITIZER 1
#else
#define UNDER_SANITIZER 0
#endif
/* Of a function that writes or compares many bytes one by one, which ThreadSanitizer makes some
 * fifty times slower. */
#if UNDER_TSAN
#define NOT_WATCHED __attribute__((no_sanitize("thread")))
#else
#define NOT_WATCHED
#endif

#endif
