// SPDX-License-Identifier: MIT
// Draws the page from the data in it. Every string there may come from a hostile dump: text is only ever put
// in as text nodes. Addresses are counted in pages of 4 KiB, which JavaScript's numbers hold exactly.
"use strict";
(() => {
const PAGE = 4096;
const READ = 1, WRITE = 2;
const data = JSON.parse(document.getElementById("data").textContent);
const byId = (id) => document.getElementById(id);

// ---- elements and words -----------------------------------------------------------------------------------
function fill(node, attributes, children) {
    for (const [name, value] of Object.entries(attributes || {})) {
        if (typeof value === "function") node.addEventListener(name, value);
        else if (value !== null && value !== undefined && value !== false) node.setAttribute(name, value);
    }
    for (const child of children)
        if (child !== null && child !== undefined) node.append(child);
    return node;
}
const el = (name, attributes, ...children) => fill(document.createElement(name), attributes, children);
const svg = (name, attributes, ...children) =>
    fill(document.createElementNS("http://www.w3.org/2000/svg", name), attributes, children);

function bytes(n) {
    const units = ["B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
    let unit = 0;
    while (n >= 1024 && unit < units.length - 1) {
        n /= 1024;
        unit++;
    }
    const shown = Number.isInteger(n) ? n.toString() : n.toFixed(n < 10 ? 2 : 1);
    return shown + "\u00a0" + units[unit];
}
const pages = (n) => bytes(n * PAGE);
const hex = (page) => "0x" + page.toString(16) + (page > 0 ? "000" : "");
// The last byte, as people who read memory maps expect it.
const hexLast = (page) => "0x" + (page > 1 ? (page - 1).toString(16) : "") + "fff";
const span = (from, to) => `${hex(from)} – ${hexLast(to)}`;
const count = (n, word) => `${n.toLocaleString("en")} ${word}${n === 1 ? "" : "s"}`;
const rightsWord = (rights) => rights === READ ? "read" : rights === WRITE ? "write" : "read, write";
function percent(part, all) {
    if (part === 0 || all === 0) return "0 %";
    const share = 100 * part / all;
    return share < 0.01 ? "< 0.01 %" : (share < 10 ? share.toFixed(2) : share.toFixed(1)) + " %";
}
const numbers = (text) => text ? text.split(" ").map(Number) : [];

// ---- the data ---------------------------------------------------------------------------------------------
const map = data.map;
const cellPages = map.cell_pages;
const cells = [];
for (let n = numbers(map.cells), i = 0; i + 4 < n.length; i += 5) {
    const start = n[i] * cellPages;
    cells.push({start, end: start + cellPages, ram: n[i + 1], read: n[i + 2], one: n[i + 3], several: n[i + 4]});
}
const ram = [];
for (let n = numbers(map.ram), i = 0, at = 0; i + 1 < n.length; i += 2) {
    ram.push([at + n[i], at + n[i] + n[i + 1]]);
    at += n[i] + n[i + 1];
}
const totalRam = cells.reduce((sum, c) => sum + c.ram, 0);

// Entries by cell: {read, write, readOnly, all, runs: [[start, end, rights]…]}. Taken apart when somebody asks
// for them, since there may be many.
function entriesOf(tree) {
    if (tree.byCell) return tree.byCell;
    const n = numbers(tree.entries), entries = new Map();
    for (let i = 0; i + 5 < n.length;) {
        const cell = n[i], read = n[i + 1], write = n[i + 2], readOnly = n[i + 3], all = n[i + 4], kept = n[i + 5];
        const runs = [];
        i += 6;
        for (let k = 0, at = cells[cell].start; k < kept; k++, i += 3) {
            runs.push([at + n[i], at + n[i] + n[i + 1], n[i + 2]]);
            at += n[i] + n[i + 1];
        }
        entries.set(cell, {read, write, readOnly, all, runs});
    }
    tree.byCell = entries;
    return entries;
}
function prepare(tree) {
    tree.outsideRuns = [];
    const o = numbers(tree.outside);
    for (let i = 0; i + 2 < o.length; i += 3) tree.outsideRuns.push([o[i], o[i] + o[i + 1], o[i + 2]]);
    tree.users = [];
}
data.trees.forEach(prepare);
prepare(map.tables);
data.requesters.forEach((r, i) => {
    r.index = i;
    r.label = r.address + (r.more || "");
    r.what = [r.vendor, r.product].filter(Boolean).join(" ");
    r.treeData = r.tree >= 0 ? data.trees[r.tree] : null;
    if (r.treeData) r.treeData.users.push(r);
});
// Requesters that the page leaves out count as well: weight is how many, 2 stands for several.
for (const tree of data.trees)
    tree.weight = tree.requesters === undefined ? 2 : Math.max(tree.requesters, 1);
const usedTrees = data.trees.filter((t) => t.requesters !== undefined || t.users.length > 0);
const isUnknown = (r) => Boolean(r.unknown || (r.treeData && r.treeData.unknown_tables > 0));
const unknownOnes = data.requesters.filter(isUnknown);
const blindUnits = data.units.filter((u) => u.unknown);
const anyUnknown = unknownOnes.length > 0 || data.units.length === 0 || blindUnits.length > 0 || data.gaps;
const crash = data.crash.map((r) => {
    const start = BigInt(r.start), end = BigInt(r.end);
    return [Number(start >> 12n), Number((end + 4095n) >> 12n)];
}).filter(([a, b]) => b > a);

// ---- questions about a range of pages ---------------------------------------------------------------------
function overlaps(list, from, to) {
    return list.filter(([a, b]) => a < to && b > from)
        .map(([a, b, ...rest]) => [Math.max(a, from), Math.min(b, to), ...rest]);
}
const sum = (list) => list.reduce((all, [a, b]) => all + b - a, 0);
function cellsIn(from, to) {
    let low = 0, high = cells.length;
    while (low < high) {
        const middle = (low + high) >> 1;
        if (cells[middle].end > from) high = middle;
        else low = middle + 1;
    }
    let last = low;
    while (last < cells.length && cells[last].start < to) last++;
    return [low, last];
}
// What one tree can do in [from, to): pages, exactly, unless complete is false and the range cuts through cells.
function treeIn(tree, from, to) {
    const out = {read: 0, write: 0, readOnly: 0, all: 0, complete: tree.detailed, exact: tree.detailed, runs: []};
    if (tree.everything) {
        out.runs = overlaps(ram, from, to).map(([a, b]) => [a, b, READ | WRITE]);
        out.read = out.write = sum(out.runs);
        out.all = out.runs.length;
        return out;
    }
    const [first, last] = cellsIn(from, to), entries = entriesOf(tree);
    for (let c = first; c < last; c++) {
        const e = entries.get(c);
        if (!e) continue;
        const whole = cells[c].start >= from && cells[c].end <= to, runs = whole ? e.runs : overlaps(e.runs, from, to);
        if (e.runs.length < e.all) out.complete = false;
        out.runs.push(...runs);
        if (whole) {
            out.all += e.all;
            out.read += e.read;
            out.write += e.write;
            out.readOnly += e.readOnly;
            continue;
        }
        if (e.runs.length < e.all) out.exact = false;
        out.all += runs.length;
        for (const [a, b, rights] of runs) {
            if (rights & READ) out.read += b - a;
            if (rights & WRITE) out.write += b - a;
            if (rights === READ) out.readOnly += b - a;
        }
    }
    // Runs go on over the border of two cells.
    const joined = [];
    for (const run of out.runs) {
        const before = joined[joined.length - 1];
        if (before && before[1] === run[0] && before[2] === run[2]) {
            before[1] = run[1];
            out.all--;
        } else {
            joined.push(run.slice());
        }
    }
    out.runs = joined;
    return out;
}
// Whether every range of these cells is in the page, so that pages can be told apart.
function knownExactly(from, to, trees) {
    if (map.granule_pages > 1 || map.ram_cut) return false;
    const [first, last] = cellsIn(from, to);
    return trees.every((tree) => {
        if (tree.everything) return true;
        if (!tree.detailed) return false;
        for (let c = first; c < last; c++) {
            const e = entriesOf(tree).get(c);
            if (e && e.runs.length < e.all) return false;
        }
        return true;
    });
}

// ---- the view: a range of memory as cells of one size ------------------------------------------------------
const MOST_CELLS = 1024;
const view = {from: 0, to: 0, size: 0, cells: [], filter: null, stack: [], chosen: null, focus: 0};
const filterTrees = () => view.filter ? (view.filter.treeData ? [view.filter.treeData] : []) : usedTrees;
const unknownNow = () => view.filter ? isUnknown(view.filter) : anyUnknown;

function classOf(cell) {
    if (cell.hole) return "hole";
    if (cell.several > 0) return "several";
    if (cell.one > 0) return "one";
    if (cell.read > 0) return "read";
    return unknownNow() ? "unknown" : "nobody";
}

// Cells as the dump's data have them, with the filter's numbers if there is one.
function baseCells(from, to) {
    const [first, last] = cellsIn(from, to);
    const out = cells.slice(first, last).map((c) => ({...c}));
    if (!view.filter) return out;
    const tree = view.filter.treeData;
    out.forEach((c, i) => {
        const e = tree && entriesOf(tree).get(first + i);
        const all = tree && tree.everything;
        c.several = 0;
        c.one = all ? c.ram : e ? e.write : 0;
        c.read = all ? 0 : e ? e.readOnly : 0;
    });
    return out;
}

// Smaller cells, counted from the ranges.
function fineCells(from, to, size) {
    const out = [], trees = filterTrees();
    for (let at = from; at < to; at += size) {
        const part = sum(overlaps(ram, at, at + size));
        if (part > 0) out.push({start: at, end: at + size, ram: part, read: 0, one: 0, several: 0});
    }
    const everything = view.filter ? 0 : trees.reduce((n, t) => n + (t.everything ? t.weight : 0), 0);
    if (view.filter && trees.some((t) => t.everything)) {
        for (const c of out) c.one = c.ram;
        return out;
    }
    const borders = [];
    for (const tree of trees) {
        if (tree.everything) continue;
        for (const [a, b, rights] of treeIn(tree, from, to).runs) {
            const readers = rights & READ ? 1 : 0, writers = rights & WRITE ? (view.filter ? 1 : tree.weight) : 0;
            borders.push([a, readers, writers], [b, -readers, -writers]);
        }
    }
    borders.sort((a, b) => a[0] - b[0]);
    let readers = 0, writers = 0, cell = 0;
    for (let i = 0; i < borders.length; i++) {
        readers += borders[i][1];
        writers += borders[i][2];
        const start = borders[i][0], end = i + 1 < borders.length ? borders[i + 1][0] : start;
        if (end === start || readers + writers === 0) continue;
        while (cell < out.length && out[cell].end <= start) cell++;
        for (let c = cell; c < out.length && out[c].start < end; c++) {
            const part = Math.min(end, out[c].end) - Math.max(start, out[c].start);
            if (writers > 1) out[c].several += part;
            else if (writers === 1) out[c].one += part;
            else out[c].read += part;
        }
    }
    if (everything > 0)
        for (const c of out) {
            c.several = everything > 1 ? c.ram : c.one + c.several;
            c.one = c.ram - c.several;
            c.read = 0;
        }
    return out;
}

function withHoles(list, from, to) {
    const out = [];
    let at = from;
    const hole = (start, end) => {
        if (end > start) out.push({start, end, hole: true, ram: 0, read: 0, one: 0, several: 0});
    };
    for (const cell of list) {
        hole(at, cell.start);
        out.push(cell);
        at = cell.end;
    }
    hole(at, to);
    return out;
}

// The smallest size of cells that [from, to) can be shown in.
function sizeFor(from, to) {
    let size = 1;
    while ((to - from) / size > MOST_CELLS) size *= 2;
    return size >= cellPages || !knownExactly(from, to, filterTrees()) ? cellPages : size;
}

function makeView() {
    const whole = view.stack.length === 0;
    if (whole) {
        view.from = 0;
        view.to = cells.length ? cells[cells.length - 1].end : 0;
        view.size = cellPages;
        // What is mapped behind the last memory.
        for (const tree of usedTrees)
            for (const [, end] of tree.outsideRuns) view.to = Math.max(view.to, end);
    } else {
        [view.from, view.to] = view.stack[view.stack.length - 1];
        view.size = sizeFor(view.from, view.to);
    }
    const list = view.size === cellPages ? baseCells(view.from, view.to) : fineCells(view.from, view.to, view.size);
    view.cells = withHoles(list, view.from, view.to);
    for (const cell of view.cells) {
        cell.crash = overlaps(crash, cell.start, cell.end).length > 0;
        cell.tables = !cell.hole && treeIn(map.tables, cell.start, cell.end).write > 0;
    }
}

// ---- drawing ----------------------------------------------------------------------------------------------
let geometry = {columns: 1, pitch: 15, left: 0};

function describe(cell) {
    if (cell.hole) return `${span(cell.start, cell.end)}, no memory`;
    const parts = [];
    if (cell.several) parts.push(`${pages(cell.several)} writable by several`);
    if (cell.one) parts.push(view.filter ? `${pages(cell.one)} writable` : `${pages(cell.one)} writable by one`);
    if (cell.read) parts.push(`${pages(cell.read)} only readable`);
    const rest = cell.ram - cell.several - cell.one - cell.read;
    if (rest > 0) parts.push(unknownNow() ? `${pages(rest)} unknown`
        : `${pages(rest)} ${view.filter ? "not reached" : "reached by nobody"}`);
    if (cell.crash) parts.push("crash region");
    if (cell.tables) parts.push("IOMMU tables");
    return `${span(cell.start, cell.end)}, ${parts.join(", ")}`;
}

// From the bottom: the worst first, each high enough that a single page is seen.
function bars(cell, x, y, size) {
    const out = [], least = Math.max(Math.round(size / 4), 3);
    let bottom = y + size;
    for (const name of ["several", "one", "read"]) {
        if (!cell[name] || bottom <= y) continue;
        const height = Math.min(Math.max(Math.round(size * cell[name] / cell.ram), least), bottom - y);
        bottom -= height;
        out.push(svg("rect", {class: `bar ${name}`, x, y: bottom, width: size, height}));
    }
    return out;
}

function drawCell(cell, index, x, y, size) {
    const group = svg("g", {class: `cell ${classOf(cell)}`, id: `cell-${index}`, role: "option", "data-cell": index,
        "data-start": hex(cell.start), "data-end": hex(cell.end), "aria-label": describe(cell), "aria-selected": "false"});
    group.append(svg("rect", {class: unknownNow() && !cell.hole ? "back unknown" : "back", x, y, width: size, height: size}));
    if (cell.hole)
        for (let i = 0; i < 3; i++)
            group.append(svg("circle", {class: "dots", cx: x + size * (i + 1) / 4, cy: y + size / 2, r: Math.max(size / 14, 0.9)}));
    group.append(...bars(cell, x, y, size));
    if (cell.crash)
        group.append(svg("rect", {class: "crash-mark", x: x + 1, y: y + 1, width: size - 2, height: size - 2}));
    if (cell.tables) {
        const r = Math.max(size / 5, 2.6), cx = x + size / 2, cy = y + size / 2;
        group.append(svg("path", {class: "tables-mark", d: `M${cx} ${cy - r}L${cx + r} ${cy}L${cx} ${cy + r}L${cx - r} ${cy}Z`}));
    }
    return group;
}

function hatch(id) {
    return svg("pattern", {id, width: 6, height: 6, patternUnits: "userSpaceOnUse", patternTransform: "rotate(45)"},
        svg("rect", {class: "hatch-back", width: 6, height: 6}), svg("path", {class: "hatch-line", d: "M0 0V6"}));
}

function draw() {
    makeView();
    const host = byId("map"), width = Math.max(host.clientWidth, 200), total = view.cells.length;
    const labels = width >= 420;
    const left = labels ? 12 + 7 * Math.max(hex(view.to).length, 8) : 0;
    // As many columns of a round number as there is room for, then cells as large as that allows.
    const [least, most] = total <= 300 ? [22, 30] : [13, 18], room = width - left - 4;
    const columns = [64, 48, 32, 24, 16, 8].find((n) => n * least <= room) || 4;
    const pitch = Math.min(Math.floor(room / columns), most);
    geometry = {columns, pitch, left};
    const rows = Math.max(Math.ceil(total / columns), 1);
    const picture = svg("svg", {width: left + columns * pitch + 4, height: rows * pitch + 4, role: "presentation",
        viewBox: `0 0 ${left + columns * pitch + 4} ${rows * pitch + 4}`}, svg("defs", {}, hatch("hatch")));
    view.cells.forEach((cell, i) => {
        const x = left + i % columns * pitch + 2, y = Math.floor(i / columns) * pitch + 2;
        if (labels && i % columns === 0)
            picture.append(svg("text", {class: "row-label", x: left - 8, y: y + pitch / 2 + 2, "text-anchor": "end"}, hex(cell.start)));
        picture.append(drawCell(cell, i, x, y, pitch - 2));
    });
    picture.append(svg("g", {id: "chosen"}));
    host.replaceChildren(picture);
    view.focus = Math.min(view.focus, Math.max(total - 1, 0));
    showChosen();
    drawLegend();
    byId("view").textContent = total === 0 ? "no memory"
        : `${span(view.from, view.to)}, ${pages(view.size)} a cell`;
    byId("zoom-out").disabled = byId("zoom-all").disabled = view.stack.length === 0;
}

function drawLegend() {
    const unknown = unknownNow(), all = {several: 0, one: 0, read: 0, ram: 0};
    for (const cell of view.cells) for (const key of Object.keys(all)) all[key] += cell[key];
    const rest = all.ram - all.several - all.one - all.read;
    const item = (words, amount, ...shapes) => el("li", {}, svg("svg", {width: 15, height: 15}, ...shapes), words,
        amount === null ? null : el("span", {class: "amount"}, pages(amount)));
    const square = (kind) => [svg("rect", {class: kind, x: 1, y: 1, width: 13, height: 13})];
    const one = view.filter ? "writable" : "writable by one";
    const items = [];
    if (!view.filter) items.push(item("writable by several", all.several, ...square("bar several")));
    items.push(item(one, all.one, ...square("bar one")), item("only readable", all.read, ...square("bar read")));
    items.push(unknown ? item(view.filter ? "unknown" : "unknown: some tables are missing", rest,
        svg("defs", {}, hatch("hatch-legend")), svg("rect", {x: 1, y: 1, width: 13, height: 13, fill: "url(#hatch-legend)"}))
        : item(view.filter ? "not reached" : "reached by nobody", rest, ...square("back")));
    items.push(item("crash region", null, svg("rect", {class: "back", x: 1, y: 1, width: 13, height: 13}),
        svg("rect", {class: "crash-mark", x: 2, y: 2, width: 11, height: 11})));
    items.push(item("IOMMU tables", null, svg("path", {class: "tables-mark", d: "M7.5 3L12 7.5L7.5 12L3 7.5Z"})));
    items.push(item("hole: no memory", null, svg("g", {class: "hole"},
        svg("rect", {class: "back", x: 1.5, y: 1.5, width: 12, height: 12}),
        ...[4.5, 7.5, 10.5].map((cx) => svg("circle", {class: "dots", cx, cy: 7.5, r: 1})))));
    byId("legend").replaceChildren(...items);
}

// ---- choosing ---------------------------------------------------------------------------------------------
function showChosen() {
    const host = byId("map"), chosen = byId("chosen");
    if (!chosen) return;
    chosen.replaceChildren();
    host.querySelectorAll('[aria-selected="true"]').forEach((g) => g.setAttribute("aria-selected", "false"));
    byId("zoom-in").disabled = !canZoom();
    if (!view.chosen) {
        host.removeAttribute("aria-activedescendant");
        return showDetails();
    }
    const [first, last] = view.chosen, {columns, pitch, left} = geometry;
    for (let i = first; i <= last && i < view.cells.length; i++)
        byId(`cell-${i}`).setAttribute("aria-selected", "true");
    for (let row = Math.floor(first / columns); row <= Math.floor(last / columns); row++) {
        const a = Math.max(first, row * columns), b = Math.min(last, row * columns + columns - 1);
        chosen.append(svg("rect", {class: "chosen-mark", x: left + a % columns * pitch + 1, y: row * pitch + 1,
            width: (b - a + 1) * pitch, height: pitch}));
    }
    host.setAttribute("aria-activedescendant", `cell-${view.focus}`);
    showDetails();
}
function choose(anchor, focus) {
    view.anchor = anchor;
    view.focus = focus;
    view.chosen = [Math.min(anchor, focus), Math.max(anchor, focus)];
    showChosen();
}
function letGo() {
    view.chosen = null;
    showChosen();
}
function chosenRange() {
    const [first, last] = view.chosen;
    return [view.cells[first].start, view.cells[last].end];
}

// ---- zooming ----------------------------------------------------------------------------------------------
function zoomTarget() {
    if (!view.chosen) return null;
    let [from, to] = chosenRange();
    // Holes at the ends say nothing.
    const inside = view.cells.slice(view.chosen[0], view.chosen[1] + 1).filter((c) => !c.hole);
    if (inside.length === 0) return null;
    from = inside[0].start;
    to = inside[inside.length - 1].end;
    if (from === view.from && to === view.to && view.stack.length > 0) return null;
    const smaller = inside.length > 1 && inside.length < view.cells.length;
    return smaller || sizeFor(from, to) < view.size ? [from, to] : null;
}
const canZoom = () => zoomTarget() !== null;
function redraw() {
    view.chosen = null;
    view.focus = 0;
    draw();
}
function zoomIn() {
    const target = zoomTarget();
    if (!target) return;
    view.stack.push(target);
    redraw();
}
function zoomOut() {
    if (view.stack.length === 0) return;
    const [from, to] = view.stack.pop();
    redraw();
    const first = view.cells.findIndex((c) => c.end > from), last = view.cells.findIndex((c) => c.end >= to);
    if (first >= 0 && last >= 0) choose(first, last);
}
function zoomAll() {
    view.stack = [];
    redraw();
}

// ---- details ----------------------------------------------------------------------------------------------
const SHOWN_RUNS = 16, SHOWN_NAMES = 8, SHOWN_TREES = 40;

function runTable(runs, limit) {
    return el("table", {class: "runs"}, ...runs.slice(0, limit).map(([a, b, rights]) => el("tr", {},
        el("td", {class: "mono"}, span(a, b)), el("td", {class: "number"}, pages(b - a)),
        rights ? el("td", {}, rightsWord(rights)) : null)));
}
// A list of exact ranges that grows when asked.
function runList(runs, all, where) {
    const box = el("div", {});
    const show = (limit) => {
        const more = runs.length > limit
            ? el("button", {type: "button", class: "link", click: () => show(runs.length)}, `Show all ${runs.length.toLocaleString("en")} ranges`) : null;
        const cut = all > runs.length
            ? el("p", {class: "hint"}, `${count(all - runs.length, "more range")} not kept in this page. All of them: cofferdam inspect ${where}`) : null;
        box.replaceChildren(runTable(runs, limit), ...[more, cut].filter(Boolean));
    };
    show(SHOWN_RUNS);
    return box;
}
function nameList(users) {
    const list = el("ul", {class: "names"});
    const show = (limit) => {
        const items = users.slice(0, limit).map((r) => el("li", {},
            el("button", {type: "button", class: "link mono", click: () => setFilter(r)}, r.label),
            r.what ? ` ${r.what}` : "", r.driver ? ` [${r.driver}]` : "", isUnknown(r) ? " (not all of its tables are known)" : ""));
        if (users.length > limit)
            items.push(el("li", {}, el("button", {type: "button", class: "link", click: () => show(users.length)},
                `and ${users.length - limit} more with the same tables`)));
        list.replaceChildren(...items);
    };
    show(SHOWN_NAMES);
    return list;
}
function treeDetails(tree, from, to) {
    const found = treeIn(tree, from, to);
    const outside = overlaps(tree.outsideRuns, from, to);
    if (found.read + found.write + outside.length === 0) return null;
    const words = [];
    if (found.write) words.push(`can write ${pages(found.write)}`);
    if (found.read) words.push(`can read ${pages(found.read)}`);
    const name = tree.users.length ? tree.users[0].label.split(" ")[0] : "";
    const block = el("div", {class: "who"}, tree.users.length ? nameList(tree.users) : el("p", {}, "a requester that this page leaves out"));
    if (words.length) {
        block.append(el("p", {}, words.join(", ") + (found.exact ? "" : " at least")));
        block.append(tree.everything ? el("p", {class: "hint"}, "as all of memory: nothing is translated")
            : runList(found.runs, found.complete ? found.runs.length : Math.max(found.all, found.runs.length + 1), `DUMP ranges ${name}`));
    }
    if (outside.length) block.append(el("p", {}, "outside memory"), runList(outside, outside.length, `DUMP ranges ${name}`));
    return block;
}

function shares(cell) {
    const bar = el("div", {class: "shares", "aria-hidden": "true"});
    for (const name of ["several", "one", "read"])
        if (cell[name]) {
            const part = el("span", {class: name});
            part.style.width = `${Math.max(100 * cell[name] / cell.ram, 1)}%`;
            bar.append(part);
        }
    return bar;
}
function totalsOf(first, last) {
    const all = {ram: 0, read: 0, one: 0, several: 0};
    for (const cell of view.cells.slice(first, last + 1)) for (const key of Object.keys(all)) all[key] += cell[key];
    return all;
}
function showDetails() {
    const host = byId("details");
    if (!view.chosen || view.cells.length === 0) {
        host.replaceChildren(el("p", {class: "hint"}, "Choose a cell to see who could read and write it, and where exactly."),
            ...overview());
        return;
    }
    const [from, to] = chosenRange(), all = totalsOf(...view.chosen);
    const out = [el("h3", {class: "mono", id: "details-range"}, span(from, to))];
    if (all.ram === 0) out.push(el("p", {}, `${pages(to - from)} of addresses without memory`));
    else {
        const rest = all.ram - all.several - all.one - all.read;
        out.push(el("p", {}, `${pages(all.ram)} of memory${all.ram < to - from ? `, and ${pages(to - from - all.ram)} of addresses without` : ""}`));
        out.push(shares(all));
        const lines = view.filter ? [[all.one, "writable"], [all.read, "only readable"]]
            : [[all.several, "writable by several"], [all.one, "writable by one"], [all.read, "only readable"]];
        lines.push([rest, unknownNow() ? "unknown" : view.filter ? "not reached" : "reached by nobody"]);
        out.push(el("table", {}, ...lines.filter(([n]) => n > 0).map(([n, words]) =>
            el("tr", {}, el("td", {}, words), el("td", {class: "number"}, pages(n)), el("td", {class: "number"}, percent(n, all.ram))))));
    }
    for (const [a, b] of overlaps(crash, from, to)) out.push(el("p", {}, el("span", {class: "tag"}, "crash region"), el("span", {class: "mono"}, span(a, b))));
    const tables = treeIn(map.tables, from, to);
    if (tables.write > 0)
        out.push(el("p", {}, el("span", {class: "tag"}, "IOMMU tables"), pages(tables.write)),
            runList(tables.runs.map(([a, b]) => [a, b, 0]), tables.complete ? tables.runs.length : tables.all, "DUMP walk REQUESTER"));
    const blocks = [];
    let more = 0;
    for (const tree of filterTrees()) {
        const block = treeDetails(tree, from, to);
        if (block && blocks.length < SHOWN_TREES) blocks.push(block);
        else if (block) more++;
    }
    out.push(...blocks);
    if (more > 0) out.push(el("p", {class: "hint"}, `and ${count(more, "more set")} of page tables. All of them: cofferdam inspect DUMP reach ${hex(from)}-${hexLast(to)}`));
    const hidden = filterTrees().filter((t) => !t.detailed).length;
    if (hidden > 0) out.push(el("p", {class: "hint"}, `The details of ${count(hidden, "set")} of page tables are not all in this page: there are too many. The colours count them.`));
    if (unknownNow()) out.push(el("p", {class: "hint"}, unknownWords(view.filter ? [view.filter] : unknownOnes)));
    host.replaceChildren(...out);
    host.scrollTop = 0;
}
function unknownWords(list) {
    if (data.units.length === 0) return "No IOMMU tables were found: nothing is known.";
    const names = list.slice(0, 4).map((r) => r.label).join(", ");
    const others = list.length > 4 ? ` and ${list.length - 4} more` : "";
    if (list.length === 0 && blindUnits.length === 0) return "The dump does not hold all that tells of units and requesters: there may be more of them, which may reach anything.";
    if (list.length === 0) return `The tables of ${blindUnits.map((u) => u.name).join(", ")} are not in the dump: what is behind may reach anything.`;
    return `Not all tables of ${names}${others} are in the dump: they may reach more than is shown.`;
}
// Nothing is chosen: who can write most.
function overview() {
    const whole = view.stack.length === 0;
    const list = filterTrees().filter((t) => t.users.length > 0)
        .map((t) => ({users: t.users, write: whole ? t.write_pages : treeIn(t, view.from, view.to).write}))
        .filter((t) => t.write > 0).sort((a, b) => b.write - a.write).slice(0, 8);
    if (list.length === 0) return [];
    return [el("h3", {}, view.filter ? "Could write" : whole ? "Could write most" : "Could write most here"), el("table", {}, ...list.map((t) => el("tr", {},
        el("td", {class: "address"}, el("button", {type: "button", class: "link mono", click: () => setFilter(t.users[0])}, t.users[0].label),
            t.users.length > 1 ? ` +${t.users.length - 1}` : ""),
        el("td", {}, t.users[0].driver || t.users[0].class || ""), el("td", {class: "number"}, pages(t.write)))))];
}

// ---- the tip ----------------------------------------------------------------------------------------------
function showTip(cell, x, y) {
    const tip = byId("tip"), words = describe(cell).split(", ");
    const lines = [el("div", {}, words[0]), ...words.slice(1).map((w) => el("div", {}, w))];
    const who = [];
    for (const tree of filterTrees()) {
        const found = treeIn(tree, cell.start, cell.end);
        const n = found.write + found.read + overlaps(tree.outsideRuns, cell.start, cell.end).length;
        if (n > 0) for (const user of tree.users) who.push(`${user.label}${user.driver ? ` [${user.driver}]` : ""}`);
    }
    if (who.length) lines.push(el("div", {}, who.slice(0, 5).join(", ") + (who.length > 5 ? ` and ${who.length - 5} more` : "")));
    tip.replaceChildren(...lines);
    tip.hidden = false;
    const box = tip.getBoundingClientRect(), right = document.documentElement.clientWidth;
    tip.style.left = `${Math.max(4, Math.min(x + 14, right - box.width - 8))}px`;
    tip.style.top = `${y + 18 + box.height > window.innerHeight ? Math.max(4, y - box.height - 10) : y + 18}px`;
}
const hideTip = () => { byId("tip").hidden = true; };

// ---- the mouse and the keys -------------------------------------------------------------------------------
function cellAt(event) {
    const group = event.target instanceof Element ? event.target.closest("[data-cell]") : null;
    return group ? Number(group.getAttribute("data-cell")) : -1;
}
let dragging = false;
function onDown(event) {
    const at = cellAt(event);
    if (at < 0 || event.button !== 0) return;
    dragging = event.pointerType === "mouse";
    choose(event.shiftKey && view.chosen ? view.anchor : at, at);
    byId("map").focus({preventScroll: true});
}
function onMove(event) {
    const at = cellAt(event);
    if (at < 0) return hideTip();
    if (dragging && (event.buttons & 1) && at !== view.focus) choose(view.anchor, at);
    showTip(view.cells[at], event.clientX, event.clientY);
}
function onKey(event) {
    const {columns} = geometry, last = view.cells.length - 1;
    const steps = {ArrowRight: 1, ArrowLeft: -1, ArrowDown: columns, ArrowUp: -columns, Home: -Infinity, End: Infinity,
        PageDown: 8 * columns, PageUp: -8 * columns};
    if (event.ctrlKey || event.altKey || event.metaKey || last < 0) return;
    hideTip();
    if (event.key in steps) {
        const focus = view.chosen ? Math.max(0, Math.min(last, view.focus + steps[event.key])) : view.focus;
        choose(event.shiftKey && view.chosen ? view.anchor : focus, focus);
        const group = byId(`cell-${focus}`);
        group.scrollIntoView({block: "nearest"});
    } else if (event.key === "Enter" || event.key === "+") zoomIn();
    else if (event.key === "-") zoomOut();
    else if (event.key === "Escape") letGo();
    else return;
    event.preventDefault();
}

// ---- the filter -------------------------------------------------------------------------------------------
function setFilter(requester) {
    view.filter = requester;
    byId("filter").value = requester ? String(requester.index) : "";
    const keep = view.chosen ? chosenRange() : null;
    draw();
    if (keep) {
        // The cells may have another size now.
        const first = view.cells.findIndex((c) => c.end > keep[0]), last = view.cells.findIndex((c) => c.end >= keep[1]);
        if (first >= 0 && last >= 0) choose(first, last);
        else letGo();
    }
    document.querySelectorAll("#requesters tr[data-requester]").forEach((row) =>
        row.classList.toggle("chosen", requester !== null && row.dataset.requester === String(requester.index)));
}
function fillFilter() {
    const select = byId("filter");
    select.append(el("option", {value: ""}, `all requesters (${data.requesters.length.toLocaleString("en")})`));
    for (const r of data.requesters)
        select.append(el("option", {value: r.index}, [r.label, r.what || r.class, r.driver ? `[${r.driver}]` : ""].filter(Boolean).join(" ")));
    select.addEventListener("change", () => setFilter(select.value === "" ? null : data.requesters[Number(select.value)]));
}

// ---- in short ---------------------------------------------------------------------------------------------
const SIGNS = {good: "✓ Good.", warn: "▲ Note.", bad: "✗ Bad."};
function verdict(kind, text) {
    byId("verdicts").append(el("li", {class: `verdict ${kind}`}, el("b", {}, SIGNS[kind]), text));
}
// Who can write pages that `what` counts, in words.
function writersOf(what, everythingToo) {
    const trees = usedTrees.filter((t) => t[what] > 0 || (everythingToo && t.everything && t.users.length > 0));
    const who = trees.flatMap((t) => t.users);
    return {who, most: trees.reduce((n, t) => Math.max(n, t[what]), 0)};
}
const names = (who) => who.slice(0, 4).map((r) => r.label).join(", ") + (who.length > 4 ? ` and ${who.length - 4} more` : "");
function protectedVerdict(name, size, what) {
    const {who, most} = writersOf(what, true);
    if (who.length > 0)
        verdict("bad", `${name} (${pages(size)}) could be written by ${count(who.length, "requester")}: ${names(who)}; up to ${pages(who.some((r) => r.treeData.everything) ? size : most)} of it by one.`);
    else if (anyUnknown) verdict("warn", `${name} (${pages(size)}): no known mapping could write there, but not all tables are in the dump.`);
    else if (data.units.some((u) => u.guess)) verdict("warn", `${name} (${pages(size)}) could be written by no device, if the guess about the tables is right.`);
    else verdict("good", `${name} (${pages(size)}) could be written by no device.`);
}
function fillVerdicts() {
    for (const u of data.units.filter((x) => x.off)) verdict("bad", `${u.name} did not translate: every device behind it could read and write all memory.`);
    const crashPages = sum(crash);
    if (crashPages > 0) protectedVerdict("The memory reserved for the capture kernel", crashPages, "crash_written");
    else verdict("warn", "The dump does not tell where the memory reserved for the capture kernel is.");
    if (map.tables.write_pages > 0) protectedVerdict("The memory of the IOMMU's own tables", map.tables.write_pages, "tables_written");
    const all = {several: 0, one: 0, read: 0};
    for (const cell of cells) for (const key of Object.keys(all)) all[key] += cell[key];
    if (totalRam > 0 && data.units.length > 0)
        verdict(all.several + all.one === totalRam ? "bad" : "warn", `${pages(all.one + all.several)} of ${pages(totalRam)} of memory (${percent(all.one + all.several, totalRam)}) could be written by devices, ${pages(all.several)} of it by several; ${pages(all.read)} could only be read.`);
    if (data.units.length === 0) verdict("bad", "No IOMMU tables were found. " + data.kernel_problem);
    if (data.units.some((u) => u.guess)) verdict("warn", "Where the tables are is a guess: a scan of memory for what looks like a root table.");
    const trusted = data.requesters.filter((r) => r.ats);
    if (trusted.length > 0) verdict("warn", `${count(trusted.length, "requester")} may send translated addresses (ATS), which are not checked again: ${names(trusted)}.`);
    if (data.units.length > 0 && anyUnknown) verdict("warn", unknownWords(unknownOnes));
    const bad = data.findings.filter((f) => f.severity === "error").length, odd = data.findings.filter((f) => f.severity === "warning").length;
    if (bad + odd > 0) verdict(bad > 0 ? "bad" : "warn", `Findings about the tables: ${count(bad, "error")}, ${count(odd, "warning")}.`);
    else verdict("good", "Nothing is wrong with the tables that were read.");
}
function fillFacts() {
    const fact = (name, value) => value ? el("div", {}, el("dt", {}, name), el("dd", {}, value)) : null;
    byId("version").textContent = data.cofferdam;
    byId("dump-name").textContent = data.dump.name;
    document.title = `${data.dump.name} – Cofferdam report`;
    byId("facts").append(...[fact("Kernel", data.dump.release), fact("Dump", data.dump.format + (data.dump.flattened ? ", flattened" : "")),
        fact("Memory", bytes(data.dump.ram) + (totalRam * PAGE > data.dump.ram ? `, and ${bytes(totalRam * PAGE - data.dump.ram)} of crash region` : "")), fact("In the dump", `${bytes(data.dump.held)} (${percent(data.dump.held, data.dump.ram)})`),
        fact("Tables known from", [...new Set(data.units.map((u) => u.origin))].join(", "))].filter(Boolean));
    byId("about-granule").textContent = map.granule_pages > 1
        ? `There is so much memory that pages are counted in groups of ${pages(map.granule_pages)}: one mapped page counts as a whole group.` : "";
}

// ---- tables -----------------------------------------------------------------------------------------------
function headRow(table, columns) {
    table.append(el("thead", {}, el("tr", {}, ...columns.map((c) => el("th", {class: c.number ? "number" : null, scope: "col"},
        c.sort ? el("button", {type: "button", click: c.sort}, c.name) : c.name)))));
}
function pageSizes(tree) {
    const names = ["4 KiB", "2 MiB", "1 GiB", "512 GiB", "256 TiB"];
    return (tree.leaves || []).map((n, level) => n > 0 ? `${n.toLocaleString("en")} × ${names[level]}`.replaceAll(" ", "\u00a0") : "").filter(Boolean).join(", ");
}
function modeOf(r) {
    const tree = r.treeData, words = r.kind === "translated" || !r.kind ? `${r.stage} stage` : r.kind;
    const unit = data.units.length > 1 && data.units[r.unit] ? `on ${data.units[r.unit].name}` : "";
    return [words, el("span", {class: "sub"}, unit), el("span", {class: "sub"}, tree && tree.levels && !tree.everything ? `${tree.levels} levels, root ${tree.root}` : "")];
}
function remarks(r) {
    const out = [];
    if (isUnknown(r)) out.push(el("span", {class: "tag warn"}, "unknown"), r.unknown ? "its entry is not in the dump" : `${count(r.treeData.unknown_tables, "table")} not in the dump`);
    if (r.finding) out.push(el("span", {class: "tag bad"}, "broken"), r.finding);
    if (r.ats) out.push(el("span", {class: "tag"}, "ATS"));
    if (r.treeData && r.treeData.findings > 0) out.push(el("span", {class: "tag warn"}, count(r.treeData.findings, "finding")));
    if (r.treeData && r.treeData.crash_written > 0) out.push(el("span", {class: "tag bad"}, "writes the crash region"));
    return out;
}
function requesterRow(r) {
    const tree = r.treeData, known = tree && !r.unknown;
    const outside = tree && tree.outsideRuns.length ? pages(sum(tree.outsideRuns)) + (tree.outside_cut ? " or more" : "") : "";
    return el("tr", {"data-requester": r.index},
        el("td", {class: "address"}, el("button", {type: "button", class: "link mono", title: "Show on the map",
            click: () => { setFilter(r); byId("map-section").scrollIntoView({block: "start"}); }}, r.label)),
        el("td", {}, r.what || r.class || "", el("span", {class: "sub"}, [r.what ? r.class : "", r.ids, r.driver ? `driver ${r.driver}` : ""].filter(Boolean).join(", "))),
        el("td", {class: "number"}, r.domain === undefined ? "" : String(r.domain)),
        el("td", {}, ...modeOf(r)),
        el("td", {class: "number"}, known ? pages(tree.write_pages) : r.unknown ? "unknown" : "0 B"),
        el("td", {class: "number"}, known ? pages(tree.read_pages) : r.unknown ? "unknown" : "0 B"),
        el("td", {class: "number"}, outside),
        el("td", {}, tree ? pageSizes(tree) : ""),
        el("td", {}, ...remarks(r)));
}
let order = {key: "index", up: true};
const keys = {
    index: (r) => r.index,
    write: (r) => r.treeData ? r.treeData.write_pages : -1,
    read: (r) => r.treeData ? r.treeData.read_pages : -1,
};
function fillRequesters() {
    const table = byId("requesters"), wanted = byId("find").value.trim().toLowerCase();
    const sortBy = (key) => () => {
        order = {key, up: order.key === key ? !order.up : key === "index"};
        fillRequesters();
    };
    const list = data.requesters.filter((r) => `${r.label} ${r.what} ${r.class} ${r.driver} ${r.ids}`.toLowerCase().includes(wanted));
    list.sort((a, b) => (keys[order.key](a) - keys[order.key](b)) * (order.up ? 1 : -1));
    table.replaceChildren();
    headRow(table, [{name: "Requester", sort: sortBy("index")}, {name: "What it is"}, {name: "Domain", number: true}, {name: "Mode"},
        {name: "Could write", number: true, sort: sortBy("write")}, {name: "Could read", number: true, sort: sortBy("read")},
        {name: "Outside memory", number: true}, {name: "Page sizes"}, {name: "Remarks"}]);
    table.append(el("tbody", {}, ...list.map(requesterRow)));
    byId("found").textContent = wanted ? `${list.length} of ${data.requesters.length}` : "";
    byId("requesters-note").textContent = data.requesters_left_out > 0
        ? `${count(data.requesters_left_out, "more requester")} left out of this page. All of them: cofferdam inspect DUMP devices`
        : data.requesters.length === 0 ? "No requester is known." : "";
    if (view.filter) setFilterRow();
}
function setFilterRow() {
    const row = document.querySelector(`#requesters tr[data-requester="${view.filter.index}"]`);
    if (row) row.classList.add("chosen");
}
function fillFindings() {
    const table = byId("findings");
    if (data.findings.length > 0) {
        headRow(table, [{name: "Severity"}, {name: "What"}, {name: "Unit"}, {name: "Requester"}, {name: "Address"}, {name: "Raw"}, {name: "IOVA"}, {name: "Repeats", number: true}]);
        const kinds = {error: "bad", warning: "warn", info: ""};
        table.append(el("tbody", {}, ...data.findings.map((f) => el("tr", {},
            el("td", {}, el("span", {class: `tag ${kinds[f.severity] || ""}`}, f.severity)), el("td", {}, f.text), el("td", {}, f.unit || ""),
            el("td", {class: "address"}, f.requester || ""), el("td", {class: "address"}, f.address), el("td", {class: "address"}, f.raw),
            el("td", {class: "address"}, f.iova), el("td", {class: "number"}, String(f.repeats))))));
    }
    const lost = data.findings_left_out > 0 ? `${count(data.findings_left_out, "more finding")} left out of this page.` : "";
    byId("findings-note").textContent = data.findings.length === 0 ? "None." : lost + (data.findings_lost ? " There were more than are kept." : "");
}
function fillUnits() {
    const table = byId("units");
    headRow(table, [{name: "Unit"}, {name: "Kind"}, {name: "Tables"}, {name: "Registers"}, {name: "Root table"}, {name: "Translation"}, {name: "Known from"}]);
    table.append(el("tbody", {}, ...data.units.map((u) => el("tr", {},
        el("td", {}, u.name, el("span", {class: "sub"}, `segment ${u.segment}`)), el("td", {}, u.kind), el("td", {}, u.mode),
        el("td", {class: "address"}, u.registers, el("span", {class: "sub"}, u.has_registers ? `CAP ${u.cap}` : ""), el("span", {class: "sub"}, u.has_registers ? `ECAP ${u.ecap}` : "")),
        el("td", {class: "address"}, u.root, el("span", {class: "sub"}, `RTADDR ${u.rtaddr}`)),
        el("td", {}, u.off ? el("span", {class: "tag bad"}, "off") : u.has_registers ? "on" : "not known; taken as on",
            u.readable || u.off ? "" : el("span", {class: "sub"}, el("span", {class: "tag warn"}, "root table not read"))),
        el("td", {}, u.origin)))));
}

// ---- light and dark ---------------------------------------------------------------------------------------
const wantsDark = window.matchMedia("(prefers-color-scheme: dark)");
let theme = null; // chosen by hand
const applyTheme = () => { document.documentElement.dataset.theme = theme || (wantsDark.matches ? "dark" : "light"); };
wantsDark.addEventListener("change", applyTheme);
byId("theme").addEventListener("click", () => {
    theme = document.documentElement.dataset.theme === "dark" ? "light" : "dark";
    applyTheme();
});

// ---- all of it --------------------------------------------------------------------------------------------
applyTheme();
fillFacts();
fillVerdicts();
fillFilter();
fillRequesters();
fillFindings();
fillUnits();
draw();
byId("find").addEventListener("input", fillRequesters);
byId("zoom-in").addEventListener("click", zoomIn);
byId("zoom-out").addEventListener("click", zoomOut);
byId("zoom-all").addEventListener("click", zoomAll);
const host = byId("map");
host.addEventListener("pointerdown", onDown);
host.addEventListener("pointermove", onMove);
host.addEventListener("pointerleave", hideTip);
window.addEventListener("pointerup", () => { dragging = false; });
host.addEventListener("dblclick", zoomIn);
host.addEventListener("keydown", onKey);
let width = host.clientWidth;
new ResizeObserver(() => {
    if (host.clientWidth === width) return;
    width = host.clientWidth;
    const keep = view.chosen ? [view.anchor, view.focus] : null;
    draw();
    if (keep) choose(...keep);
}).observe(host);
})();
