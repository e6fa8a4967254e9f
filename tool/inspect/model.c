// SPDX-License-Identifier: MIT
// Opening and closing an inspection, its lists, and the engine's view of a dump that lacks pages.
#include "inspect/model.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/finding.h"
#include "inspect/model_kernel.h"
#include "inspect/model_own.h"
#include "inspect/progress.h"
#include "names.h"

#define LOOK_EVERY 64u // reads between two looks at the user and the clock

bool inspect_grow(void **list, size_t count, size_t *capacity, size_t entry)
{
    if (count < *capacity)
        return true;
    size_t more = *capacity ? *capacity * 2 : 16;
    void *grown = realloc(*list, more * entry);
    if (grown == NULL)
        return false;
    *list = grown;
    *capacity = more;
    return true;
}

// ---- findings --------------------------------------------------------------------------------------------
void inspect_fold_begin(struct inspection *in)
{
    in->own->fold = (struct inspect_fold){0};
}

void inspect_add_finding(struct inspection *in, const struct dam_finding *finding)
{
    struct inspect_own *own = in->own;
    unsigned code = finding->code % 256u;
    if (own->fold.seen[code] >= DAM_FINDING_EACH) {
        struct dam_finding *last = &in->findings[own->fold.last[code]];
        last->repeats += last->repeats != UINT32_MAX;
        return;
    }
    if (in->finding_count == MAX_FINDINGS || !inspect_grow((void **)&in->findings, in->finding_count,
                                                           &own->finding_capacity, sizeof *in->findings)) {
        in->findings_lost = true;
        return;
    }
    own->fold.seen[code]++;
    own->fold.last[code] = (uint32_t)in->finding_count;
    struct dam_finding *slot = &in->findings[in->finding_count++];
    *slot = *finding;
    slot->severity = (uint8_t)dam_finding_severity(finding->code);
}

const char *inspect_finding_text(uint16_t code, char out[INSPECT_FINDING_TEXT])
{
    static const char *const ends[] = {": ", "; ", " (", ", left alone", ", ignored"};
    const char *text = name_finding(code);
    size_t length = strlen(text);
    for (size_t i = 0; i < sizeof ends / sizeof ends[0]; i++) {
        const char *end = strstr(text, ends[i]);
        if (end != NULL && (size_t)(end - text) < length)
            length = (size_t)(end - text);
    }
    if (length > INSPECT_FINDING_TEXT - 1)
        length = INSPECT_FINDING_TEXT - 1;
    memcpy(out, text, length);
    out[length] = '\0';
    return out;
}

// ---- the engine's view of the dump -----------------------------------------------------------------------
static dam_err read_old(void *ctx, dam_pa pa, void *buf, size_t len)
{
    struct inspection *in = ctx;
    struct inspect_own *own = in->own;
    if (++own->reads % LOOK_EVERY == 0) {
        if (progress_interrupted())
            return DAM_E_STATE;
        progress_step(own->reads);
    }
    // Where the dump says there was RAM, and only there, tables are looked for: whatever keeps the page from
    // us, what is on it is not known.
    dam_err err = own->direct.mem_read(own->direct.ctx, pa, buf, len);
    if (err == DAM_E_IO && in->damage[0] == '\0')
        snprintf(in->damage, sizeof in->damage, "%s", memory_problem(in->memory));
    return err == DAM_E_IO || err == DAM_E_RANGE ? DAM_E_ABSENT : err;
}

static uint64_t now_us(void *ctx)
{
    struct inspect_own *own = ((struct inspection *)ctx)->own;
    return own->direct.clock_us(own->direct.ctx);
}

struct inspect_reading *inspect_begin_reading(const struct inspection *in)
{
    struct inspect_reading *r = malloc(sizeof *r);
    if (r == NULL)
        return NULL;
    r->budget = (struct pt_budget){.tables = in->own->pages, .deadline_us = UINT64_MAX};
    r->memory =
        (struct pt_memory){.ops = &in->own->ops, .old_ram = memory_ram(in->memory), .budget = &r->budget};
    return r;
}

// ---- open and close --------------------------------------------------------------------------------------
static bool begin(struct inspection *in, struct memory *memory)
{
    struct inspect_own *own = calloc(1, sizeof *own);
    in->memory = memory;
    if (own == NULL || !inspect_pages_begin(&own->table_pages)) {
        free(own);
        return false;
    }
    in->own = own;
    own->memory = memory;
    own->direct = memory_ops(memory);
    own->ops = (struct dam_ops){.ctx = in, .mem_read = read_old, .clock_us = now_us};
    const struct dam_ranges *ram = memory_ram(memory);
    for (size_t i = 0; i < ram->count; i++)
        own->pages += (ram->at[i].end - ram->at[i].start) / DAM_PAGE_SIZE;
    own->audit_left = own->pages < UINT64_MAX / 4 ? 4 * own->pages : UINT64_MAX;
    dam_ranges_init(&own->keep_out, own->keep_storage,
                    sizeof own->keep_storage / sizeof own->keep_storage[0]);
    return true;
}

static enum tool_status read_all_tables(struct inspection *in, struct tool_error *error)
{
    dam_err err = DAM_OK;
    progress_begin("reading the tables of requesters", 0);
    for (size_t i = 0; !err && i < in->unit_count; i++)
        err = inspect_read_tables(in, &in->units[i]);
    progress_end();
    inspect_sort_requesters(in);
    inspect_mark_vacant(in);
    if (err == DAM_E_STATE)
        return tool_fail(error, TOOL_SYSTEM, "interrupted");
    return err ? tool_fail(error, TOOL_SYSTEM, "no memory for the requesters") : TOOL_OK;
}

enum tool_status inspect_open_memory(struct memory *memory, const struct inspect_options *options,
                                     struct inspection *out, struct tool_error *error)
{
    *out = (struct inspection){.path = options->path};
    if (!begin(out, memory))
        return tool_fail(error, TOOL_SYSTEM, "no memory");
    enum tool_status status = inspect_find_units(out, options, error);
    return status == TOOL_OK ? read_all_tables(out, error) : status;
}

enum tool_status inspect_open(const struct inspect_options *options, struct inspection *out,
                              struct tool_error *error)
{
    struct memory *memory;
    *out = (struct inspection){.path = options->path};
    enum tool_status status = memory_open(options->path, &options->memory, &memory, error);
    return status == TOOL_OK ? inspect_open_memory(memory, options, out, error) : status;
}

void inspect_close(struct inspection *in)
{
    kernel_close(in->kernel);
    memory_close(in->memory);
    for (size_t i = 0; i < in->tree_count; i++)
        free(in->trees[i]);
    free(in->trees);
    free(in->units);
    free(in->requesters);
    free(in->devices);
    free(in->findings);
    if (in->own != NULL) {
        inspect_pages_end(&in->own->table_pages);
        free(in->own->tree_index);
        free(in->own);
    }
    *in = (struct inspection){0};
}
