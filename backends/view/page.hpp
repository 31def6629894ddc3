// SPDX-License-Identifier: Apache-2.0
// The web page: page.html with page.css and page.js in it.
#pragma once

#include <string_view>

namespace flowd::view {

/// "{{nonce}}" stands for a number that is new in each response, "{{token}}" for "required" or nothing, "{{version}}" for
/// the version of the daemon.
extern const std::string_view page_document;

}  // namespace flowd::view
