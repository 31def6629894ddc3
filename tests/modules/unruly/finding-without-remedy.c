/* SPDX-License-Identifier: Apache-2.0 */
/* A finding of the host, without an instance, that nothing can be done about. */
#include "tests/modules/zoo/zoo.h"

#include <string.h>

#include "flowd/abi/ext/findings.h"

ZOO_NOTE;
static flowd_result find(const flowd_host* host, const flowd_value* config, const flowd_findings* findings) {
    const flowd_finding finding = {
        .size = sizeof finding, .severity = FLOWD_LEVEL_WARNING, .id = "zoo-broken", .found = {"it is broken", 12}};
    (void)host;
    (void)config;
    findings->add(findings, &finding);
    return FLOWD_OK;
}
static const void* offline(const char* id) {
    static const flowd_ext_findings offered = {.size = sizeof offered, .offline = find};
    return strcmp(id, FLOWD_EXT_FINDINGS) == 0 ? &offered : NULL;
}
static const flowd_component components[] = {{ZOO_COMPONENT, .offline = offline}};
ZOO_MODULE(components)
