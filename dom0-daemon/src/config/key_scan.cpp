// SPDX-License-Identifier: Apache-2.0
#include "config/key_scan.h"

#include <cstddef>

namespace tripod {

namespace {

bool key_start(char c) {
    return c >= 'a' && c <= 'z';
}
bool key_part(char c) {
    return key_start(c) || (c >= '0' && c <= '9') || c == '.' || c == '_';
}

} // namespace

std::vector<ConfigKey> scan_keys(std::string_view text) {
    std::vector<ConfigKey> keys;
    int line = 1;
    int depth = 0;        // of [ ]: a statement may go over several lines only inside
    bool at_start = true; // of a statement
    std::size_t i = 0;
    while (i < text.size()) {
        const char c = text[i];
        if (c == '\n') {
            line++;
            at_start = at_start || depth == 0;
            i++;
        } else if (c == '#') {
            while (i < text.size() && text[i] != '\n')
                i++;
        } else if (c == '\'' || c == '"') {
            for (i++; i < text.size() && text[i] != c && text[i] != '\n'; i++)
                if (text[i] == '\\')
                    i++;
            i++;
            at_start = false;
        } else if (at_start && depth == 0 && key_start(c)) {
            const std::size_t begin = i;
            while (i < text.size() && key_part(text[i]))
                i++;
            keys.push_back({std::string(text.substr(begin, i - begin)), line});
            at_start = false;
        } else {
            depth += c == '[' ? 1 : c == ']' ? -1 : 0;
            if (c == ';' && depth == 0)
                at_start = true;
            else if (c != ' ' && c != '\t')
                at_start = false;
            i++;
        }
    }
    return keys;
}

} // namespace tripod
