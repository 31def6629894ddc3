// SPDX-License-Identifier: Apache-2.0
// For tests that ask the C library for a name.
#pragma once

#include <gtest/gtest.h>

/// getaddrinfo_a makes threads that ThreadSanitizer does not get to know; it crashes when they call it.
#if defined(__SANITIZE_THREAD__)
#define FLOWD_NEEDS_RESOLVER() GTEST_SKIP() << "ThreadSanitizer does not survive the threads of getaddrinfo_a"
#else
#define FLOWD_NEEDS_RESOLVER() static_cast<void>(0)
#endif
