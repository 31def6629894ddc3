// SPDX-License-Identifier: Apache-2.0
// Events of many flows, as a plugin emits them.
#pragma once

#include <cstdint>
#include <cstring>

#include "flowd/address.hpp"
#include "flowd/key.hpp"

namespace flowd::bench {

inline flowd_event event_of(std::uint32_t kind, std::uint32_t number) {
    flowd_event event{};
    event.size = sizeof event;
    event.kind = kind;
    event.key = make_key({*Address::parse("2001:db8::1"), 443}, {*Address::parse("2001:db8::2"), 0}, 6);
    event.key.destination_port = static_cast<std::uint16_t>(number);
    std::memcpy(event.key.destination + 8, &number, sizeof number);
    event.tag = {2, 16};
    return event;
}

}  // namespace flowd::bench
