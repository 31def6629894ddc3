/* SPDX-License-Identifier: Apache-2.0 */
/*
 * flowd/abi/ext/tool.h: commands that need no running daemon, `flowd-cpp COMPONENT TOOL [--OPTION VALUE]...`. They run in
 * the process of whoever calls them, with that person's rights. Offered by components (flowd_component.offline).
 */
#ifndef FLOWD_ABI_EXT_TOOL_H
#define FLOWD_ABI_EXT_TOOL_H

#include "../host.h"
#include "../option.h"

#ifdef __cplusplus
extern "C" {
#endif

#define FLOWD_EXT_TOOL "flowd.tool/1"

/* One call of a tool. Borrowed, all of it, until run returns. */
typedef struct flowd_tool_call {
    uint32_t size;
    /* Readable once the user wants it to end (SIGINT, SIGTERM): return soon, with FLOWD_OK if that is a good end. A
     * second such signal ends the process. The core's: neither read nor close it. */
    int32_t interrupt_fd;
    /* As an instance's, but no loop runs behind it, no flow exists and emit takes nothing: good for `log`, `report` and
     * flowd.registry/1. `instance` is the component's name. */
    const flowd_host *host;
    const flowd_value *options; /* what the command line says: a GROUP in the order of flowd_tool.options */
    /* The component as the configuration file has it, a GROUP in the order of flowd_component.options: the instance that
     * was named (`firefly/regional`), else the only one. Null when there is none, or several, or the file is not there,
     * wrong, or not for this user. */
    const flowd_value *config;
    /* One JSON value in each write; printed at once. FLOWD_STOPPED: nobody reads any more. */
    const flowd_writer *output;
} flowd_tool_call;

/* Static. */
typedef struct flowd_tool {
    uint32_t size;
    uint32_t reserved;    /* 0 */
    const char *name;     /* one word: [a-z][a-z0-9-]* */
    const char *summary;  /* one line, begins with a capital */
    /* Written --NAME VALUE, several times for a LIST, alone for a BOOLEAN. No groups, no maps, and no name that is an
     * option of every command (`flowd-cpp --help`). */
    const flowd_option *options;
    size_t option_count;
    size_t option_stride;
    /* [core] On the caller's main thread, once in the life of the process. An error it reports explains a negative
     * answer, which becomes the exit code. */
    flowd_result (*run)(const flowd_tool_call *call);
} flowd_tool;

typedef struct flowd_ext_tool {
    uint32_t size;
    uint32_t reserved; /* 0 */
    const flowd_tool *tools;
    size_t tool_count;
    size_t tool_stride;
} flowd_ext_tool;

#ifdef __cplusplus
}
#endif

#endif
