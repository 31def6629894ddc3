// SPDX-License-Identifier: Apache-2.0
#include <array>

#include "core/flows/counters.hpp"

namespace flowd::core {
namespace {

template <typename Enum>
using NamesOf = std::array<std::string_view, static_cast<std::size_t>(Enum::count_)>;

#define FLOWD_NAME(name, text) #name,
constexpr NamesOf<Refusal> refusal_names{FLOWD_REFUSALS(FLOWD_NAME)};
constexpr NamesOf<Effect> effect_names{FLOWD_EFFECTS(FLOWD_NAME)};
constexpr NamesOf<Expiry> expiry_names{FLOWD_EXPIRIES(FLOWD_NAME)};
#undef FLOWD_NAME

}  // namespace

std::string_view name_of(Refusal reason) {
    return refusal_names.at(static_cast<std::size_t>(reason));
}
std::string_view name_of(Effect effect) {
    return effect_names.at(static_cast<std::size_t>(effect));
}
std::string_view name_of(Expiry reason) {
    return expiry_names.at(static_cast<std::size_t>(reason));
}

}  // namespace flowd::core
