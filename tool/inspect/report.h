// SPDX-License-Identifier: MIT
// The HTML report: what it says, as JSON, and the page that shows it.
#ifndef TOOL_INSPECT_REPORT_H
#define TOOL_INSPECT_REPORT_H

#include <json-c/json.h>

#include "inspect/model.h"
#include "inspect/report_map.h"

// Rows that the page's tables may have; what is left out is said there.
#define REPORT_REQUESTERS 4096u
#define REPORT_FINDINGS   2000u
#define REPORT_UNITS      256u

// Everything that is to be shown. Walks each tree. DAM_E_NOMEM; DAM_E_STATE: interrupted. *out is freed with
// json_object_put().
DAM_MUST_CHECK dam_err report_data(struct inspection *inspection, struct json_object **out);

// The map of an inspection, and what each of its trees has there: as many as inspection->tree_count, then one
// for each unit, empty but for those whose translation was off. Both are freed by the caller, in any case.
DAM_MUST_CHECK dam_err report_map(struct inspection *inspection, struct map *map, struct map_tree **trees,
                                  struct map_tree *tables, uint64_t (**crash)[2]);
// report_data(), the second half: over a map that is filled in. NULL: no memory.
struct json_object *report_map_json(const struct map *map, const struct map_tree *tables);
void report_tree_json(const struct map *map, const struct map_tree *tree, struct json_object *out);

// The page around the data, which the caller frees; NULL: no memory.
char *report_page(struct json_object *data, size_t *size);

#endif
