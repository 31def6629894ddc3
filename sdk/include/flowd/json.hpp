// SPDX-License-Identifier: Apache-2.0
// flowd/json.hpp: writes JSON. (simdjson reads it.) A Writer belongs to one thread.
#pragma once

#include <algorithm>
#include <charconv>
#include <cmath>
#include <concepts>
#include <cstdint>
#include <cstdio>
#include <string>
#include <string_view>

#include "flowd/printable.hpp"

namespace flowd::json {

/// Appends JSON to a string, compactly, in the order of the calls:
///   Writer w(out); w.object(); w.member("port", 10514); w.key("list"); w.array(); w.value("a"); w.end(); w.end();
/// Text is escaped (RFC 8259 section 7), and so are characters that change how a terminal shows the text around them
/// (is_control). Bytes that are not UTF-8 become U+FFFD, so the output is always valid.
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
            if (byte >= 0x20 && byte < 0x7f && byte != '"' && byte != '\\') {
                ++i;
                continue;
            }
            const std::size_t sequence = byte >= 0x80 ? utf8_length(text.substr(i)) : 0;
            const char32_t character = sequence > 0 ? utf8_character(text.substr(i, sequence)) : byte;
            if (sequence > 0 && !is_control(character)) {
                i += sequence;
                continue;
            }
            out_.append(text.substr(plain, i - plain));
            if (sequence > 0)
                unicode(character);
            else
                escape(byte);
            i += std::max<std::size_t>(sequence, 1);
            plain = i;
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
        if (byte >= 0x80)
            out_.append("\xef\xbf\xbd");
        else
            unicode(byte);
    }
    void unicode(char32_t character) {
        constexpr char hex[] = "0123456789abcdef";
        out_.append("\\u");
        for (int shift = 12; shift >= 0; shift -= 4) out_.push_back(hex[character >> shift & 15]);
    }

    std::string& out_;
    std::string closers_;
    bool need_comma_ = false;
};

}  // namespace flowd::json
