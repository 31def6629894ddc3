// SPDX-License-Identifier: Apache-2.0
// Separate from the component, so that tests can link the component alone.
#include "plugins/skops/skops.hpp"

FLOWD_MODULE(flowd::skops::Skops);
