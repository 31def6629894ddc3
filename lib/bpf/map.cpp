// SPDX-License-Identifier: Apache-2.0
#include "lib/bpf/map.hpp"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "lib/bpf/error.hpp"

namespace flowd::bpf::detail {

int update(int map, const void* key, const void* value, Update how) {
    return -bpf_map_update_elem(map, key, value, static_cast<std::uint64_t>(how));
}

int erase(int map, const void* key) {
    return -bpf_map_delete_elem(map, key);
}

int lookup(int map, const void* key, void* value) {
    return -bpf_map_lookup_elem(map, key, value);
}

int next_key(int map, const void* key, void* next) {
    return -bpf_map_get_next_key(map, key, next);
}

std::size_t possible_cpus() {
    const int count = libbpf_num_possible_cpus();
    return count > 0 ? static_cast<std::size_t>(count) : 1;
}

Error error(int number, const std::string& map, const char* what) {
    return system_error(number, std::string(what) + " BPF map " + map);
}

}  // namespace flowd::bpf::detail
