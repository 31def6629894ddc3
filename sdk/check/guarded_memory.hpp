// SPDX-License-Identifier: Apache-2.0
// Memory that ends at a guard page: a read beyond a struct's size crashes at once. One thread.
#pragma once

#include <sys/mman.h>
#include <unistd.h>

#include <cstddef>
#include <cstring>
#include <new>
#include <span>

namespace flowd::check {

class GuardedMemory {
  public:
    explicit GuardedMemory(std::size_t size) : page_(static_cast<std::size_t>(::sysconf(_SC_PAGESIZE))) {
        mapped_ = (size + page_ - 1) / page_ * page_ + page_;
        void* memory = ::mmap(nullptr, mapped_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (memory == MAP_FAILED) throw std::bad_alloc();
        memory_ = static_cast<std::byte*>(memory);
        (void)::mprotect(memory_ + mapped_ - page_, page_, PROT_NONE);
        begin_ = memory_ + mapped_ - page_ - size;
    }
    GuardedMemory(const GuardedMemory&) = delete;
    GuardedMemory& operator=(const GuardedMemory&) = delete;
    ~GuardedMemory() { ::munmap(memory_, mapped_); }

    [[nodiscard]] std::byte* data() const { return begin_; }

  private:
    std::size_t page_;
    std::size_t mapped_ = 0;
    std::byte* memory_ = nullptr;
    std::byte* begin_ = nullptr;
};

/// One struct at the end of readable memory.
template <typename T>
class Guarded {
  public:
    Guarded() : memory_(sizeof(T)) { new (memory_.data()) T{}; }
    [[nodiscard]] T* get() const { return std::launder(reinterpret_cast<T*>(memory_.data())); }
    T& operator*() const { return *get(); }

  private:
    GuardedMemory memory_;
};

/// Structs with `extra` bytes of something between them, as a later core would send them, or none.
template <typename T>
class GuardedArray {
  public:
    GuardedArray(std::span<const T> values, std::size_t extra)
        : stride_(sizeof(T) + extra), count_(values.size()), memory_(stride_ * count_) {
        std::memset(memory_.data(), 0x5a, stride_ * count_);
        for (std::size_t i = 0; i < count_; ++i) {
            T copy = values[i];
            copy.size = static_cast<std::uint32_t>(stride_);
            std::memcpy(memory_.data() + i * stride_, &copy, sizeof copy);
        }
    }
    [[nodiscard]] const T* data() const { return at(0); }
    [[nodiscard]] const T* at(std::size_t index) const {
        return reinterpret_cast<const T*>(memory_.data() + index * stride_);
    }
    [[nodiscard]] std::size_t count() const { return count_; }
    [[nodiscard]] std::size_t stride() const { return stride_; }

  private:
    std::size_t stride_;
    std::size_t count_;
    GuardedMemory memory_;
};

}  // namespace flowd::check
