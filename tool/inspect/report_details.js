// SPDX-License-Identifier: MIT
// What is told of the chosen cells; the tip, the mouse and the keys, the filter.
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
