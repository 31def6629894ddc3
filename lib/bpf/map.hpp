// SPDX-License-Identifier: Apache-2.0
// lib/bpf/map.hpp: typed access to a BPF map. Borrows the descriptor. The kernel orders concurrent use.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "flowd/result.hpp"

namespace flowd::bpf {

/// When an update applies (linux/bpf.h: BPF_ANY, BPF_NOEXIST, BPF_EXIST).
enum class Update : std::uint64_t { any = 0, create = 1, replace = 2 };

namespace detail {
/// 0 or an errno.
int update(int map, const void* key, const void* value, Update how);
int erase(int map, const void* key);
int lookup(int map, const void* key, void* value);
int next_key(int map, const void* key, void* next);
std::size_t possible_cpus();
Error error(int number, const std::string& map, const char* what);
}  // namespace detail

/// Values without keys, the last one first. The descriptor is borrowed.
template <typename Value>
class Stack {
  public:
    explicit Stack(int fd) : fd_(fd) {}
    /// 0, or the errno: E2BIG when it is full.
    [[nodiscard]] int push(const Value& value) { return detail::update(fd_, nullptr, &value, Update::any); }

  private:
    int fd_;
};

template <typename Key, typename Value>
class Map {
  public:
    Map(int fd, std::string name) : fd_(fd), name_(std::move(name)) {}

    [[nodiscard]] int fd() const { return fd_; }
    /// The errno instead of an Error: for the path on which full, present and absent are usual results.
    [[nodiscard]] int try_update(const Key& key, const Value& value, Update how) {
        return detail::update(fd_, &key, &value, how);
    }
    [[nodiscard]] int try_erase(const Key& key) { return detail::erase(fd_, &key); }

    Result<void> update(const Key& key, const Value& value) {
        if (const int number = detail::update(fd_, &key, &value, Update::any))
            return detail::error(number, name_, "writing");
        return {};
    }
    [[nodiscard]] Result<Value> lookup(const Key& key) const {
        Value value{};
        if (const int number = detail::lookup(fd_, &key, &value)) return detail::error(number, name_, "reading");
        return value;
    }
    /// The value of each CPU in a per-CPU map.
    [[nodiscard]] Result<std::vector<Value>> per_cpu(const Key& key) const {
        static_assert(sizeof(Value) % sizeof(std::uint64_t) == 0, "per-CPU values are padded to 8 bytes");
        std::vector<Value> values(detail::possible_cpus());
        if (const int number = detail::lookup(fd_, &key, values.data())) return detail::error(number, name_, "reading");
        return values;
    }
    /// Calls f(key) for the keys of a hash map, at most `most`. The program may change it meanwhile: keys may be missed or
    /// visited twice.
    template <typename Function>
    void for_each_key(std::size_t most, Function&& f) const {
        Key key{};
        for (bool first = true; most > 0 && detail::next_key(fd_, first ? nullptr : &key, &key) == 0; first = false, --most)
            f(key);
    }
    /// The sum over all CPUs of a per-CPU map of 8-byte counters.
    [[nodiscard]] Result<std::uint64_t> sum(const Key& key) const {
        auto values = per_cpu(key);
        if (!values) return std::move(values).error();
        std::uint64_t sum = 0;
        for (const Value value : *values) sum += value;
        return sum;
    }

  private:
    int fd_;
    std::string name_;
};

}  // namespace flowd::bpf
