// SPDX-License-Identifier: Apache-2.0
// The entry lets a C++ exception out. The SDK's C++ layer never does; a hand-written module may.
#include <stdexcept>

#include "flowd/abi/module.h"
#include "flowd/abi/note.h"

FLOWD_MODULE_NOTE("abi=1.0\nname=zoo\nversion=1.0\nplugin=zoo\n");

const flowd_module* flowd_module_v1(std::uint32_t) {
    throw std::runtime_error("no cage is strong enough");
}
