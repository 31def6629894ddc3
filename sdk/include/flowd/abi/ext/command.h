/* SPDX-License-Identifier: Apache-2.0 */
/* flowd/abi/ext/command.h: commands of an instance, `flowd-cpp INSTANCE COMMAND ARGUMENT...`. Offered by modules. */
#ifndef FLOWD_ABI_EXT_COMMAND_H
#define FLOWD_ABI_EXT_COMMAND_H

#include "../module.h"

#ifdef __cplusplus
extern "C" {
#endif

#define FLOWD_EXT_COMMAND "flowd.command/1"

typedef struct flowd_command {
    uint32_t size;
    uint32_t flags;        /* FLOWD_COMMAND_*; a command with unknown flags is not offered, and reported */
    const char *name;      /* one word: "mode" */
    const char *arguments; /* for the help: "[observe|mark]"; may be null */
    const char *summary;   /* one line */
} flowd_command;

enum {
    FLOWD_COMMAND_CHANGES = 1u << 0 /* changes state: allowed to root and the daemon's own user only */
};

typedef struct flowd_ext_command {
    uint32_t size;
    uint32_t reserved;
    const flowd_command *commands;
    size_t command_count;
    size_t command_stride;
    /* [instance] arguments[0] is the command's name. Writes one JSON value to `answer`; on failure a JSON string that
     * says what is wrong. */
    flowd_result (*run)(flowd_instance *instance, const flowd_string *arguments, size_t count, const flowd_writer *answer);
} flowd_ext_command;

#ifdef __cplusplus
}
#endif

#endif
