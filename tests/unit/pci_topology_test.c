// SPDX-License-Identifier: MIT
// Device scopes through bridges: where they lead, under which ids requests arrive, and bridges that lie.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "lib/fake_pci.h"
#include "pci/topology.h"

#define ROOT_PORT  4
#define UPSTREAM   5
#define DOWNSTREAM 6
#define TO_PCI     7
#define FROM_PCI   8

struct box {
    struct fake_pci pci;
    struct pci_cfg cfg;
};

// 00:02.0 device; 00:1c.4 root port -> bus 3; 03:00.0 upstream -> 4–6; 04:01.0 downstream -> 5; 05:00.1
// device; 00:1e.0 conventional bridge -> 7; 07:03.0 device; 00:1c.5 root port -> 8–9; 08:00.0 PCI Express to
// PCI -> 9; 09:02.0 device.
static int setup(void **state)
{
    struct box *b = calloc(1, sizeof(*b));
    struct fake_pci *pci = &b->pci;
    fake_pci_init(pci);
    fake_pci_add(pci, 0, pci_rid(0, 2, 0), 0x80);
    fake_pci_express(fake_pci_bridge(pci, 0, pci_rid(0, 0x1C, 4), 3, 6), ROOT_PORT);
    fake_pci_express(fake_pci_bridge(pci, 0, pci_rid(3, 0, 0), 4, 6), UPSTREAM);
    fake_pci_express(fake_pci_bridge(pci, 0, pci_rid(4, 1, 0), 5, 5), DOWNSTREAM);
    fake_pci_add(pci, 0, pci_rid(5, 0, 1), 0);
    fake_pci_bridge(pci, 0, pci_rid(0, 0x1E, 0), 7, 7);
    fake_pci_add(pci, 0, pci_rid(7, 3, 0), 0);
    fake_pci_express(fake_pci_bridge(pci, 0, pci_rid(0, 0x1C, 5), 8, 9), ROOT_PORT);
    fake_pci_express(fake_pci_bridge(pci, 0, pci_rid(8, 0, 0), 9, 9), TO_PCI);
    fake_pci_add(pci, 0, pci_rid(9, 2, 0), 0);
    pci_cfg_init(&b->cfg, &pci->mem.ops);
    *state = b;
    return 0;
}

static int teardown(void **state)
{
    struct box *b = *state;
    assert_int_equal(b->pci.misuse, 0);
    fake_mem_free(&b->pci.mem);
    free(b);
    return 0;
}

// A scope with this path: pairs of device and function.
static struct dmar_scope scope_of(uint8_t type, uint8_t bus, unsigned pairs, const uint8_t path[][2])
{
    struct dmar_scope scope = {.type = type, .start_bus = bus, .path_length = (uint8_t)pairs};
    for (unsigned i = 0; i < pairs && i < DMAR_MAX_PATH; i++) {
        scope.path[i].device = path[i][0];
        scope.path[i].function = path[i][1];
    }
    return scope;
}

#define SCOPE(type, bus, ...)                                                                                \
    scope_of(type, bus, sizeof((const uint8_t[][2]){__VA_ARGS__}) / 2, (const uint8_t[][2]){__VA_ARGS__})

static dam_err resolve(struct box *b, struct dmar_scope scope, struct pci_target *target)
{
    return pci_scope_resolve(&b->cfg, 0, &scope, target);
}

static void endpoint_on_the_root_bus(void **state)
{
    struct box *b = *state;
    struct pci_target t;
    assert_int_equal(resolve(b, SCOPE(1, 0, {2, 0}), &t), DAM_OK);
    assert_int_equal(t.rid, 0x0010);
    assert_true(t.present);
    assert_false(t.mismatch);
    assert_false(t.has_below);
    assert_int_equal(t.alias_count, 0);
    assert_true(pci_target_covers(&t, 0x0010));
    assert_false(pci_target_covers(&t, 0x0011));
    assert_false(pci_target_covers(&t, 0x0000));
    assert_false(pci_target_covers(&t, 0x0110));
}

static void endpoint_below_three_ports(void **state)
{
    struct box *b = *state;
    struct pci_target t;
    assert_int_equal(resolve(b, SCOPE(1, 0, {0x1C, 4}, {0, 0}, {1, 0}, {0, 1}), &t), DAM_OK);
    assert_int_equal(t.rid, 0x0501);
    assert_true(t.present);
    assert_int_equal(t.alias_count, 0);
    assert_true(pci_target_covers(&t, 0x0501));
    assert_false(pci_target_covers(&t, 0x0500));
}

// Tables exist that give the last bus as the start bus, which is no root bus.
static void path_that_begins_at_the_end(void **state)
{
    struct box *b = *state;
    struct pci_target t;
    assert_int_equal(resolve(b, SCOPE(1, 5, {0, 1}), &t), DAM_OK);
    assert_int_equal(t.rid, 0x0501);
    assert_true(t.present);
    assert_int_equal(resolve(b, SCOPE(1, 4, {1, 0}, {0, 1}), &t), DAM_OK);
    assert_int_equal(t.rid, 0x0501);
}

static void sub_hierarchy(void **state)
{
    struct box *b = *state;
    struct pci_target t;
    assert_int_equal(resolve(b, SCOPE(2, 0, {0x1C, 4}), &t), DAM_OK);
    assert_int_equal(t.rid, 0x00E4);
    assert_true(t.present);
    assert_true(t.has_below);
    assert_int_equal(t.below_first, 3);
    assert_int_equal(t.below_last, 6);
    assert_false(t.mismatch);
    static const struct {
        uint16_t rid;
        bool covered;
    } cases[] = {{0x00E4, true}, {0x00E5, false}, {0x02FF, false}, {0x0300, true},
                 {0x0501, true}, {0x06FF, true},  {0x0700, false}, {0x0000, false}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        assert_int_equal(pci_target_covers(&t, cases[i].rid), cases[i].covered);
    assert_int_equal(resolve(b, SCOPE(2, 0, {0x1C, 4}, {0, 0}, {1, 0}), &t), DAM_OK);
    assert_int_equal(t.rid, 0x0408);
    assert_int_equal(t.below_first, 5);
    assert_int_equal(t.below_last, 5);
}

static void sub_hierarchy_to_the_last_bus(void **state)
{
    struct box *b = *state;
    struct pci_target t;
    fake_pci_bridge(&b->pci, 0, pci_rid(0, 1, 0), 0xFF, 0xFF);
    assert_int_equal(resolve(b, SCOPE(2, 0, {1, 0}), &t), DAM_OK);
    assert_true(pci_target_covers(&t, 0xFFFF));
    assert_false(pci_target_covers(&t, 0xFEFF));
}

static void conventional_bridge_lends_its_id(void **state)
{
    struct box *b = *state;
    struct pci_target t;
    assert_int_equal(resolve(b, SCOPE(1, 0, {0x1E, 0}, {3, 0}), &t), DAM_OK);
    assert_int_equal(t.rid, 0x0718);
    assert_int_equal(t.alias_count, 1);
    assert_int_equal(t.alias[0], 0x00F0);
    assert_true(pci_target_covers(&t, 0x0718));
    assert_true(pci_target_covers(&t, 0x00F0));
    assert_false(pci_target_covers(&t, 0x0700));
}

static void express_to_pci_uses_its_secondary_bus(void **state)
{
    struct box *b = *state;
    struct pci_target t;
    assert_int_equal(resolve(b, SCOPE(1, 0, {0x1C, 5}, {0, 0}, {2, 0}), &t), DAM_OK);
    assert_int_equal(t.rid, 0x0910);
    assert_int_equal(t.alias_count, 1);
    assert_int_equal(t.alias[0], 0x0900);
}

static void pci_to_express_lends_its_id(void **state)
{
    struct box *b = *state;
    struct pci_target t;
    fake_pci_express(fake_pci_bridge(&b->pci, 0, pci_rid(7, 4, 0), 0x20, 0x20), FROM_PCI);
    assert_int_equal(resolve(b, SCOPE(1, 0, {0x1E, 0}, {4, 0}, {0, 0}), &t), DAM_OK);
    assert_int_equal(t.rid, 0x2000);
    assert_false(t.present);
    assert_int_equal(t.alias_count, 2);
    assert_int_equal(t.alias[0], 0x00F0);
    assert_int_equal(t.alias[1], 0x0720);
}

static void device_that_does_not_answer(void **state)
{
    struct box *b = *state;
    struct pci_target t;
    assert_int_equal(resolve(b, SCOPE(1, 0, {0x1D, 7}), &t), DAM_OK);
    assert_int_equal(t.rid, 0x00EF);
    assert_false(t.present);
    assert_int_equal(resolve(b, SCOPE(2, 0, {0x1D, 7}), &t), DAM_OK);
    assert_false(t.present);
    assert_false(t.has_below);
    assert_int_equal(resolve(b, SCOPE(1, 0, {0x1C, 4}, {5, 5}), &t), DAM_OK);
    assert_int_equal(t.rid, 0x032D);
    assert_false(t.present);
}

static void no_function_is_asked_for_by_other_scopes(void **state)
{
    struct box *b = *state;
    struct pci_target t;
    for (unsigned type = 0; type < 256; type++) {
        if (type == 1 || type == 2)
            continue;
        assert_int_equal(resolve(b, SCOPE((uint8_t)type, 0xF0, {0x1F, 0}), &t), DAM_OK);
        assert_int_equal(t.rid, 0xF0F8);
        assert_false(t.present);
    }
    assert_int_equal(b->pci.mem.calls, 0);
}

static void scope_type_and_header_disagree(void **state)
{
    struct box *b = *state;
    struct pci_target t;
    assert_int_equal(resolve(b, SCOPE(1, 0, {0x1C, 4}), &t), DAM_OK); // an endpoint that is a bridge
    assert_true(t.mismatch);
    assert_false(t.has_below);
    assert_int_equal(resolve(b, SCOPE(2, 0, {2, 0}), &t), DAM_OK); // a bridge that is an endpoint
    assert_true(t.mismatch);
    assert_false(t.has_below);
    assert_true(pci_target_covers(&t, 0x0010));
    struct fake_function *ntb = fake_pci_add(&b->pci, 0, pci_rid(0, 3, 0), 0);
    ntb->space[0x0B] = 0x06; // class 0680h: a non-transparent bridge
    ntb->space[0x0A] = 0x80;
    assert_int_equal(resolve(b, SCOPE(2, 0, {3, 0}), &t), DAM_OK);
    assert_false(t.mismatch);
    assert_false(t.has_below);
}

static void cardbus_bridge(void **state)
{
    struct box *b = *state;
    struct pci_target t;
    fake_pci_bridge(&b->pci, 0, pci_rid(7, 9, 0), 0x30, 0x33)->space[0x0E] = 0x82;
    assert_int_equal(resolve(b, SCOPE(2, 0, {0x1E, 0}, {9, 0}), &t), DAM_OK);
    assert_true(t.has_below);
    assert_int_equal(t.below_first, 0x30);
    assert_int_equal(t.below_last, 0x33);
}

static void bridges_on_the_way_that_lie(void **state)
{
    struct box *b = *state;
    struct pci_target t;
    static const struct {
        uint8_t secondary, subordinate;
    } cases[] = {{0, 0}, {0, 255}, {10, 10}, {10, 20}, {9, 20}, {21, 20}, {255, 254}, {255, 0}};
    struct fake_function *bridge = fake_pci_bridge(&b->pci, 0, pci_rid(10, 0, 0), 11, 11);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        bridge->space[0x19] = cases[i].secondary;
        bridge->space[0x1A] = cases[i].subordinate;
        assert_int_equal(resolve(b, SCOPE(1, 10, {0, 0}, {0, 0}), &t), DAM_E_BROKEN);
        assert_int_equal(t.rid, 0x0A00);
        assert_false(t.present);
        assert_int_equal(t.alias_count, 0);
        // As the end of a path it is simply a bridge without buses.
        assert_int_equal(resolve(b, SCOPE(2, 10, {0, 0}), &t), DAM_OK);
        assert_true(t.present);
        assert_false(t.has_below);
    }
}

static void ways_that_end(void **state)
{
    struct box *b = *state;
    struct pci_target t;
    assert_int_equal(resolve(b, SCOPE(1, 0, {0x11, 0}, {0, 0}), &t), DAM_E_ABSENT);
    assert_int_equal(t.rid, 0x0088);
    assert_int_equal(resolve(b, SCOPE(1, 0, {2, 0}, {0, 0}), &t), DAM_E_BROKEN); // not a bridge
    assert_int_equal(t.rid, 0x0010);
    assert_int_equal(resolve(b, SCOPE(1, 0, {0x1C, 4}, {0, 0}, {2, 0}, {0, 0}), &t), DAM_E_ABSENT);
    assert_int_equal(t.rid, 0x0410);
    struct dmar_scope scope = SCOPE(1, 0, {0x1C, 4}, {0, 0});
    assert_int_equal(pci_scope_resolve(&b->cfg, 1, &scope, &t), DAM_E_UNSUPPORTED);
    // Another segment, but nothing to ask on the way: the id is known all the same.
    scope.path_length = 1;
    assert_int_equal(pci_scope_resolve(&b->cfg, 1, &scope, &t), DAM_OK);
    assert_int_equal(t.rid, 0x00E4);
    assert_false(t.present);
}

static void paths_refused(void **state)
{
    struct box *b = *state;
    struct pci_target t;
    struct dmar_scope scope = SCOPE(1, 0, {2, 0});
    scope.path_length = 0;
    assert_int_equal(resolve(b, scope, &t), DAM_E_RANGE);
    scope.path_length = DMAR_MAX_PATH + 1;
    assert_int_equal(resolve(b, scope, &t), DAM_E_RANGE);
    scope.path_length = 255;
    assert_int_equal(resolve(b, scope, &t), DAM_E_RANGE);
    assert_int_equal(resolve(b, SCOPE(1, 0, {32, 0}), &t), DAM_E_RANGE);
    assert_int_equal(resolve(b, SCOPE(1, 0, {0, 8}), &t), DAM_E_RANGE);
    assert_int_equal(resolve(b, SCOPE(1, 0, {0x1C, 4}, {255, 255}), &t), DAM_E_RANGE);
    assert_int_equal(b->pci.mem.calls, 0);
}

static void longest_path(void **state)
{
    struct box *b = *state;
    struct pci_target t;
    uint8_t path[DMAR_MAX_PATH][2] = {{0}};
    for (unsigned bus = 0x40; bus < 0x40 + DMAR_MAX_PATH - 1; bus++)
        fake_pci_bridge(&b->pci, 0, pci_rid(bus, 0, 0), (uint8_t)(bus + 1), 0x60);
    assert_int_equal(resolve(b, scope_of(1, 0x40, DMAR_MAX_PATH, (const uint8_t(*)[2])path), &t), DAM_OK);
    assert_int_equal(t.rid, 0x4F00);
    assert_int_equal(t.alias_count, DMAR_MAX_PATH - 1); // no capability: 15 conventional bridges
    assert_int_equal(t.alias[14], 0x4E00);
}

// A list of capabilities that leads in a circle, or out of its place, ends; the bridge counts as
// conventional.
static void capability_lists_that_lie(void **state)
{
    struct box *b = *state;
    struct pci_target t;
    static const struct {
        uint8_t first, at, next;
    } cases[] = {{0x40, 0x40, 0x40}, {0x41, 0x40, 0x43}, {0x00, 0x40, 0x40},
                 {0x3C, 0x40, 0x40}, {0x40, 0x40, 0x04}, {0xFF, 0xFC, 0xFF}};
    struct fake_function *bridge = fake_pci_bridge(&b->pci, 0, pci_rid(10, 0, 0), 11, 11);
    bridge->space[0x06] = 0x10;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        memset(bridge->space + 0x40, 0, 0xC0);
        bridge->space[0x34] = cases[i].first;
        bridge->space[cases[i].at] = 0x05;
        bridge->space[cases[i].at + 1] = cases[i].next;
        b->pci.mem.calls = 0;
        assert_int_equal(resolve(b, SCOPE(1, 10, {0, 0}, {0, 0}), &t), DAM_OK);
        assert_in_range(b->pci.mem.calls, 1, 2 * (48 + 8));
        assert_int_equal(t.alias_count, 1);
        assert_int_equal(t.alias[0], 0x0A00);
    }
}

static void every_access_fails_once(void **state)
{
    struct box *b = *state;
    struct pci_target t;
    const struct dmar_scope scope = SCOPE(1, 0, {0x1C, 5}, {0, 0}, {2, 0});
    assert_int_equal(resolve(b, scope, &t), DAM_OK);
    const uint64_t calls = b->pci.mem.calls;
    for (uint64_t n = 1; n <= calls; n++) {
        b->pci.mem.calls = 0;
        b->pci.mem.fail_at = n;
        dam_err err = resolve(b, scope, &t);
        if (n + 2 > calls) { // the device at the end: its id is known without asking it
            assert_int_equal(err, DAM_OK);
            assert_int_equal(t.rid, 0x0910);
            assert_false(t.present);
        } else {
            assert_int_equal(err, DAM_E_IO);
        }
    }
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(endpoint_on_the_root_bus),
        T(endpoint_below_three_ports),
        T(path_that_begins_at_the_end),
        T(sub_hierarchy),
        T(sub_hierarchy_to_the_last_bus),
        T(conventional_bridge_lends_its_id),
        T(express_to_pci_uses_its_secondary_bus),
        T(pci_to_express_lends_its_id),
        T(device_that_does_not_answer),
        T(no_function_is_asked_for_by_other_scopes),
        T(scope_type_and_header_disagree),
        T(cardbus_bridge),
        T(bridges_on_the_way_that_lie),
        T(ways_that_end),
        T(paths_refused),
        T(longest_path),
        T(capability_lists_that_lie),
        T(every_access_fails_once),
    };
    return cmocka_run_group_tests_name("pci_topology", tests, NULL, NULL);
}
