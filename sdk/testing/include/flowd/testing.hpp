// SPDX-License-Identifier: Apache-2.0
// flowd/testing.hpp: fakes of the core for a module's unit tests. Link flowd::testing. Needs no daemon and no privileges.
#pragma once

#include "flowd/testing/config.hpp"     // IWYU pragma: export
#include "flowd/testing/fake_host.hpp"  // IWYU pragma: export
#include "flowd/testing/instance.hpp"   // IWYU pragma: export
#include "flowd/testing/tool.hpp"       // IWYU pragma: export
