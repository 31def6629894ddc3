/* SPDX-License-Identifier: Apache-2.0 */
/*
 * flowd/abi/base.h: rules and types that every other ABI header uses.
 *
 * Rules of this interface (docs/abi-policy.md says what breaks them):
 *  - C11 and the fixed-width types only, on LP64, in the natural layout of the platform.
 *  - Every struct that is passed begins with `size`, set by the writer to sizeof of the struct it was compiled with. The
 *    reader zeroes its own copy, copies the smaller of the two sizes and then checks the members it requires, by name.
 *    Structs grow at their end only.
 *  - Value types (flowd_string, flowd_bytes, flowd_tag, flowd_key, flowd_usage) are embedded by value, carry no size
 *    and never change within a major.
 *  - An array of sized structs is passed as pointer, count and stride; walk it by the stride, never by sizeof.
 *  - A `const char *` is UTF-8, NUL-terminated and static for the life of the process unless its comment says
 *    otherwise; as an argument it is borrowed for the call. Text made at run time is a flowd_string: borrowed, not
 *    terminated, valid until the call returns unless its comment says otherwise.
 *  - Thread tags: [any] any thread; [instance] the instance's own thread; [core] a thread of the core, never that of an
 *    instance. Calls tagged [instance] never overlap for one instance. During a call tagged [core], instances of the same
 *    component may be live: lock shared state. A call tagged [instance] that a module makes from another thread has no
 *    effect, and returns FLOWD_INVALID if it has a result.
 *  - Results: FLOWD_OK is 0, every failure is negative. A negative result means that nothing was done beyond what an
 *    out-parameter (`accepted`, `taken`) says. No call returns a positive value; a caller treats a positive value and an
 *    unknown negative value as FLOWD_ERROR.
 *  - `reserved` members: the writer sets 0; modules never read them. The core refuses events, keys, samples and
 *    attachments in which they are not 0, so that a later minor can use them.
 *  - Bits and kinds that the core does not know are refused: in flowd_event.kind and flags, flowd_attachment.flags,
 *    flowd_sample.flags, flowd_usage.known, flowd_component.kind, accepts and flags, flowd_option.type and flags,
 *    flowd_command.flags, flowd_flow_filter.members and the conditions of a watch. A module that uses one of a later minor
 *    checks flowd_host.abi_minor, or is refused with a message. Modules ignore unknown bits and kinds.
 *  - Enumerations are open: a later minor may add values. Each says how a reader treats unknown values. FLOWD_LOCAL_*,
 *    FLOWD_INITIATOR_* and the bits of flowd_usage.known are closed: this major adds no values.
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

/* The result of a call; see "Results" above. Values never change meaning. */
typedef int32_t flowd_result;
enum {
    FLOWD_OK = 0,
    FLOWD_ERROR = -1,       /* unspecified failure */
    FLOWD_INVALID = -2,     /* an argument, a value or an event is malformed */
    FLOWD_UNSUPPORTED = -3, /* not supported by this kernel, core or component */
    FLOWD_NOT_FOUND = -4,   /* a name, file, interface or flow does not exist */
    FLOWD_DENIED = -5,      /* a privilege is missing */
    FLOWD_BUSY = -6,        /* a port, path or hook is in use by another instance or process */
    FLOWD_LIMIT = -7,       /* a limit was reached */
    FLOWD_EXCEPTION = -8,   /* the SDK's exception barrier caught a C++ exception */
    FLOWD_NO_MEMORY = -9,
    FLOWD_FULL = -10,   /* no room now: offer the rest again after on_room or ready */
    FLOWD_STOPPED = -11 /* the instance was stopped, or the reader has closed: give up */
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

/* Value type. Experiment and activity of a flow. 0/0 is valid and means "no valid tag": announced, never marked. */
typedef struct flowd_tag {
    uint32_t experiment;
    uint32_t activity;
} flowd_tag;

/*
 * Severity of log lines, problems and findings. Open: a reader treats an unknown value as the next lower known one, and a
 * value below TRACE as TRACE.
 */
typedef uint32_t flowd_level;
enum {
    FLOWD_LEVEL_TRACE = 10,
    FLOWD_LEVEL_DEBUG = 20,
    FLOWD_LEVEL_INFO = 30,
    FLOWD_LEVEL_WARNING = 40,
    FLOWD_LEVEL_ERROR = 50
};

/*
 * An error or a warning about a configured value or about the host, for the administrator. The core adds file, line,
 * column and the path of the key. If the start fails, `result` determines the exit code.
 */
typedef struct flowd_problem {
    uint32_t size;
    flowd_level level;   /* FLOWD_LEVEL_WARNING, or FLOWD_LEVEL_ERROR: the call fails because of it */
    flowd_result result; /* of an error: the reason, negative */
    uint32_t reserved;   /* 0 */
    flowd_string option; /* relative to the instance: "collectors[1].port"; empty: the instance itself */
    flowd_string found;  /* the offending value as text; may be empty */
    flowd_string message;
    flowd_string hint; /* one remedy; may be empty */
} flowd_problem;

/* Receives the problems found by a call. Valid until that call returns; use it on the calling thread. */
typedef struct flowd_problems {
    uint32_t size;
    uint32_t reserved;
    void *context;
    void (*report)(const struct flowd_problems *problems, const flowd_problem *problem);
} flowd_problems;

/* Receives text in pieces, which are concatenated. Valid until the call that received it returns; use it on that thread. */
typedef struct flowd_writer {
    uint32_t size;
    uint32_t reserved;
    void *context;
    /* FLOWD_OK; FLOWD_STOPPED: the reader has closed; FLOWD_LIMIT: the text is too long. Stop writing after either. */
    flowd_result (*write)(const struct flowd_writer *writer, flowd_string text);
} flowd_writer;

#ifdef __cplusplus
}
#endif

#endif
