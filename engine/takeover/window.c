// SPDX-License-Identifier: MIT
// The crash window: identity of the capture kernel's memory, readable and writable, laid over New(d) for a
// capture kernel that sees no IOMMU.
#include "takeover/takeover.h"

static bool is_named(const struct dam_takeover *t, const struct unit *unit, const struct requester *r)
{
    const struct dam_takeover_config *c = t->config;
    for (size_t i = 0; i < c->window_count; i++)
        if (c->windows[i].segment == unit->iommu->segment && c->windows[i].rid == r->rid)
            return !(r->flags & DAM_REQ_OTHERS);
    return false;
}

bool takeover_hides(const struct dam_takeover *t)
{
    return t->config->hide && t->config->crash_window && t->config->crash_window->count;
}

// ---- who gets it ------------------------------------------------------------------------------------------
static void report_collision(struct dam_takeover *t, uint16_t code, const struct unit *unit,
                             const struct requester *r)
{
    const struct pt_audit *a = &r->old_tree->audit;
    struct dam_finding f = {
        .code = code,
        .level = 255,
        .unit = unit->iommu->index,
        .segment = unit->iommu->segment,
        .rid = r->rid,
        .address = a->collision_addr,
        .raw = a->collisions,
        .iova = a->collision_iova,
    };
    dam_finding_add(&t->findings, &f);
}

// What a first stage over another one means by an address is not looked at, and what comes out of one that
// stays cannot be made identity.
static bool nested_refuses(const struct requester *r, bool named)
{
    bool stays = r->policy == DAM_POLICY_FREEZE || r->policy == DAM_POLICY_PRESERVE;
    return r->old.stage == DAM_STAGE_NESTED && (stays || !named);
}

// Identity under the window keeps what every address means, and nobody's buffers were in the crash region.
// Any other mapping there may be what leftover DMA is aimed at: it would hit the capture kernel.
static bool gets_window(struct dam_takeover *t, const struct unit *unit, const struct requester *r)
{
    bool named = is_named(t, unit, r);
    // Requests with a PASID are not for the capture kernel, which knows of none.
    bool with_pasid = (r->flags & DAM_REQ_PASID) && !(r->flags & DAM_REQ_RID_PASID);
    if (with_pasid || (t->config->window_count && !named))
        return false;
    if (nested_refuses(r, named)) {
        takeover_report(t, DAM_F_WINDOW_NESTED, unit, r, 0, 0);
        return false;
    }
    if (!r->old_tree || !r->old_tree->audit.collisions)
        return true;
    report_collision(t, named ? DAM_F_WINDOW_REPLACES : DAM_F_WINDOW_COLLISION, unit, r);
    return named;
}

void takeover_give_windows(struct dam_takeover *t, struct unit *unit)
{
    if (!takeover_hides(t))
        return;
    for (struct requester *r = unit->requesters; r; r = r->next)
        if (gets_window(t, unit, r))
            r->flags |= DAM_REQ_CRASH;
}

// ---- its tables -------------------------------------------------------------------------------------------
uint64_t takeover_window_end(const struct dam_takeover *t)
{
    return takeover_hides(t) ? t->config->crash_window->at[t->config->crash_window->count - 1].end : 0;
}

static dam_err build_window(struct dam_takeover *t, const struct unit *unit, struct pt_tree *tree)
{
    const struct dam_ranges *window = t->config->crash_window;
    dam_err err = pt_tree_new(tree);
    for (size_t i = 0; !err && i < window->count; i++) {
        uint64_t start = window->at[i].start, end = window->at[i].end;
        uint64_t limit = takeover_identity_limit(&tree->params, end);
        if (end > limit) {
            takeover_report(t, DAM_F_WINDOW_WIDTH, unit, NULL, start, end);
            end = limit;
        }
        if (start < end)
            err = pt_tree_map(tree, start, start, end - start, true, true);
    }
    return err;
}

dam_err takeover_window_tree(struct dam_takeover *t, struct unit *unit, enum dam_stage stage,
                             const struct pt_params *params, const struct crash_tree **out)
{
    for (struct crash_tree *c = unit->crash_trees; c; c = c->next) {
        if (c->stage == stage && c->tree.params.levels == params->levels) {
            *out = c;
            return DAM_OK;
        }
    }
    void *record;
    dam_err err = dam_arena_record(t->pool, sizeof(struct crash_tree), &record);
    if (err)
        return err;
    struct crash_tree *c = record;
    c->stage = stage;
    c->tree = (struct pt_tree){
        .format = &unit->family->formats[stage], .params = *params, .memory = &t->own_memory};
    uint64_t low = t->pool->low;
    err = build_window(t, unit, &c->tree);
    c->tables = (t->pool->low - low) / DAM_PAGE_SIZE;
    c->next = unit->crash_trees;
    unit->crash_trees = c;
    *out = c;
    return err;
}

uint64_t takeover_window_pages(const struct dam_takeover *t)
{
    uint64_t pages = 0;
    for (size_t i = 0; takeover_hides(t) && i < t->config->crash_window->count; i++) {
        const struct dam_range *r = &t->config->crash_window->at[i];
        pages += (r->end - r->start) >> DAM_PAGE_SHIFT;
    }
    return pages;
}

// ---- the hardware beside the tables
void takeover_bare_hardware(struct dam_takeover *t)
{
    if (!takeover_hides(t) || !dam_takeover_may_hide(t))
        return;
    for (struct unit *unit = t->units; unit; unit = unit->next) {
        if (unit->status == DAM_UNIT_ABSENT || !unit->kind->make_bare || !unit->kind->make_bare(unit->iommu))
            continue;
        t->not_bare = true;
        takeover_report(t, DAM_F_HIDE_HARDWARE, unit, NULL,
                        unit->iommu->base.v + unit->iommu->waited_register, unit->iommu->waited_value);
    }
}
