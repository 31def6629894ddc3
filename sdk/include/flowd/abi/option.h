/* SPDX-License-Identifier: Apache-2.0 */
/*
 * flowd/abi/option.h: options are declared in a table; the core parses, checks, documents and delivers them.
 */
#ifndef FLOWD_ABI_OPTION_H
#define FLOWD_ABI_OPTION_H

#include "base.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Type of an option, and what flowd_value holds for it. */
enum {
    FLOWD_OPTION_BOOLEAN = 1,     /* integer 0 or 1 */
    FLOWD_OPTION_INTEGER = 2,     /* integer */
    FLOWD_OPTION_NUMBER = 3,      /* number */
    FLOWD_OPTION_STRING = 4,      /* text */
    FLOWD_OPTION_CHOICE = 5,      /* text, one of `choices` */
    FLOWD_OPTION_DURATION = 6,    /* integer: nanoseconds; written "3s", "250ms", or a bare number in `unit` */
    FLOWD_OPTION_SIZE = 7,        /* integer: bytes; written "4 MiB", or a bare number */
    FLOWD_OPTION_ADDRESS = 8,     /* address */
    FLOWD_OPTION_NETWORK = 9,     /* address and integer: prefix length of the 16-byte address (IPv4 /24 is 120) */
    FLOWD_OPTION_HOST = 10,       /* text: a host name or an address literal */
    FLOWD_OPTION_PATH = 11,       /* text: an absolute file name */
    FLOWD_OPTION_EXPERIMENT = 12, /* integer: experiment id; written as a number or as a name of the registry */
    FLOWD_OPTION_ACTIVITY = 13,   /* integer: activity id; a name is looked up in the experiment of the same group */
    FLOWD_OPTION_GROUP = 14,      /* items: one per row of `fields`, in that order */
    FLOWD_OPTION_LIST = 15,       /* items: any number, each of the type of `fields[0]` */
    FLOWD_OPTION_MAP = 16         /* items with `key`: any number, each of the type of `fields[0]` */
};

/* flowd_option.flags */
enum {
    FLOWD_OPTION_REQUIRED = 1u << 0,
    FLOWD_OPTION_SECRET = 1u << 1, /* never printed: not by `conf`, not in an error */
    FLOWD_OPTION_TRUSTED = 1u << 2, /* PATH: the file and its parents must be owned by root and not writable by others */
    FLOWD_OPTION_MINIMUM = 1u << 3, /* `minimum` holds */
    FLOWD_OPTION_MAXIMUM = 1u << 4, /* `maximum` holds */
    /* STRING: may also be written as NAMEFile, an absolute path (token: tokenFile). The core reads the file, takes its
     * first line as the value, and reads it again on a reload. At most 4 KiB; neither the
     * file nor a directory above it may be writable by others, and with SECRET others must not be able to read it. */
    FLOWD_OPTION_FILE = 1u << 5
};

/* One row of a table. Static for the life of the process. A row with an unknown flag or a non-zero unknown tail is
 * refused, so that an option never silently means less than its author wrote. */
typedef struct flowd_option {
    uint32_t size;
    uint32_t type;
    const char *name; /* lowerCamelCase */
    const char *doc;  /* one line, begins with a capital, ends with a full stop */
    uint32_t flags;
    uint32_t reserved;
    const char *const *aliases; /* other names, terminated by NULL; may be null */
    const char *default_text;   /* as written in YAML; null: no default */
    const char *unit;           /* DURATION: unit of a bare number, "ns" to "h"; others: for the docs; may be null */
    const char *const *choices; /* CHOICE: the allowed values, terminated by NULL */
    const char *deprecated_by;  /* the option to use instead; null: current */
    /* Bounds, inclusive, of INTEGER, NUMBER, DURATION (ns), SIZE, EXPERIMENT, ACTIVITY, and of the number of items
     * of a LIST or MAP; each only with its flag, otherwise 0. Integers are exact up to 2^53. */
    double minimum;
    double maximum;
    const struct flowd_option *fields; /* GROUP: its table. LIST, MAP: one row, the type of an item */
    size_t field_count;
    size_t field_stride;
} flowd_option;

/* flowd_value.flags */
enum {
    FLOWD_VALUE_PRESENT = 1u << 0, /* configured, or has a default; otherwise all members below are zero */
    FLOWD_VALUE_WRITTEN = 1u << 1  /* configured explicitly */
};

/* A configured value. Owned by the core; valid until the call it was passed to returns: copy what is to be kept. */
typedef struct flowd_value {
    uint32_t size;
    uint32_t type; /* FLOWD_OPTION_* */
    uint32_t flags;
    uint32_t reserved;
    int64_t integer;
    double number;
    flowd_string text;   /* of scalars that are not secret: their canonical text */
    flowd_string key;    /* of an item of a MAP */
    uint8_t address[16]; /* as in flowd_key */
    const struct flowd_value *items;
    size_t item_count;
    size_t item_stride;
} flowd_value;

#ifdef __cplusplus
}
#endif

#endif
