// SPDX-License-Identifier: Apache-2.0
// A resolver whose answers the test gives.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "lib/net/lookup.hpp"

namespace flowd::net {

class FakeLookup final : public Lookup {
  public:
    struct Script {
        int asked = 0;
        std::string name;
        bool under_way = false;
        std::optional<Answer> answer;

        void give(std::initializer_list<const char*> addresses) {
            std::vector<Address> parsed;
            for (const char* address : addresses) parsed.push_back(Address::parse(address).value());
            answer = std::move(parsed);
        }
        void fail(std::string why) { answer = Error{FLOWD_NOT_FOUND, std::move(why)}; }
    };

    explicit FakeLookup(std::shared_ptr<Script> script) : script_(std::move(script)) {}
    void begin(const std::string& name) override {
        if (script_->under_way) return;
        script_->name = name;
        script_->under_way = true;
        ++script_->asked;
    }
    [[nodiscard]] bool pending() const override { return script_->under_way; }
    [[nodiscard]] std::optional<Answer> poll() override {
        if (!script_->under_way || !script_->answer) return std::nullopt;
        script_->under_way = false;
        return std::exchange(script_->answer, std::nullopt);
    }

  private:
    std::shared_ptr<Script> script_;
};

}  // namespace flowd::net
