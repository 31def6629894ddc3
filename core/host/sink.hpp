// SPDX-License-Identifier: Apache-2.0
// What a module adds during one call, one C struct at a time: findings, explanations, a plan. On the thread of the call.
#pragma once

#include <cstddef>
#include <string>
#include <utility>

#include "core/base/guarded.hpp"
#include "flowd/sized.hpp"

namespace flowd::core {

/// `Abi`: the struct that the module is given. `Given`: what it adds. `Received`: what is kept.
template <typename Abi, typename Given, typename Received>
class Sink {
  public:
    Sink(const Sink&) = delete;
    Sink& operator=(const Sink&) = delete;

    [[nodiscard]] const Abi* abi() const { return &abi_; }
    [[nodiscard]] Received& received() { return received_; }

  protected:
    using Take = flowd_result (*)(Received& received, const Given& given);

    explicit Sink(Take take, Received empty = {}) : take_(take), received_(std::move(empty)) {
        abi_.size = sizeof abi_;
        abi_.context = this;
        abi_.add = [](const Abi* self, const Given* given) noexcept -> flowd_result {
            if (given == nullptr) return FLOWD_INVALID;
            auto& sink = *static_cast<Sink*>(self->context);
            return guarded([&] { return sink.take_(sink.received_, copy_sized<Given>(given)); });
        };
    }
    ~Sink() = default;

    /// Longer texts are truncated.
    static std::string cut(flowd_string text) {
        constexpr std::size_t most = 1024;  // bytes
        return std::string(to_view(text).substr(0, most));
    }

  private:
    Abi abi_{};
    Take take_;
    Received received_;
};

}  // namespace flowd::core
