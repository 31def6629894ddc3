/* SPDX-License-Identifier: Apache-2.0 */
/*
 * flowd/abi/ext/tool.h: commands that need no running daemon, `flowd-cpp COMPONENT TOOL [--OPTION VALUE]...`. They run in
 * the process of the command line, with the user's rights. Offered by components (flowd_component.offline).
 */
#ifndef FLOWD_ABI_EXT_TOOL_H
#define FLOWD_ABI_EXT_TOOL_H

#include "../host.h"
#include "../option.h"

#ifdef __cplusplus
extern "C" {
#endif

#define FLOWD_EXT_TOOL "flowd.tool/1"

/* One call of a tool. Everything in it is borrowed until run returns. */
typedef struct flowd_tool_call {
    uint32_t size;
    /* Readable once the user interrupts the tool (SIGINT, SIGTERM): return soon, with FLOWD_OK if that is a success. A
     * second signal ends the process. Owned by the core: neither read nor close it. */
    int32_t interrupt_fd;
    /* As of an instance, but there is no loop and no flow, and emit accepts nothing: use it for `log`, `report` and
     * flowd.registry/1. `instance` is the component's name; with `flowd-cpp verify`, the key of an instance. */
    const flowd_host *host;
    const flowd_value *options; /* from the command line: a GROUP in the order of flowd_tool.options */
    /* The component's options from the configuration file, a GROUP in the order of flowd_component.options: of the instance
     * that was named (`firefly/regional`), else of the only one. Null if there is none, or several, or if the file is
     * missing, invalid, or not readable by this user. */
    const flowd_value *config;
    /* One JSON value per write; printed at once. FLOWD_STOPPED: the reader has closed. */
    const flowd_writer *output;
} flowd_tool_call;

/* Static. */
typedef struct flowd_tool {
    uint32_t size;
    uint32_t reserved;    /* 0 */
    const char *name;     /* one word: [a-z][a-z0-9-]* */
    const char *summary;  /* one line, begins with a capital */
    /* Written as --NAME VALUE, several times for a LIST, without a value for a BOOLEAN. No groups, no maps, and no name
     * of an option that every command has (`flowd-cpp --help`). */
    const flowd_option *options;
    size_t option_count;
    size_t option_stride;
    /* [core] On the main thread; once, or by `flowd-cpp verify` once for each instance in turn: it keeps no state. The
     * exit code is that of the result; a reported error explains a failure. */
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
