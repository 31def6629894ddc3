/* SPDX-License-Identifier: Apache-2.0 */
/* What every module in C needs: reading what the core passes, and texts. flowd/abi/module.h is the contract. */
#ifndef CORE_H
#define CORE_H

#include <string.h>

#include "flowd/abi/ext/status.h"
#include "flowd/abi/module.h"

/* A copy of what the core offers. An older core has a shorter struct: what it lacks is null, to be checked before it is called. */
static inline flowd_host calls_of(const flowd_host* host) {
    flowd_host copy;
    memset(&copy, 0, sizeof copy);
    memcpy(&copy, host, host->size < sizeof copy ? host->size : sizeof copy);
    return copy;
}

static inline flowd_string text(const char* words) {
    flowd_string string = {words, strlen(words)};
    return string;
}

/* Elements of the core's arrays may be longer or shorter than this header's structs: walk by the stride, never by sizeof. */
static inline const void* element(const void* first, size_t index, size_t stride) { return (const char*)first + index * stride; }

/* The value of row `row` of the option table. */
static inline const flowd_value* value(const flowd_value* config, size_t row) {
    return element(config->items, row, config->item_stride);
}

/* Why a call fails, for the administrator; `result` is returned. */
static inline flowd_result fail(const flowd_host* host, const flowd_host* calls, flowd_result result, const char* option,
                                const char* message) {
    flowd_problem problem = {.size = sizeof problem, .level = FLOWD_LEVEL_ERROR, .result = result};
    problem.option = text(option);
    problem.message = text(message);
    calls->report(host, &problem);
    return result;
}

#endif
