// SPDX-License-Identifier: Apache-2.0
// Separate from the component, so that tests can link the component alone.
#include "backends/view/view.hpp"

FLOWD_MODULE(flowd::view::View);
