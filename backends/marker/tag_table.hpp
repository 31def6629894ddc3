// SPDX-License-Identifier: Apache-2.0
// backends/marker/tag_table.hpp: flow events become entries of the kernel's table. One thread at a time.
#pragma once

#include <cstdint>
#include <string>

#include "backends/marker/program.hpp"
#include "flowd/abi/event.h"
#include "flowd/result.hpp"

namespace flowd::marker {

/// Label of a flow, entropy included; MARKER_NO_LABEL for tags that are not marked: 0/0 and those that do not fit.
[[nodiscard]] std::uint32_t label_of(const flow_key& key, flowd_tag tag);

class TagTable {
  public:
    /// Flows that are not in the table, and why.
    struct Skipped {
        std::uint64_t ipv4 = 0;
        std::uint64_t other_scope = 0;
        std::uint64_t tag_out_of_range = 0;  ///< in the table, so that the catch-all does not mark them either
        std::uint64_t no_valid_tag = 0;      ///< 0/0: likewise
        std::uint64_t table_full = 0;
        std::uint64_t failed = 0;
    };

    TagTable(Program& program, std::uint32_t capacity) : program_(program), capacity_(capacity) {}

    /// Enters a flow or gives it a new tag. False: the table is full.
    bool put(const flowd_key& key, flowd_tag tag);
    void remove(const flowd_key& key);

    /// Tag of everything without a flow of its own. False: it does not fit a label, and there is no catch-all now.
    bool set_catch_all(flowd_tag tag);
    void clear_catch_all();
    void set_observe(bool observe);

    [[nodiscard]] std::uint32_t size() const { return size_; }
    [[nodiscard]] std::uint32_t capacity() const { return capacity_; }
    [[nodiscard]] bool has_catch_all() const { return settings_.catch_all != 0; }
    [[nodiscard]] flowd_tag catch_all() const { return catch_all_; }
    [[nodiscard]] bool observes() const { return settings_.observe != 0; }
    [[nodiscard]] const Skipped& skipped() const { return skipped_; }
    /// Why the kernel last refused a write that should have worked; empty: never.
    [[nodiscard]] const std::string& last_error() const { return last_error_; }

  private:
    [[nodiscard]] bool is_markable(const flowd_key& key);
    void write_settings();
    void failed(int number);

    Program& program_;
    std::uint32_t capacity_;
    std::uint32_t size_ = 0;
    marker_settings settings_{};
    flowd_tag catch_all_{};
    Skipped skipped_;
    std::string last_error_;
};

}  // namespace flowd::marker
