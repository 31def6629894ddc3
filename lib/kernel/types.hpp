// SPDX-License-Identifier: Apache-2.0
// lib/kernel/types.hpp: the layout of this kernel's own types, from its BTF (Documentation/bpf/btf.rst). Reads a file. Not
// bound to a thread. For programs that need one member: libbpf's relocation (CO-RE) reads and indexes all types.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "flowd/result.hpp"

namespace flowd::kernel {

/// The offset of a member of a struct, in bytes. Members of anonymous structs and unions in it are not found.
[[nodiscard]] Result<std::uint32_t> member_offset(std::string_view type, std::string_view member,
                                                  const std::string& file = "/sys/kernel/btf/vmlinux");

}  // namespace flowd::kernel
