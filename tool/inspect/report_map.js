// SPDX-License-Identifier: MIT
// The map: which cells are seen, how they are drawn, choosing some of them, going in and out.
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
