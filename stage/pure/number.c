// SPDX-License-Identifier: MIT
#include "number.h"

static unsigned digit_value(char c)
{
    if (c >= '0' && c <= '9')
        return (unsigned)(c - '0');
    if (c >= 'a' && c <= 'f')
        return (unsigned)(c - 'a') + 10;
    if (c >= 'A' && c <= 'F')
        return (unsigned)(c - 'A') + 10;
    return 99;
}

size_t number_digits(const char *p, const char *end, unsigned base, uint64_t *value)
{
    uint64_t v = 0;
    const char *at = p;
    for (; at < end; at++) {
        unsigned digit = digit_value(*at);
        if (digit >= base)
            break;
        if (v > (~0ull - digit) / base)
            return 0;
        v = v * base + digit;
    }
    if (at != p)
        *value = v;
    return (size_t)(at - p);
}

static unsigned suffix_shift(char c)
{
    switch (c | 0x20) {
    case 'k':
        return 10;
    case 'm':
        return 20;
    case 'g':
        return 30;
    case 't':
        return 40;
    case 'p':
        return 50;
    case 'e':
        return 60;
    default:
        return 0;
    }
}

size_t number_memparse(const char *p, const char *end, uint64_t *value)
{
    const char *at = p;
    unsigned base = 10;
    if (end - at >= 3 && at[0] == '0' && (at[1] | 0x20) == 'x' && digit_value(at[2]) < 16) {
        base = 16;
        at += 2;
    } else if (end - at >= 1 && at[0] == '0') {
        base = 8;
    }
    uint64_t v;
    size_t digits = number_digits(at, end, base, &v);
    if (!digits)
        return 0;
    at += digits;
    unsigned shift = at < end ? suffix_shift(*at) : 0;
    if (shift) {
        if (v > ~0ull >> shift)
            return 0;
        v <<= shift;
        at++;
    }
    *value = v;
    return (size_t)(at - p);
}
