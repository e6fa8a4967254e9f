// SPDX-License-Identifier: MIT
// The way of one IOVA down a tree; requesters and functions by their address.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "inspect/model_own.h"

// Takes the sign off an IOVA. false: it is beyond what the tree translates.
static bool in_width(const struct pt_params *p, uint64_t *iova)
{
    if (!p->canonical)
        return *iova <= pt_last(p->levels);
    uint64_t width = pt_span(p->levels);
    if (*iova >= 0 - width / 2) {
        *iova &= width - 1;
        return true;
    }
    return *iova < width / 2;
}

// Whether all entries of a page of several say the same; *entry is that at l->address.
static dam_err is_whole(struct inspection *in, const struct inspect_tree *tree, const struct inspect_level *l,
                        bool *whole)
{
    uint64_t raw[PT_ENTRIES];
    unsigned entries = 1u << l->entry.run, first = l->index / entries * entries;
    dam_pa from = dam_pa_of(l->table.v + first * sizeof raw[0]);
    dam_err err = in->own->ops.mem_read(in->own->ops.ctx, from, raw, entries * sizeof raw[0]);
    *whole = true;
    for (unsigned i = 0; !err && i < entries; i++) {
        struct pt_entry e = tree->format.decode(&tree->params, raw[i], l->level);
        *whole &= e.kind == PT_LEAF && e.run == l->entry.run && e.addr == l->entry.addr &&
                  e.r == l->entry.r && e.w == l->entry.w;
    }
    return err;
}

// What an entry makes of the way. false: it ends there.
static bool goes_on(struct inspection *in, const struct inspect_level *l, uint64_t iova,
                    struct inspect_way *out)
{
    const struct pt_entry *e = &l->entry;
    if (e->kind == PT_BAD || (e->kind == PT_TABLE && e->skip >= l->level))
        out->end = WAY_BROKEN;
    else if (e->kind == PT_EMPTY || (!out->r && !out->w))
        out->end = WAY_NOT_MAPPED;
    else if (e->kind == PT_LEAF)
        out->end = WAY_MAPPED;
    else if (!dam_ranges_contain(memory_ram(in->memory), e->addr, DAM_PAGE_SIZE))
        out->end = WAY_BROKEN;
    else if (iova % pt_span(l->level) >= pt_span(l->level - e->skip)) // in a level that is left out
        out->end = WAY_NOT_MAPPED;
    else
        return true;
    return false;
}

// Reads one level. *out: the end, when it is one. true: the way goes on.
static bool go_down(struct inspection *in, const struct inspect_tree *tree, uint64_t iova,
                    struct inspect_level *l, struct inspect_way *out, dam_err *err)
{
    uint64_t raw;
    bool whole = true;
    *err = in->own->ops.mem_read(in->own->ops.ctx, l->address, &raw, sizeof raw);
    out->end = WAY_UNKNOWN;
    if (*err) {
        if (*err == DAM_E_ABSENT) {
            in->incomplete = true;
            *err = DAM_OK;
        }
        return false;
    }
    l->known = true;
    l->raw = raw;
    l->entry = tree->format.decode(&tree->params, raw, l->level);
    if (l->entry.kind == PT_LEAF && l->entry.run)
        *err = is_whole(in, tree, l, &whole);
    if (*err)
        return false;
    if (whole) {
        out->r = out->r && l->entry.r;
        out->w = out->w && l->entry.w;
        return goes_on(in, l, iova, out);
    }
    out->end = out->r || out->w ? WAY_BROKEN : WAY_NOT_MAPPED;
    return false;
}

dam_err inspect_follow(struct inspection *in, const struct inspect_tree *tree, uint64_t iova,
                       struct inspect_way *out)
{
    *out = (struct inspect_way){.r = tree->r, .w = tree->w, .addr = iova};
    dam_err err = DAM_OK;
    if (!in_width(&tree->params, &iova)) {
        out->end = WAY_BEYOND;
    } else if (!tree->r && !tree->w) {
        out->end = WAY_NOT_MAPPED; // by the entries that lead to its tables
    } else if (tree->stage == DAM_STAGE_PASSTHROUGH) {
        out->end = WAY_MAPPED;
    } else {
        dam_pa table = tree->root;
        unsigned level = tree->params.levels - 1u;
        for (bool on = true; on; level--) {
            struct inspect_level *l = &out->at[out->count++];
            *l = (struct inspect_level){.level = level, .index = pt_index(iova, level), .table = table};
            l->address = dam_pa_of(table.v + l->index * sizeof(uint64_t));
            on = go_down(in, tree, iova, l, out, &err);
            table = dam_pa_of(l->entry.addr);
            level -= on ? l->entry.skip : 0;
        }
        if (out->end == WAY_MAPPED)
            out->addr = out->at[out->count - 1].entry.addr + iova % inspect_page_size(out);
    }
    if (out->end != WAY_MAPPED) {
        out->r = out->w = false;
        out->addr = 0;
    }
    return err;
}

uint64_t inspect_page_size(const struct inspect_way *way)
{
    const struct inspect_level *last = &way->at[way->count - 1];
    return pt_span(last->level) << last->entry.run;
}

// ---- by address
// A hexadecimal number of `digits` digits at most, and what follows it.
static bool number(const char **text, unsigned digits, char follows, unsigned *out)
{
    const char *hex = "0123456789abcdef";
    unsigned n = 0;
    *out = 0;
    for (; **text != '\0' && n < digits; n++, ++*text) {
        const char *at = strchr(hex, **text >= 'A' && **text <= 'F' ? **text | 0x20 : **text);
        if (at == NULL)
            break;
        *out = *out * 16 + (unsigned)(at - hex);
    }
    if (n == 0 || **text != follows)
        return false;
    *text += follows != '\0';
    return true;
}

// In hexadecimal, as the note prints it and the stage's command line has it; 0x may stand before it.
static bool parse_pasid(const char *text, uint32_t *pasid)
{
    unsigned value;
    if (text[0] == '0' && (text[1] == 'x' || text[1] == 'X'))
        text += 2;
    if (!number(&text, 5, '\0', &value))
        return false;
    *pasid = value;
    return true;
}

static bool parse_requester(const char *text, uint16_t *segment, uint16_t *rid, bool *one, uint32_t *pasid)
{
    const char *first = strchr(text, ':');
    unsigned s = 0, bus, device, function;
    bool has_segment = first != NULL && strchr(first + 1, ':') != NULL;
    if (has_segment && !number(&text, 4, ':', &s))
        return false;
    if (!number(&text, 2, ':', &bus) || !number(&text, 2, '.', &device) || device > 31)
        return false;
    *one = strchr(text, '@') != NULL;
    if (!number(&text, 1, *one ? '@' : '\0', &function) || function > 7 ||
        (*one && !parse_pasid(text, pasid)))
        return false;
    *segment = (uint16_t)s;
    *rid = (uint16_t)(bus << 8 | device << 3 | function);
    return true;
}

static bool is_of(const struct inspect_requester *r, uint16_t segment, uint16_t rid)
{
    // What is broken or unknown may stand for several functions, or for several PASIDs of one.
    bool function =
        r->flags & DAM_REQ_PASID ? r->rid == rid : rid >= r->rid && (uint32_t)(rid - r->rid) < r->span;
    return r->unit->segment == segment && function;
}

// Whether requests with PASID have entries of their own.
static bool has_pasids(const struct inspection *in, uint16_t segment, uint16_t rid)
{
    for (size_t i = 0; i < in->requester_count; i++)
        if ((in->requesters[i].flags & DAM_REQ_PASID) && is_of(&in->requesters[i], segment, rid))
            return true;
    return false;
}

int inspect_find(const struct inspection *in, const char *text,
                 void (*each)(void *ctx, struct inspect_requester *r), void *ctx)
{
    uint16_t segment, rid;
    uint32_t pasid = 0;
    bool one;
    int found = 0;
    if (!parse_requester(text, &segment, &rid, &one, &pasid))
        return -1;
    bool pasids = one && has_pasids(in, segment, rid);
    for (size_t i = 0; i < in->requester_count; i++) {
        struct inspect_requester *r = &in->requesters[i];
        bool of_pasids = r->flags & DAM_REQ_PASID;
        // Tables for requests without PASID are for those alone; what passes, and what is broken, is for all.
        bool for_all = !pasids && (r->tree == NULL || (r->flags & DAM_REQ_OTHERS));
        bool wanted = !one || (of_pasids ? pasid >= r->pasid && pasid - r->pasid < r->span : for_all);
        if (!is_of(r, segment, rid) || !wanted)
            continue;
        found++;
        each(ctx, r);
    }
    return found;
}

const struct inspect_device *inspect_device_of(const struct inspection *in, uint16_t segment, uint16_t rid)
{
    size_t low = 0, high = in->device_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        const struct inspect_device *d = &in->devices[middle];
        if (d->segment == segment && d->rid == rid)
            return d;
        if (d->segment < segment || (d->segment == segment && d->rid < rid))
            low = middle + 1;
        else
            high = middle;
    }
    return NULL;
}
