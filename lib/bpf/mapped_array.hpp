// SPDX-License-Identifier: Apache-2.0
// lib/bpf/mapped_array.hpp: the values of a BPF array (BPF_F_MMAPABLE) as memory shared with BPF programs. What a program
// writes is read and written with the __atomic builtins.
#pragma once

#include <sys/mman.h>

#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <span>
#include <utility>

#include "lib/bpf/error.hpp"

namespace flowd::bpf {

template <typename Value>
class MappedArray {
    static_assert(sizeof(Value) % 8 == 0, "the kernel pads values to 8 bytes");

  public:
    /// The map exists as long as this, even if the descriptor is closed.
    [[nodiscard]] static Result<MappedArray> map(int fd, std::uint32_t count) {
        const std::size_t size = count * sizeof(Value);
        void* const memory = ::mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        if (memory == MAP_FAILED) return system_error(errno, "sharing memory with a BPF map");
        return MappedArray(static_cast<Value*>(memory), count);
    }
    MappedArray(MappedArray&& other) noexcept : values_(std::exchange(other.values_, {})) {}
    MappedArray& operator=(MappedArray&& other) noexcept {
        std::swap(values_, other.values_);
        return *this;
    }
    MappedArray(const MappedArray&) = delete;
    MappedArray& operator=(const MappedArray&) = delete;
    ~MappedArray() {
        if (!values_.empty()) ::munmap(values_.data(), values_.size_bytes());
    }

    [[nodiscard]] Value& operator[](std::size_t index) const { return values_[index]; }
    [[nodiscard]] std::size_t size() const { return values_.size(); }

  private:
    MappedArray(Value* values, std::size_t count) : values_(values, count) {}
    std::span<Value> values_;
};

}  // namespace flowd::bpf
