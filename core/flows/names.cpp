// SPDX-License-Identifier: Apache-2.0
#include <array>

#include "core/flows/counters.hpp"

namespace flowd::core {
namespace {

template <typename Enum>
using NamesOf = std::array<std::string_view, static_cast<std::size_t>(Enum::count_)>;

#define FLOWD_NAME(name, text) #name,
constexpr NamesOf<Refusal> refusals{FLOWD_REFUSALS(FLOWD_NAME)};
constexpr NamesOf<Effect> effects{FLOWD_EFFECTS(FLOWD_NAME)};
constexpr NamesOf<Expiry> expiries{FLOWD_EXPIRIES(FLOWD_NAME)};
#undef FLOWD_NAME

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
