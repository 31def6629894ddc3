// SPDX-License-Identifier: Apache-2.0
// flowd/verify.hpp: what a component offers to `flowd-cpp verify`: a tool named "verify".
//
//   flowd::Result<void> verify(VerifyOptions options, flowd::ToolCall& call) {
//       flowd::Verification result;
//       result.row().member("subject", "eth0").member("state", "well").end();
//       result.add({FLOWD_LEVEL_ERROR, "hello-silent", "eth0", "nothing was heard", "an answer", "connect the cable"});
//       call.print(result.to_string());
//       return {};
//   }
//   ... in the component:
//   static std::vector<flowd::Tool> tools() { return {flowd::tool<&verify>("verify", "Greets and waits for an answer.")}; }
//
// `flowd-cpp verify` calls it once for each configured instance (flowd_host.instance is its key), with --seconds and
// --probe if it declares them. It prints one object: rows, which become a table, and findings. Of a finding with the id and
// the subject of one of the running instance, the more severe is shown. An error that the tool returns is a finding, too.
// In the same way, `flowd-cpp verify --path HOST [--port N]` calls tools named "verify-path" with --to and --port.
#pragma once

#include <initializer_list>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "flowd/daemon.hpp"
#include "flowd/findings.hpp"
#include "flowd/host.hpp"
#include "flowd/json.hpp"
#include "flowd/result.hpp"

namespace flowd {

/// What a tool named "verify" or "verify-path" prints. One thread.
class Verification {
  public:
    /// An open object: add members and call end(). All rows have the same members.
    json::Writer& row() { return writer_.object(); }
    void add(Finding finding) { findings_.push_back(std::move(finding)); }
    /// Once, at the end.
    [[nodiscard]] std::string to_string() {
        writer_.end().key("findings").array();
        for (const Finding& one : findings_) {
            writer_.object();
            writer_.member("severity", one.severity >= FLOWD_LEVEL_ERROR     ? "error"
                                       : one.severity == FLOWD_LEVEL_WARNING ? "warning"
                                                                             : "note");
            writer_.member("id", one.id).member("subject", one.subject).member("found", one.found);
            writer_.member("expected", one.expected).member("remedy", one.remedy).end();
        }
        writer_.end().end();
        return std::move(text_);
    }

    Verification() { writer_.object().key("rows").array(); }
    Verification(const Verification&) = delete;
    Verification& operator=(const Verification&) = delete;

  private:
    std::string text_;
    json::Writer writer_{text_};
    std::vector<Finding> findings_;
};

}  // namespace flowd
