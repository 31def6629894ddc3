// SPDX-License-Identifier: Apache-2.0
// lib/bpf/object.hpp: a loaded BPF object file. Not bound to a thread, not thread-safe. Owns the maps and programs; callers
// borrow them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include "flowd/result.hpp"
#include "lib/bpf/map.hpp"
#include "lib/bpf/messages.hpp"

struct bpf_object;

namespace flowd::bpf {

class Object {
  public:
    /// From an ELF image, which must outlive the object. `name` identifies it in messages.
    [[nodiscard]] static Result<Object> open(std::span<const std::uint8_t> elf, const std::string& name, LogSink log);
    [[nodiscard]] static Result<Object> open_file(const std::string& path, LogSink log);

    /// Before load: how many entries a map may hold.
    Result<void> set_max_entries(const std::string& map, std::uint32_t entries);
    /// Before load: sets .rodata, which must consist of exactly one T.
    template <typename T>
    requires std::is_trivially_copyable_v<T> Result<void> set_constants(const T& constants) {
        return set_read_only_data(&constants, sizeof constants);
    }

    /// Before load: the program is loaded when it is first asked for, not with the others. Of a file, all are loaded at
    /// once.
    Result<void> defer(const std::string& program);

    /// Before load: uses the map of `fd`, which is duplicated, instead of creating one. Layouts must agree.
    Result<void> reuse_map(const std::string& map, int fd);

    /// Creates the maps and passes the programs to the verifier. `needs`: what the object requires of the kernel
    /// (lib/kernel/features.hpp), by which a failure is explained; it must outlive the object.
    Result<void> load(std::span<const std::string_view> needs);

    /// After load. Layouts that differ from those expected are refused.
    template <typename Key, typename Value>
    [[nodiscard]] Result<Map<Key, Value>> map(const std::string& name) const {
        auto found = find_map(name, sizeof(Key), sizeof(Value));
        if (!found) return std::move(found).error();
        return Map<Key, Value>(*found, name);
    }
    /// After load.
    template <typename Value>
    [[nodiscard]] Result<Stack<Value>> stack(const std::string& name) const {
        auto found = find_map(name, 0, sizeof(Value));
        if (!found) return std::move(found).error();
        return Stack<Value>(*found);
    }
    /// After load: the descriptor of a ring buffer, borrowed.
    [[nodiscard]] Result<int> ring(const std::string& name) const { return find_map(name, 0, 0); }
    /// After load: a program's descriptor, borrowed. Loads one that was deferred.
    [[nodiscard]] Result<int> program(const std::string& name);

  private:
    struct Closer {
        void operator()(bpf_object* object) const;
    };
    Object(bpf_object* object, std::span<const std::uint8_t> elf, std::string name, LogSink log);
    [[nodiscard]] Result<int> load_deferred(const std::string& program);
    [[nodiscard]] Error no_program(const std::string& name) const;
    Result<void> set_read_only_data(const void* data, std::size_t size);
    void round_rings();
    [[nodiscard]] Result<int> find_map(const std::string& name, std::size_t key_size, std::size_t value_size) const;

    std::unique_ptr<bpf_object, Closer> object_;
    std::vector<std::unique_ptr<bpf_object, Closer>> deferred_;  // each with one program, and the maps of object_
    std::span<const std::uint8_t> elf_;                          // empty: of a file
    std::span<const std::string_view> needs_;
    std::string name_;
    LogSink log_;
};

/// Runs a tc program once, on this thread, on an empty frame (BPF_PROG_TEST_RUN).
Result<void> run_once(int program);

/// The name of a loaded program; empty if there is none, or if this thread lacks CAP_SYS_ADMIN, which the query needs.
[[nodiscard]] std::string program_name(std::uint32_t id);

/// Whether a descriptor of this process holds the program, or a link to it.
[[nodiscard]] bool is_held_here(std::uint32_t program);

/// "PROGRAM:[ID]", as libbpf names a tc filter. Needs no capability, in contrast to program_name().
[[nodiscard]] std::string filter_name(int program);

/// The id of a program; 0 if the kernel does not tell it.
[[nodiscard]] std::uint32_t program_id(int program);

}  // namespace flowd::bpf
