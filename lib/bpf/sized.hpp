// SPDX-License-Identifier: Apache-2.0
// lib/bpf/sized.hpp: libbpf's option structs without its C macro, which is no standard C++. Pure.
#pragma once

namespace flowd::bpf {

/// A zeroed option struct that knows its size (bpf/libbpf_common.h, LIBBPF_OPTS).
template <typename Options>
[[nodiscard]] Options sized() {
    Options options{};
    options.sz = sizeof options;
    return options;
}

}  // namespace flowd::bpf
