// SPDX-License-Identifier: Apache-2.0
#include "lib/http/problem.hpp"

#include "lib/http/reason.hpp"

namespace flowd::http {

Response problem(unsigned status, const Details& details) {
    Response response{.status = status, .content_type = "application/problem+json"};
    json::Writer writer(response.body);
    writer.object().member("type", "about:blank").member("title", reason(status)).member("status", status);
    writer.member("detail", details.detail);
    if (!details.hint.empty()) writer.member("hint", details.hint);
    if (details.more) details.more(writer);
    writer.end();
    response.body.push_back('\n');
    return response;
}

Response passing_problem(unsigned status, const Details& details) {
    Response response = problem(status, details);
    response.headers.emplace_back("Retry-After", "1");
    return response;
}

}  // namespace flowd::http
