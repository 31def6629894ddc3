// SPDX-License-Identifier: Apache-2.0
// Separate from the component, so that tests can link the component alone.
#include "backends/firefly/firefly.hpp"

FLOWD_MODULE(flowd::firefly_backend::FireflyBackend);
