// SPDX-License-Identifier: Apache-2.0
#include "core/base/version.hpp"

namespace flowd::core {

const char* version() {
    return FLOWD_VERSION;
}

}  // namespace flowd::core
