/* SPDX-License-Identifier: Apache-2.0 */
/* A finding that is not a note, a warning or an error. */
#include "tests/modules/zoo/zoo.h"

#include <string.h>

#include "flowd/abi/ext/findings.h"

ZOO_NOTE;
static flowd_result find(flowd_instance* instance, const flowd_findings* findings) {
    const flowd_finding finding = {.size = sizeof finding,
                                   .severity = FLOWD_LEVEL_DEBUG,
                                   .id = "zoo-broken",
                                   .found = {"it is broken", 12},
                                   .remedy = {"mend it", 7}};
    (void)instance;
    findings->add(findings, &finding);
    return FLOWD_OK;
}
static const void* extension(flowd_instance* instance, const char* id) {
    static const flowd_ext_findings offered = {.size = sizeof offered, .instance = find};
    (void)instance;
    return strcmp(id, FLOWD_EXT_FINDINGS) == 0 ? &offered : NULL;
}
static const flowd_component components[] = {{ZOO_COMPONENT, .extension = extension}};
ZOO_MODULE(components)
