// SPDX-License-Identifier: Apache-2.0
// The two forms of an announcement that is not a firefly: ours, and flowd-go's. docs: plugins/api/README.md. One thread.
#pragma once

#include "flowd/event.hpp"
#include "flowd/host.hpp"
#include "flowd/json.hpp"
#include "plugins/api/json_reading.hpp"

namespace flowd::api {

/// {"state":"start","protocol":"tcp","source":{"address":...,"port":...},"destination":{...},"experiment":...,"activity":...}
/// Strict: an unknown member is an error.
[[nodiscard]] Result<Event> read_own_form(dom::object object, const Registry& registry);

/// {"State":2,"Protocol":0,"Src":"[::1]:2345","Dst":"[::1]:5777","Experiment":1,"Activity":2}; Src and Dst also as
/// {"IP":...,"Port":...}. As in flowd-go, names are case-insensitive and unknown members are ignored.
[[nodiscard]] Result<Event> read_flowd_go_form(dom::object object);

/// An event in flowd-go's form, as in the responses of its /dummy endpoints.
void write_flowd_go_form(json::Writer& writer, const flowd_event& event);

}  // namespace flowd::api
