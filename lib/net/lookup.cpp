// SPDX-License-Identifier: Apache-2.0
#include "lib/net/lookup.hpp"

#include <netdb.h>
#include <resolv.h>

#include <algorithm>
#include <atomic>
#include <exception>
#include <system_error>
#include <thread>
#include <utility>

namespace flowd::net {
namespace {

[[nodiscard]] Lookup::Answer addresses_of(const std::string& name, int result, const addrinfo* list) {
    if (result != 0) return Error{FLOWD_NOT_FOUND, "'" + name + "': " + ::gai_strerror(result)};
    std::vector<Address> addresses;
    for (const addrinfo* info = list; info != nullptr; info = info->ai_next) {
        const auto endpoint = Endpoint::from(info->ai_addr);
        if (endpoint && std::find(addresses.begin(), addresses.end(), endpoint->address) == addresses.end())
            addresses.push_back(endpoint->address);
    }
    if (addresses.empty()) return Error{FLOWD_NOT_FOUND, "'" + name + "' has no address"};
    return addresses;
}

/// getaddrinfo(3) cannot be interrupted. To bound the wait at a stop, each attempt gives a name server one second, whatever
/// resolv.conf says; this function makes the attempts that resolv.conf asks for. `_res` is thread-local.
[[nodiscard]] Lookup::Answer resolve(const std::string& name, const std::atomic<bool>& stopping) {
    int attempts = 1;
    if (::res_ninit(&_res) == 0) {
        attempts = std::exchange(_res.retry, 1);
        _res.retrans = 1;
    }
    addrinfo hints{};
    hints.ai_family = AF_UNSPEC;
    hints.ai_socktype = SOCK_DGRAM;
    addrinfo* list = nullptr;
    int result = EAI_AGAIN;
    for (; result == EAI_AGAIN && attempts > 0 && !stopping; --attempts)
        result = ::getaddrinfo(name.c_str(), nullptr, &hints, &list);
    const std::unique_ptr<addrinfo, decltype(&::freeaddrinfo)> owner(list, &::freeaddrinfo);
    return addresses_of(name, result, list);
}

class SystemLookup final : public Lookup {
  public:
    ~SystemLookup() override {
        stopping_ = true;
        if (thread_.joinable()) thread_.join();
    }
    void begin(const std::string& name) override {
        if (pending()) return;
        answered_ = false;
        try {
            thread_ = std::thread([this, name] {
                try {
                    answer_ = resolve(name, stopping_);
                } catch (const std::exception& error) {
                    answer_ = Error{FLOWD_ERROR, "'" + name + "': " + error.what()};
                }
                answered_.store(true, std::memory_order_release);
            });
        } catch (const std::system_error& error) {
            answer_ = Error{FLOWD_ERROR, "'" + name + "': no thread to resolve it: " + error.what()};
            answered_ = true;
        }
    }
    [[nodiscard]] bool pending() const override { return thread_.joinable() || answer_.has_value(); }
    [[nodiscard]] std::optional<Answer> poll() override {
        if (!pending() || !answered_.load(std::memory_order_acquire)) return std::nullopt;
        if (thread_.joinable()) thread_.join();
        return std::exchange(answer_, std::nullopt);
    }

  private:
    std::atomic<bool> stopping_ = false;
    std::atomic<bool> answered_ = false;
    std::optional<Answer> answer_;  // written by the thread until answered_
    std::thread thread_;
};

}  // namespace

Lookup::Answer resolve(const std::string& name) {
    return resolve(name, std::atomic<bool>(false));
}

std::unique_ptr<Lookup> system_lookup() {
    return std::make_unique<SystemLookup>();
}

}  // namespace flowd::net
