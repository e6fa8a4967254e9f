// SPDX-License-Identifier: MIT
// Following the kernel's structures: members, lists, strings.
#include <stdlib.h>
#include <string.h>

#include "bytes.h"
#include "inspect/kernel_parts.h"

enum tool_status fields_find(const struct kernel *k, struct kernel_field *fields, size_t count,
                             struct tool_error *error)
{
    for (struct kernel_field *f = fields; f < fields + count; f++)
        if (!kernel_member(k, f->structure, f->member, &f->offset, &f->size))
            return tool_fail(error, TOOL_BAD_INPUT, "the kernel's BTF does not tell of %s in struct %s",
                             f->member, f->structure);
    return TOOL_OK;
}

enum tool_status field_read(const struct kernel *k, const struct kernel_field *f, uint64_t va,
                            uint64_t *value, struct tool_error *error)
{
    uint8_t raw[8] = {0};
    if (f->size > sizeof raw)
        return tool_fail(error, TOOL_BAD_INPUT, "%s in struct %s is no number: %u bytes", f->member,
                         f->structure, f->size);
    dam_err err = kernel_read(k, va + f->offset, raw, f->size);
    *value = get_le64(raw);
    return err ? kernel_unreadable(k, error, err, f->structure, va) : TOOL_OK;
}

enum tool_status symbol_find(const struct kernel *k, const char *name, uint64_t *va, struct tool_error *error)
{
    if (!kernel_symbol(k, name, va))
        return tool_fail(error, TOOL_BAD_INPUT, "the kernel has no symbol %s", name);
    return TOOL_OK;
}

bool list_is_empty(const struct kernel *k, uint64_t head)
{
    uint8_t raw[8];
    return kernel_read(k, head, raw, sizeof raw) == DAM_OK && get_le64(raw) == head;
}

void list_begin(const struct kernel *k, const char *what, uint64_t head, uint32_t limit,
                struct kernel_list *list)
{
    *list = (struct kernel_list){
        .kernel = k, .what = what, .head = head, .at = head, .next_mark = 1, .limit = limit};
}

bool list_next(struct kernel_list *list, uint64_t *node, enum tool_status *status, struct tool_error *error)
{
    uint8_t raw[8];
    dam_err err = kernel_read(list->kernel, list->at, raw, sizeof raw); // list_head.next
    *status = TOOL_OK;
    if (err) {
        *status = kernel_unreadable(list->kernel, error, err, list->what, list->at);
        return false;
    }
    list->at = get_le64(raw);
    if (list->at == list->head)
        return false;
    // Brent: a mark that moves on after 1, 2, 4, 8, ... steps is met again soon after it lies in a circle.
    if (list->steps > 0 && list->at == list->mark) {
        *status = tool_fail(error, TOOL_BAD_INPUT, "%s runs in a circle at 0x%llx", list->what,
                            (unsigned long long)list->at);
        return false;
    }
    if (list->steps == list->limit) {
        *status = tool_fail(error, TOOL_BAD_INPUT, "%s has more than %u entries", list->what, list->limit);
        return false;
    }
    if (++list->steps == list->next_mark) {
        list->mark = list->at;
        list->next_mark *= 2;
    }
    *node = list->at;
    return true;
}

enum tool_status first_error(enum tool_status status, enum tool_status next, const struct tool_error *text,
                             struct tool_error *error)
{
    if (status != TOOL_OK || next == TOOL_OK)
        return status;
    *error = *text;
    return next;
}

void *array_add(struct kernel_array *a, size_t size)
{
    if (a->count == a->capacity) {
        size_t capacity = a->capacity == 0 ? 16 : a->capacity * 2;
        void *larger = reallocarray(a->at, capacity, size);
        if (larger == NULL)
            return NULL;
        a->at = larger;
        a->capacity = capacity;
    }
    void *at = (uint8_t *)a->at + a->count++ * size;
    memset(at, 0, size);
    return at;
}

bool kernel_string(const struct kernel *k, uint64_t va, char *out, size_t size)
{
    dam_err err;
    size_t got = kernel_read_some(k, va, out, size - 1, &err);
    if (got == 0)
        return false;
    out[got] = '\0';
    // Cut by a page that is not there, it is no string.
    return got == size - 1 || strlen(out) < got;
}
