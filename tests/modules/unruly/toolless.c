/* SPDX-License-Identifier: Apache-2.0 */
/* A tool without a function. */
#include "flowd/abi/ext/tool.h"

#include <string.h>

#include "tests/modules/zoo/zoo.h"

ZOO_NOTE;
static const flowd_tool tools[] = {{.size = sizeof(flowd_tool), .name = "greet", .summary = "Greets."}};
static const flowd_ext_tool offered = {
    .size = sizeof offered, .tools = tools, .tool_count = 1, .tool_stride = sizeof tools[0]};
static const void* offline(const char* id) {
    return strcmp(id, FLOWD_EXT_TOOL) == 0 ? &offered : NULL;
}
static const flowd_component components[] = {{ZOO_COMPONENT, .offline = offline}};
ZOO_MODULE(components)
