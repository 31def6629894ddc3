// SPDX-License-Identifier: Apache-2.0
#include "backends/marker/tag_table.hpp"

#include <cerrno>
#include <cstring>

#include "flowd/address.hpp"
#include "flowd/label.hpp"
#include "lib/bpf/flow_key.hpp"

namespace flowd::marker {

static_assert(label::mask == MARKER_LABEL_MASK && label::entropy_mask == MARKER_ENTROPY_MASK);

std::uint32_t label_of(const flow_key& key, flowd_tag tag) {
    if (tag.experiment == 0 && tag.activity == 0) return MARKER_NO_LABEL;
    return label::encode(tag, flow_entropy(flow_hash(&key))).value_or(MARKER_NO_LABEL);
}

bool TagTable::is_markable(const flowd_key& key) {
    if (Address(key.source).is_v4() && Address(key.destination).is_v4()) {
        ++skipped_.ipv4;
    } else if (key.scope != 0) {
        ++skipped_.other_scope;
    } else {
        return true;
    }
    return false;
}

bool TagTable::put(const flowd_key& key, flowd_tag tag) {
    if (!is_markable(key)) return true;
    const flow_key kernel_key = bpf::to_flow_key(key);
    const marker_flow flow{label_of(kernel_key, tag)};
    if (flow.label == MARKER_NO_LABEL)
        ++(tag.experiment == 0 && tag.activity == 0 ? skipped_.no_valid_tag : skipped_.tag_out_of_range);

    if (settings_.flows == 0) {
        settings_.flows = 1;
        write_settings();
    }
    int number = program_.flows().try_update(kernel_key, flow, bpf::Update::create);
    if (number == 0) {
        ++size_;
        return true;
    }
    if (number == EEXIST) number = program_.flows().try_update(kernel_key, flow, bpf::Update::replace);
    if (number == E2BIG) {
        ++skipped_.table_full;
        return false;
    }
    if (number != 0) failed(number);
    return true;
}

void TagTable::remove(const flowd_key& key) {
    const int number = program_.flows().try_erase(bpf::to_flow_key(key));
    if (number == ENOENT) return;  // one of those that were skipped
    if (number != 0) return failed(number);
    if (--size_ != 0) return;
    settings_.flows = 0;
    write_settings();
}

bool TagTable::set_catch_all(flowd_tag tag) {
    const auto label = label::encode(tag);
    if (!label || (tag.experiment == 0 && tag.activity == 0)) {
        clear_catch_all();
        return false;
    }
    catch_all_ = tag;
    settings_.catch_all = *label | MARKER_CATCH_ALL_SET;
    write_settings();
    return true;
}

void TagTable::clear_catch_all() {
    catch_all_ = {};
    settings_.catch_all = 0;
    write_settings();
}

void TagTable::set_observe(bool observe) {
    settings_.observe = observe ? 1 : 0;
    write_settings();
}

void TagTable::write_settings() {
    if (auto done = program_.settings().update(0, settings_); !done) {
        ++skipped_.failed;
        last_error_ = done.error().message;
    }
}

void TagTable::failed(int number) {
    ++skipped_.failed;
    last_error_ = std::string("writing the kernel's flow table: ") + std::strerror(number);
}

}  // namespace flowd::marker
