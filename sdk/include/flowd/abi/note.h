/* SPDX-License-Identifier: Apache-2.0 */
/*
 * flowd/abi/note.h: the ELF note that describes a module to readers that do not load it.
 *
 * Section .note.flowd, owner "flowd", type FLOWD_NOTE_MODULE; the description is text, one `key=value` a line:
 *   abi=1.0              major and minor
 *   name=backend-firefly
 *   version=1.2.3
 *   plugin=fireflyp      one line per component: its kind and name ...
 *   plugin.alias=firefly ... each followed by its aliases
 * Written by flowd_add_module of the CMake package, or by hand with this macro, once per module:
 *   FLOWD_MODULE_NOTE("abi=1.0\nname=plugin-x\nversion=0.1\nplugin=x\n");
 * The core and flowd-module-check compare it with the result of flowd_module_v1.
 */
#ifndef FLOWD_ABI_NOTE_H
#define FLOWD_ABI_NOTE_H

#include <stdint.h>

#define FLOWD_NOTE_SECTION ".note.flowd"
#define FLOWD_NOTE_OWNER "flowd"
#define FLOWD_NOTE_MODULE 1

/* Layout of an ELF note: gABI, "Note Section"; name and description are padded to 4 bytes. */
#define FLOWD_MODULE_NOTE(text)                                                                                              \
    __attribute__((section(FLOWD_NOTE_SECTION), used, aligned(4))) static const struct {                                     \
        uint32_t name_size, description_size, type;                                                                          \
        char name[8];                                                                                                        \
        char description[(sizeof(text) + 3u) & ~3u];                                                                         \
    } flowd_module_note_ = {sizeof(FLOWD_NOTE_OWNER), sizeof(text), FLOWD_NOTE_MODULE, FLOWD_NOTE_OWNER, text}

#endif
