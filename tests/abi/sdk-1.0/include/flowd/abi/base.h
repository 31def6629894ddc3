/* SPDX-License-Identifier: Apache-2.0 */
/*
 * flowd/abi/base.h: the words every other ABI header is written in.
 *
 * Laws of this border (docs/abi-policy.md says what breaks them):
 *  - C11 and the fixed-width types only, on LP64, in the natural layout of the platform.
 *  - Every struct that crosses begins with `size`, set by the writer to sizeof of the struct it was compiled with. The
 *    reader zeroes its own copy, copies the smaller of the two sizes and then checks the members it requires, by name.
 *    Structs grow at their end only.
 *  - Value types (flowd_string, flowd_bytes, flowd_tag, flowd_key, flowd_usage) are embedded by value, carry no size
 *    and never change within a major.
 *  - An array of sized structs is passed as pointer, count and stride; walk it by the stride, never by sizeof.
 *  - A `const char *` is UTF-8, NUL-terminated, static for the life of the process unless its comment says
 *    otherwise; as an argument it is borrowed for the call. Text made at run time is a flowd_string: borrowed, not
 *    terminated, valid until the call returns unless its comment says otherwise.
 *  - Thread tags: [any] any thread; [instance] the instance's own thread; [core] a thread of the core, never one
 *    of an instance's; instances of the same component may be live meanwhile, so touch no shared state unlocked. Calls
 *    tagged [instance] never overlap for one instance.
 *  - `reserved` members: the writer sets 0. The core refuses events, keys and attachments where they are not 0, so that
 *    a later minor can use them; modules never read them.
 *  - Kinds, flags and results that a reader does not know are passed over; an unknown negative result is FLOWD_ERROR. A
 *    callback that has nothing else to say answers FLOWD_OK: a positive result where its comment names none is an error.
 *    FLOWD_LOCAL_*, FLOWD_INITIATOR_*, FLOWD_LOOP_*, FLOWD_METRIC_* and FLOWD_LEVEL_* are closed in this major.
 */
#ifndef FLOWD_ABI_BASE_H
#define FLOWD_ABI_BASE_H

#include <stddef.h>
#include <stdint.h>

#define FLOWD_ABI_MAJOR 1
#define FLOWD_ABI_MINOR 0

#ifdef __cplusplus
#define FLOWD_EXTERN_C extern "C"
#else
#define FLOWD_EXTERN_C
#endif

/* A module exports one symbol; everything else stays hidden. */
#define FLOWD_EXPORT FLOWD_EXTERN_C __attribute__((visibility("default")))

#ifdef __cplusplus
extern "C" {
#endif

/* What a call answers. Zero and above: the call did what it says; below: it did not. Values never change meaning. */
typedef int32_t flowd_result;
enum {
    FLOWD_OK = 0,
    FLOWD_STOPPED = 1,      /* the instance has been stopped: nothing was done, nothing more will be */
    FLOWD_FULL = 2,         /* queues are full: try the same again after on_room */
    FLOWD_ERROR = -1,       /* a failure that fits no other word */
    FLOWD_INVALID = -2,     /* an argument, a value or an event is malformed */
    FLOWD_UNSUPPORTED = -3, /* not on this kernel, this core or this component */
    FLOWD_NOT_FOUND = -4,   /* a name, file, interface or flow does not exist */
    FLOWD_DENIED = -5,      /* a privilege is missing */
    FLOWD_BUSY = -6,        /* a port, path or hook belongs to somebody else */
    FLOWD_LIMIT = -7,       /* a cap was reached */
    FLOWD_EXCEPTION = -8,   /* the SDK's firewall caught a C++ exception */
    FLOWD_NO_MEMORY = -9
};

/* Value type. Borrowed text, UTF-8, not NUL-terminated; data may be null when length is 0. */
typedef struct flowd_string {
    const char *data;
    size_t length;
} flowd_string;

/* Value type. Borrowed bytes; data may be null when length is 0. */
typedef struct flowd_bytes {
    const uint8_t *data;
    size_t length;
} flowd_bytes;

/* Value type. What a flow belongs to. 0/0 is legal and means "no valid tag": announced, never marked. */
typedef struct flowd_tag {
    uint32_t experiment;
    uint32_t activity;
} flowd_tag;

/* Severity of log lines and problems, as spdlog orders them. */
typedef uint32_t flowd_level;
enum {
    FLOWD_LEVEL_TRACE = 0,
    FLOWD_LEVEL_DEBUG = 1,
    FLOWD_LEVEL_INFO = 2,
    FLOWD_LEVEL_WARNING = 3,
    FLOWD_LEVEL_ERROR = 4
};

/*
 * Something an administrator has to know about a configured value or about the surroundings. The core adds file, line,
 * column and the path of the key, and derives the exit code from `result` when the start fails.
 */
typedef struct flowd_problem {
    uint32_t size;
    flowd_level level;   /* FLOWD_LEVEL_WARNING or FLOWD_LEVEL_ERROR */
    flowd_result result; /* why, for an error: negative */
    uint32_t reserved;   /* 0 */
    flowd_string option; /* path below the instance, "collectors[1].port"; empty: the instance itself */
    flowd_string found;  /* the offending value as text; may be empty */
    flowd_string message;
    flowd_string hint; /* one thing to do about it; may be empty */
} flowd_problem;

/* Receives the problems found by a call. Valid until that call returns; use it on the calling thread. */
typedef struct flowd_problems {
    uint32_t size;
    uint32_t reserved;
    void *context;
    void (*report)(const struct flowd_problems *problems, const flowd_problem *problem);
} flowd_problems;

/* Receives text, in pieces that are joined. Valid until the call it was passed to returns; use it on that call's thread. */
typedef struct flowd_writer {
    uint32_t size;
    uint32_t reserved;
    void *context;
    /* FLOWD_OK; FLOWD_STOPPED: nobody reads any more; FLOWD_LIMIT: the answer is too long. Then stop writing. */
    flowd_result (*write)(const struct flowd_writer *writer, flowd_string text);
} flowd_writer;

#ifdef __cplusplus
}
#endif

#endif
