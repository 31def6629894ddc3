// SPDX-License-Identifier: Apache-2.0
// lib/bpf/sized.hpp: libbpf's option structs without its macro, which is not valid in standard C++. Pure.
#pragma once

namespace flowd::bpf {

/// A zeroed option struct with its size (bpf/libbpf_common.h, LIBBPF_OPTS).
template <typename Options>
[[nodiscard]] Options sized() {
    Options options{};
    options.sz = sizeof options;
    return options;
}

}  // namespace flowd::bpf
