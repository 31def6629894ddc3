// SPDX-License-Identifier: Apache-2.0
// A flowd_host without an instance behind it, for validate() and tools: it logs, takes reports, knows the registry and may
// ask the running daemon; whatever needs to be in it returns FLOWD_UNSUPPORTED or does nothing. It outlives the call that
// it is made for.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "core/config/registry.hpp"
#include "flowd/abi/ext/interfaces.h"
#include "flowd/abi/host.h"

namespace flowd::core {

class OfflineHost {
  public:
    /// As flowd_interface.
    struct Interface {
        std::uint32_t use = 0;
        std::uint32_t index = 0;
        std::string name;
        std::string why;
        std::string instance;
    };
    struct Behind {
        std::function<void(flowd_level level, std::string_view line)> log;
        std::function<void(const flowd_problem& problem)> report;
        /// As flowd_ext_daemon.ask; empty: the extension is not offered.
        std::function<flowd_result(const std::vector<std::string>& words, std::string& answer)> ask = {};
        /// What flowd.interfaces/1 adds to and lists; borrowed. Null: the extension is not offered.
        std::vector<Interface>* interfaces = nullptr;
    };

    /// `name` becomes flowd_host.instance.
    OfflineHost(const Registry& registry, std::string name, const char* core_version, Behind behind);
    OfflineHost(const OfflineHost&) = delete;
    OfflineHost& operator=(const OfflineHost&) = delete;

    [[nodiscard]] const flowd_host* abi() const { return &abi_; }

  private:
    static OfflineHost& of(const flowd_host* host) { return *static_cast<OfflineHost*>(host->context); }
    static const void* extension(const flowd_host* host, const char* id);
    friend struct OfflineRegistry;
    friend struct OfflineDaemon;
    friend struct OfflineInterfaces;

    const Registry& registry_;
    const std::string name_;
    Behind behind_;
    flowd_host abi_{};
};

}  // namespace flowd::core
