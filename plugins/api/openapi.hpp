// SPDX-License-Identifier: Apache-2.0
// The description of this API (OpenAPI 3.1), as GET /openapi.json serves it: plugins/api/openapi.json.
#pragma once

#include <string_view>

namespace flowd::api {

extern const std::string_view openapi_document;

}  // namespace flowd::api
