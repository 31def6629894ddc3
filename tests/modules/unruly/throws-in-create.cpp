// SPDX-License-Identifier: Apache-2.0
// A hand-written C++ module without the SDK's exception barrier.
#include <stdexcept>

#include "flowd/abi/module.h"
#include "flowd/abi/note.h"

FLOWD_MODULE_NOTE("abi=1.0\nname=zoo\nversion=1.0\nplugin=zoo\n");

namespace {

flowd_result create(const flowd_host*, const flowd_value*, flowd_instance**) {
    throw std::runtime_error("out of create");
}
flowd_result start(flowd_instance*) {
    return FLOWD_OK;
}
flowd_result stop(flowd_instance*, std::int64_t, std::uint32_t) {
    return FLOWD_OK;
}
void destroy(flowd_instance*) {}

}  // namespace

const flowd_module* flowd_module_v1(std::uint32_t) {
    static flowd_component component{};
    component.size = sizeof component;
    component.kind = FLOWD_PLUGIN;
    component.name = "zoo";
    component.summary = "Throws.";
    component.precedence = FLOWD_PRECEDENCE_EXPLICIT;
    component.create = create;
    component.start = start;
    component.stop = stop;
    component.destroy = destroy;
    static flowd_module module{};
    module.size = sizeof module;
    module.abi_major = FLOWD_ABI_MAJOR;
    module.name = "zoo";
    module.version = "1.0";
    module.license = "Apache-2.0";
    module.components = &component;
    module.component_count = 1;
    module.component_stride = sizeof component;
    return &module;
}
