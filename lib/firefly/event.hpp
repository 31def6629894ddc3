// SPDX-License-Identifier: Apache-2.0
// lib/firefly/event.hpp: conversion between fireflies and flow events. Pure functions, any thread.
#pragma once

#include "flowd/abi/event.h"
#include "lib/firefly/firefly.hpp"

namespace flowd::firefly {

/// The event that a received firefly announces, without attachments and sender. Borrows the firefly's application,
/// truncated to the limit of the core.
[[nodiscard]] flowd_event to_event(const Firefly& firefly);

/// Whether a firefly can carry it: start, ongoing or end of a tcp or udp flow between two addresses with ports from 1.
enum class Printable : std::uint8_t { yes, kind, protocol, port, address };
[[nodiscard]] Printable printable(const flowd_event& event);

/// The firefly of a flow event that is printable, at `now_ns`, without rtt and blocks. Borrows the event's application.
[[nodiscard]] Firefly from_event(const flowd_event& event, std::int64_t now_ns);

}  // namespace flowd::firefly
