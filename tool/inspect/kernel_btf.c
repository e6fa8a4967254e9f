// SPDX-License-Identifier: MIT
// BTF, by which the kernel describes its own types, out of its memory. libbpf checks and reads it; here only
// members are looked up, through structures without a name.
#include <bpf/btf.h>
#include <bpf/libbpf.h>
#include <stdlib.h>
#include <string.h>

#include "inspect/kernel_parts.h"

#define MAX_BTF_SIZE (32u << 20) // Debian's kernels have 4 to 5 MiB
#define MAX_DEPTH    8u          // structures in structures, on the way to one member
#define MAX_LOOKS    100000u     // members looked at for one answer
#define MAX_OFFSET   (1u << 20)  // bytes; no structure is so large

enum tool_status btf_open(struct kernel *k, struct tool_error *error)
{
    uint64_t start, stop;
    if (!kernel_symbol(k, "__start_BTF", &start) || !kernel_symbol(k, "__stop_BTF", &stop))
        return tool_fail(error, TOOL_BAD_INPUT,
                         "kallsyms has no __start_BTF: a kernel without BTF, or without KALLSYMS_ALL");
    if (stop <= start || stop - start > MAX_BTF_SIZE)
        return tool_fail(error, TOOL_BAD_INPUT, "BTF from 0x%llx to 0x%llx cannot be",
                         (unsigned long long)start, (unsigned long long)stop);
    uint32_t size = (uint32_t)(stop - start);
    uint8_t *copy = malloc(size);
    if (copy == NULL)
        return tool_fail(error, TOOL_SYSTEM, "out of memory");
    dam_err err;
    size_t got = kernel_read_some(k, start, copy, size, &err);
    libbpf_set_print(NULL); // it would write to standard error
    if (err == DAM_OK)
        k->btf = btf__new(copy, size);
    free(copy);
    if (err)
        return kernel_unreadable(k, error, err, "the kernel's BTF", start + got);
    if (k->btf == NULL)
        return tool_fail(error, TOOL_BAD_INPUT, "the kernel's BTF is damaged");
    return TOOL_OK;
}

void btf_close(struct kernel *k)
{
    btf__free(k->btf);
}

struct found {
    uint64_t bits; // from the beginning of the outermost structure
    uint32_t type;
};

// Looks for name[0..length) among the members of the structure or union `type`, through members that have no
// name themselves.
static bool find_member(const struct btf *btf, uint32_t type, const char *name, size_t length, unsigned depth,
                        unsigned *looks, struct found *out)
{
    int resolved = btf__resolve_type(btf, type);
    const struct btf_type *t = resolved < 0 ? NULL : btf__type_by_id(btf, (uint32_t)resolved);
    if (t == NULL || !btf_is_composite(t) || depth == MAX_DEPTH)
        return false;
    uint64_t base = out->bits;
    const struct btf_member *m = btf_members(t);
    for (uint32_t i = 0; i < btf_vlen(t); i++) {
        const char *text = btf__name_by_offset(btf, m[i].name_off);
        if ((*looks)-- == 0) {
            *looks = 0;
            return false;
        }
        *out = (struct found){base + btf_member_bit_offset(t, i), m[i].type};
        if (text == NULL)
            continue;
        if (text[0] == '\0' && find_member(btf, m[i].type, name, length, depth + 1, looks, out))
            return true;
        if (strlen(text) == length && memcmp(text, name, length) == 0)
            return btf_member_bitfield_size(t, i) == 0;
    }
    return false;
}

bool kernel_member(const struct kernel *k, const char *structure, const char *member, uint32_t *offset,
                   uint32_t *size)
{
    int id = btf__find_by_name_kind(k->btf, structure, BTF_KIND_STRUCT);
    if (id < 0)
        return false;
    struct found found = {0, (uint32_t)id};
    unsigned looks = MAX_LOOKS;
    for (unsigned depth = 0; depth < MAX_DEPTH; depth++) {
        size_t length = strcspn(member, ".");
        if (length == 0 || !find_member(k->btf, found.type, member, length, 0, &looks, &found))
            return false;
        if (member[length] == '\0') {
            int64_t bytes = btf__resolve_size(k->btf, found.type);
            if (bytes <= 0 || bytes > MAX_OFFSET || found.bits % 8 != 0 || found.bits / 8 > MAX_OFFSET)
                return false;
            *offset = (uint32_t)(found.bits / 8);
            *size = (uint32_t)bytes;
            return true;
        }
        member += length + 1;
    }
    return false;
}
