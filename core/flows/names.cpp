// SPDX-License-Identifier: Apache-2.0
#include <array>

#include "core/flows/counters.hpp"

namespace flowd::core {
namespace {

constexpr std::array<std::string_view, static_cast<std::size_t>(Refusal::count_)> refusals{
    "full",        "limit_live",   "limit_instance", "limit_sender", "bad_size", "bad_kind", "bad_protocol",
    "bad_address", "bad_reserved", "bad_flags",      "bad_times",    "bad_enum", "bad_text", "bad_attachments"};
constexpr std::array<std::string_view, static_cast<std::size_t>(Effect::count_)> effects{
    "started", "refreshed",  "joined",      "retagged",   "ended",        "left",
    "late",    "double_end", "foreign_end", "end_unseen", "end_no_start", "catch_all"};
constexpr std::array<std::string_view, static_cast<std::size_t>(Expiry::count_)> expiries{"idle", "age", "socket_gone",
                                                                                          "enricher_gone", "unannounced"};

// An enumerator without a name would be an empty string at the end.
static_assert(!refusals.back().empty() && !effects.back().empty() && !expiries.back().empty());

}  // namespace

std::string_view name_of(Refusal reason) {
    return refusals.at(static_cast<std::size_t>(reason));
}
std::string_view name_of(Effect effect) {
    return effects.at(static_cast<std::size_t>(effect));
}
std::string_view name_of(Expiry reason) {
    return expiries.at(static_cast<std::size_t>(reason));
}

}  // namespace flowd::core
