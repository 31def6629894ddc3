/* SPDX-License-Identifier: Apache-2.0 */
/* A module of a later minor: longer structs, a component kind and members that 1.0 does not know. */
#include "zoo.h"

FLOWD_MODULE_NOTE("abi=1.7\nname=zoo\nversion=1.0\nplugin=zoo\nfilter=zoo\nlater=x\n");

struct later_component {
    flowd_component known;
    void (*added_in_1_7)(flowd_instance* instance);
};
static const struct later_component components[] = {
    {.known = {ZOO_COMPONENT, .size = sizeof(struct later_component), .on_events = zoo_on_events},
     .added_in_1_7 = zoo_destroy},
    {.known = {ZOO_COMPONENT, .size = sizeof(struct later_component), .kind = 4}, .added_in_1_7 = zoo_destroy},
};
static const struct {
    flowd_module known;
    const char* added_in_1_7;
} module = {.known = {ZOO_DESCRIPTOR(components), .size = sizeof module, .abi_minor = 7}, .added_in_1_7 = "x"};
const flowd_module* flowd_module_v1(uint32_t core_minor) {
    (void)core_minor;
    return &module.known;
}
