// SPDX-License-Identifier: Apache-2.0
// A flowd_host without an instance, for validate() and tools: it logs, accepts reports, knows the registry and may query
// the running daemon. Functions that need a running daemon return FLOWD_UNSUPPORTED or do nothing. It must outlive the
// call for which it was created.
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
    /// Same as flowd_interface.
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
        /// Same as flowd_ext_daemon.ask; empty: the extension is not offered.
        std::function<flowd_result(const std::vector<std::string>& words, std::string& answer)> ask = {};
        /// The list that flowd.interfaces/1 reads and extends; borrowed. Null: the extension is not offered.
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
