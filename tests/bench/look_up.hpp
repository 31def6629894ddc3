// SPDX-License-Identifier: Apache-2.0
// The programs of look_up.bpf.c, loaded, with so many flows in both tables.
#pragma once

#include <optional>
#include <span>
#include <utility>

#include "backends/marker/flow_table.hpp"
#include "lib/bpf/object.hpp"
#include "look_up.skel.h"
#include "tests/bench/look_up.h"

class LookUp {
  public:
    explicit LookUp(std::uint32_t flows) {
        marker_config config{};
        config.buckets = flowd::marker::FlowTable::buckets_for(flows);
        std::size_t size = 0;
        const auto* const elf = static_cast<const std::uint8_t*>(look_up_bpf::elf_bytes(&size));
        auto object = flowd::bpf::Object::open(std::span(elf, size), "look_up", {});
        if (!object || !object->set_constants(config) || !object->set_max_entries("kernel_flows", flows) ||
            !object->set_max_entries(MARKER_FLOWS_MAP, config.buckets) || !object->load())
            return;
        auto kernel = object->map<flow_key, marker_mark>("kernel_flows");
        auto buckets = object->map<std::uint32_t, marker_bucket>(MARKER_FLOWS_MAP);
        auto places = object->map<std::uint32_t, look_up_place>("places");
        if (!kernel || !buckets || !places || !places->update(0, {0, flows})) return;
        flowd::marker::FlowTable table(buckets->fd(), config.buckets);
        for (std::uint32_t i = 0; i < flows; ++i) {
            flow_key key;
            look_up_key(&key, i);
            const marker_mark mark{MARKER_IS_SET, 0};
            if (!kernel->update(key, mark) || !table.put({key, mark, 0, 0})) return;
        }
        object_ = std::move(*object);
    }
    [[nodiscard]] bool is_loaded() const { return object_.has_value(); }
    [[nodiscard]] int program(const char* name) const {
        auto found = object_->program(name);
        return found ? *found : -1;
    }

  private:
    std::optional<flowd::bpf::Object> object_;
};
