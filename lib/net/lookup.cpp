// SPDX-License-Identifier: Apache-2.0
#include "lib/net/lookup.hpp"

#include <netdb.h>

#include <algorithm>
#include <utility>

namespace flowd::net {
namespace {

/// All that the C library reads and writes during a query, at addresses that do not move.
struct Query {
    std::string name;
    addrinfo hints{};
    gaicb request{};
};

[[nodiscard]] Lookup::Answer addresses_of(const Query& query, int result) {
    if (result != 0) return Error{FLOWD_NOT_FOUND, "'" + query.name + "': " + ::gai_strerror(result)};
    std::vector<Address> addresses;
    for (const addrinfo* info = query.request.ar_result; info != nullptr; info = info->ai_next) {
        const auto endpoint = Endpoint::from(info->ai_addr);
        if (endpoint && std::find(addresses.begin(), addresses.end(), endpoint->address) == addresses.end())
            addresses.push_back(endpoint->address);
    }
    if (addresses.empty()) return Error{FLOWD_NOT_FOUND, "'" + query.name + "' has no address"};
    return addresses;
}

class SystemLookup final : public Lookup {
  public:
    ~SystemLookup() override {
        if (query_ == nullptr) return;
        if (::gai_cancel(&query_->request) == EAI_NOTCANCELED && ::gai_error(&query_->request) == EAI_INPROGRESS)
            static_cast<void>(query_.release());  // the C library still writes to it
        else
            finish();
    }
    void begin(const std::string& name) override {
        if (query_ != nullptr) return;
        query_ = std::make_unique<Query>();
        query_->name = name;
        query_->hints.ai_family = AF_UNSPEC;
        query_->hints.ai_socktype = SOCK_DGRAM;
        query_->request.ar_name = query_->name.c_str();
        query_->request.ar_request = &query_->hints;
        gaicb* list = &query_->request;
        const int result = ::getaddrinfo_a(GAI_NOWAIT, &list, 1, nullptr);
        if (result == 0) return;
        failure_ = Error{FLOWD_ERROR, "'" + name + "': " + ::gai_strerror(result)};
        query_.reset();
    }
    [[nodiscard]] bool pending() const override { return query_ != nullptr || failure_.has_value(); }
    [[nodiscard]] std::optional<Answer> poll() override {
        if (failure_) {
            Answer answer(std::move(*failure_));
            failure_.reset();
            return answer;
        }
        if (query_ == nullptr) return std::nullopt;
        const int result = ::gai_error(&query_->request);
        if (result == EAI_INPROGRESS) return std::nullopt;
        Answer answer = addresses_of(*query_, result);
        finish();
        return answer;
    }

  private:
    void finish() {
        if (query_->request.ar_result != nullptr) ::freeaddrinfo(query_->request.ar_result);
        query_.reset();
    }
    std::unique_ptr<Query> query_;
    std::optional<Error> failure_;
};

}  // namespace

std::unique_ptr<Lookup> system_lookup() {
    return std::make_unique<SystemLookup>();
}

}  // namespace flowd::net
