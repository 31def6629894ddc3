// SPDX-License-Identifier: Apache-2.0
// flowd/json.hpp: writes JSON. (simdjson reads it.) A Writer belongs to one thread.
#pragma once

#include <charconv>
#include <cmath>
#include <concepts>
#include <cstdint>
#include <cstdio>
#include <string>
#include <string_view>

namespace flowd::json {

/// Appends JSON to a string, compactly, in the order of the calls:
///   Writer w(out); w.object(); w.member("port", 10514); w.key("list"); w.array(); w.value("a"); w.end(); w.end();
/// Text is escaped (RFC 8259 section 7); bytes that are not UTF-8 become U+FFFD, so the output is always valid.
class Writer {
  public:
    explicit Writer(std::string& out) : out_(out) {}

    Writer& object() { return open('{', '}'); }
    Writer& array() { return open('[', ']'); }
    Writer& end() {
        out_.push_back(closers_.back());
        closers_.pop_back();
        need_comma_ = true;
        return *this;
    }
    Writer& key(std::string_view name) {
        comma();
        quote(name);
        out_.push_back(':');
        need_comma_ = false;
        return *this;
    }
    Writer& value(std::string_view text) {
        comma();
        quote(text);
        need_comma_ = true;
        return *this;
    }
    Writer& value(const char* text) { return value(std::string_view(text)); }
    Writer& value(bool flag) { return raw(flag ? "true" : "false"); }
    Writer& value(std::nullptr_t) { return raw("null"); }
    template <std::integral T>
    requires(!std::same_as<T, bool>) Writer& value(T number) {
        char digits[24];
        const auto [last, error] = std::to_chars(digits, digits + sizeof digits, number);
        (void)error;  // 24 characters hold every 64-bit integer
        return raw({digits, static_cast<std::size_t>(last - digits)});
    }
    /// The shortest text that parses to the same number. It always has a decimal point or an exponent, so that a consumer
    /// that infers the type from the first value infers a float. Values that JSON does not have (NaN, infinities): null.
    Writer& value(double number) {
        if (!std::isfinite(number)) return value(nullptr);
        char digits[32];
#ifdef __cpp_lib_to_chars
        char* end = std::to_chars(digits, digits + sizeof digits - 2, number).ptr;
#else  // libc++ 14 lacks to_chars for doubles: longer text, ten times slower
        char* end = digits + std::snprintf(digits, sizeof digits - 2, "%.17g", number);
#endif
        if (std::string_view(digits, static_cast<std::size_t>(end - digits)).find_first_of(".e") ==
            std::string_view::npos) {
            *end++ = '.';
            *end++ = '0';
        }
        return raw({digits, static_cast<std::size_t>(end - digits)});
    }
    template <typename T>
    Writer& member(std::string_view name, const T& content) {
        key(name);
        return value(content);
    }
    /// Inserts valid JSON unchanged.
    Writer& raw(std::string_view json) {
        comma();
        out_.append(json);
        need_comma_ = true;
        return *this;
    }

  private:
    Writer& open(char opener, char closer) {
        comma();
        out_.push_back(opener);
        closers_.push_back(closer);
        need_comma_ = false;
        return *this;
    }
    void comma() {
        if (need_comma_) out_.push_back(',');
        need_comma_ = false;
    }
    void quote(std::string_view text) {
        out_.push_back('"');
        std::size_t plain = 0;
        for (std::size_t i = 0; i < text.size();) {
            const auto byte = static_cast<unsigned char>(text[i]);
            if (byte >= 0x20 && byte < 0x80 && byte != '"' && byte != '\\') {
                ++i;
                continue;
            }
            const std::size_t sequence = byte >= 0x80 ? utf8_length(text.substr(i)) : 0;
            if (sequence > 0) {
                i += sequence;
                continue;
            }
            out_.append(text.substr(plain, i - plain));
            escape(byte);
            plain = ++i;
        }
        out_.append(text.substr(plain));
        out_.push_back('"');
    }
    void escape(unsigned char byte) {
        switch (byte) {
            case '"':
                out_.append("\\\"");
                return;
            case '\\':
                out_.append("\\\\");
                return;
            case '\n':
                out_.append("\\n");
                return;
            case '\r':
                out_.append("\\r");
                return;
            case '\t':
                out_.append("\\t");
                return;
            default:
                break;
        }
        if (byte >= 0x80) {
            out_.append("\xef\xbf\xbd");
            return;
        }
        constexpr char hex[] = "0123456789abcdef";
        out_.append("\\u00").push_back(hex[byte >> 4]);
        out_.push_back(hex[byte & 15]);
    }
    /// Length of the well-formed UTF-8 sequence at the front (Unicode table 3-7), 0 if there is none.
    static std::size_t utf8_length(std::string_view text) {
        const auto at = [&](std::size_t i) { return i < text.size() ? static_cast<unsigned char>(text[i]) : 0u; };
        const auto tail = [&](std::size_t i) { return (at(i) & 0xc0u) == 0x80u; };
        const unsigned lead = at(0), next = at(1);
        if (lead >= 0xc2 && lead <= 0xdf) return tail(1) ? 2 : 0;
        if (lead >= 0xe0 && lead <= 0xef) {
            if (!tail(1) || !tail(2) || (lead == 0xe0 && next < 0xa0) || (lead == 0xed && next > 0x9f)) return 0;
            return 3;
        }
        if (lead >= 0xf0 && lead <= 0xf4) {
            if (!tail(1) || !tail(2) || !tail(3) || (lead == 0xf0 && next < 0x90) || (lead == 0xf4 && next > 0x8f))
                return 0;
            return 4;
        }
        return 0;
    }

    std::string& out_;
    std::string closers_;
    bool need_comma_ = false;
};

}  // namespace flowd::json
