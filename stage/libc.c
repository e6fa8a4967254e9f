// SPDX-License-Identifier: MIT
// The four functions that compilers call on their own. String instructions, so that no compiler finds a loop
// to turn into a call of itself.
#include <string.h>

void *memcpy(void *restrict to, const void *restrict from, size_t n)
{
    void *d = to;
    __asm__ volatile("rep movsb" : "+D"(d), "+S"(from), "+c"(n) : : "memory");
    return to;
}

void *memset(void *to, int value, size_t n)
{
    void *d = to;
    __asm__ volatile("rep stosb" : "+D"(d), "+c"(n) : "a"(value) : "memory");
    return to;
}

void *memmove(void *to, const void *from, size_t n)
{
    if ((const char *)to <= (const char *)from || (const char *)to >= (const char *)from + n)
        return memcpy(to, from, n);
    void *d = (char *)to + n - 1;
    const void *s = (const char *)from + n - 1;
    __asm__ volatile("std; rep movsb; cld" : "+D"(d), "+S"(s), "+c"(n) : : "memory");
    return to;
}

int memcmp(const void *a, const void *b, size_t n)
{
    const unsigned char *p = a, *q = b;
    for (size_t i = 0; i < n; i++) {
        __asm__ volatile("" : : : "memory");
        if (p[i] != q[i])
            return p[i] - q[i];
    }
    return 0;
}
