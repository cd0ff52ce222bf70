"use strict";
// Everything in `data` may come from a warehouse or a stranger: it is only ever set as text, never as HTML.
const data = JSON.parse(document.getElementById("data").textContent);
const byId = new Map(data.nodes.map((node) => [node.id, node]));
const at = (id) => document.getElementById(id);
const LABELS = {
  passed: "passed", warned: "warned", failed: "failed", error: "error", skipped: "skipped", none: "no result", exposure: "exposure",
};

function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value !== null && value !== undefined) element.setAttribute(name, value);
  }
  element.append(...children.filter((child) => child !== null && child !== undefined));
  return element;
}

// Only addresses of pages become links: a profile or a project may hold any text.
function link(text, href) {
  return /^https?:\/\//.test(href || "") ? make("a", { href, rel: "noreferrer" }, text) : make("span", {}, text);
}

function outcome(kind) {
  return make("span", { class: `outcome ${kind}` }, LABELS[kind] || kind);
}

function table(headers, rows) {
  const head = headers.map(([text, kind]) => make("th", { scope: "col", class: kind }, text));
  const body = rows.map((cells) => make("tr", {}, ...cells.map((cell, i) => make("td", { class: headers[i][1] }, cell))));
  return make("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": headers.map(([text]) => text).filter(Boolean).join(", ") },
    make("table", {}, make("thead", {}, make("tr", {}, ...head)), make("tbody", {}, ...body)));
}

function show(id, title, ...content) {
  at(id).append(...content);
  at(id).hidden = false;
  if (title) at("sections").append(make("a", { href: `#${id}` }, title));
}

const seconds = (value) => (value === null ? "" : value.toFixed(2));

function head() {
  at("title").textContent = data.title;
  for (const [term, text, href] of data.facts) {
    at("facts").append(make("div", {}, make("dt", {}, term), make("dd", {}, link(text, href))));
  }
  if (data.notes.length) show("notes", "", make("ul", {}, ...data.notes.map((note) => make("li", {}, note))));
}

function failures() {
  const parts = data.failures.map((failure) => make("article", {},
    make("h3", {}, outcome(failure.outcome), " ", link(failure.label, failure.href)),
    make("pre", { tabindex: "0" }, failure.text),
    failure.alike.length ? make("p", {}, `The same in ${failure.alike.length} more: ${failure.alike.join(", ")}`) : null,
    failure.sql ? make("details", {}, make("summary", {}, "Compiled SQL"), make("pre", { tabindex: "0" }, failure.sql)) : null));
  if (data.failures_left) parts.push(make("p", { class: "quiet" }, `… and ${data.failures_left} more: the table of nodes has all of them.`));
  if (parts.length) show("failures", "What went wrong", ...parts);
}

function changes() {
  const rows = data.changes.map((change) => [link(change.path, change.href), change.status, change.effect]);
  if (rows.length) show("changes", "What changed", table([["file", "text"], ["change", "word"], ["effect", "text"]], rows));
}

function compared() {
  const parts = data.compared.map((one) => make("article", {},
    make("h3", {}, link(one.label, one.href), `: ${one.headline}`),
    make("pre", { tabindex: "0" }, one.text)));
  for (const { why, names } of data.not_compared) parts.push(make("p", {}, `Not compared (${why}): ${names.join(", ")}`));
  if (data.identical.length) parts.push(make("p", {}, `Identical: ${data.identical.join(", ")}`));
  if (parts.length) show("compared", "Compared", ...parts);
}

function details(node) {
  const facts = [
    ["outcome", outcome(node.worst)], ["says", node.says], ["selected", node.why], ["kind", node.kind], ["relation", node.relation],
    ["contents", node.compared],
    ["owner", node.owner], ["seconds", node.seconds === null ? null : seconds(node.seconds)],
  ].filter(([, value]) => value);
  const tests = node.tests.map((id) => byId.get(id)).filter(Boolean);
  at("details").replaceChildren(
    make("h3", {}, link(node.name, node.href)),
    make("dl", {}, ...facts.map(([term, value]) => make("div", {}, make("dt", {}, term), make("dd", {}, value)))),
    make("p", {}, tests.length ? `${tests.length} test${tests.length > 1 ? "s" : ""}:` : "no tests in this run"),
    make("ul", {}, ...tests.map((test) => make("li", {}, outcome(test.outcome), ` ${test.name}`, says(test)))));
}

function says(node) {
  return node.says ? make("div", { class: "quiet" }, node.says) : null;
}

let graph = null;
const WIDTH = 170;

function choose(node) {
  details(node);
  if (!graph) return;
  const element = graph.getElementById(node.id);
  if (element.empty()) return;
  graph.elements().removeClass("near far");
  const near = element.predecessors().union(element.successors()).union(element);
  graph.elements().difference(near).addClass("far");
  element.addClass("near");
  graph.animate({ center: { eles: element }, duration: matchMedia("(prefers-reduced-motion: reduce)").matches ? 0 : 200 });
}

// A layered drawing with few crossings takes minutes for thousands of nodes: those stand in plain layers, each in as many
// columns as keep the picture as wide as it is high, so that nodes are seen in it. Parents come first in `drawn`.
function columns(drawn, edges) {
  const rows = Math.ceil(Math.sqrt(2.8 * drawn.length));
  const layerOf = new Map(drawn.map(({ id }) => [id, 0]));
  for (const [from, to] of edges) layerOf.set(to, Math.max(layerOf.get(to), layerOf.get(from) + 1));
  const layers = Array.from({ length: Math.max(...layerOf.values()) + 1 }, () => []);
  for (const { id } of drawn) layers[layerOf.get(id)].push(id);
  const positions = {};
  let column = 0;
  for (const ids of layers) {
    const middle = (Math.min(ids.length, rows) - 1) / 2;
    ids.forEach((id, i) => { positions[id] = { x: (column + Math.floor(i / rows)) * (WIDTH + 60), y: ((i % rows) - middle) * 48 }; });
    column += Math.ceil(ids.length / rows);
  }
  return { name: "preset", positions: (node) => positions[node.id()], fit: true, padding: 20 };
}

function layout(drawn, edges) {
  if (drawn.length > 300) return columns(drawn, edges);
  const layers = new dagre.graphlib.Graph();
  layers.setGraph({ rankdir: "LR", nodesep: 14, ranksep: 60 });
  layers.setDefaultEdgeLabel(() => ({}));
  for (const node of drawn) layers.setNode(node.id, { width: WIDTH, height: 34 });
  for (const [from, to] of edges) layers.setEdge(from, to);
  dagre.layout(layers);
  const positions = Object.fromEntries(drawn.map(({ id }) => { const { x, y } = layers.node(id); return [id, { x, y }]; }));
  const bends = Object.fromEntries(edges.map(([from, to]) => [
    [from, to], bend(positions[from], positions[to], layers.edge(from, to).points)]));
  return { name: "preset", positions: (node) => positions[node.id()], bends, fit: true, padding: 20 };
}

// An edge that skips layers goes around the nodes there, by the points (but for both ends) that were left free for it:
// how far each lies along the line from the one node's right side to the other's left, from 0 to 1, and how far beside it.
function bend(from, to, points) {
  const [dx, dy] = [to.x - from.x - WIDTH, to.y - from.y];
  const length = Math.hypot(dx, dy);
  return points.length < 4 ? undefined : points.slice(1, -1).map(({ x, y }) => ({
    along: ((x - from.x - WIDTH / 2) * dx + (y - from.y) * dy) / length ** 2,
    beside: ((y - from.y) * dx - (x - from.x - WIDTH / 2) * dy) / length,
  }));
}

function impact() {
  if (!data.nodes.some((node) => node.drawn)) return;
  show("impact", "Impact");
  for (const kind of ["passed", "warned", "failed", "skipped", "exposure"]) {
    const swatch = make("span", {});
    swatch.style.borderColor = `var(--${kind})`;
    if (kind === "failed") swatch.style.background = "var(--failed)";
    at("legend").append(make("li", {}, swatch, LABELS[kind]));
  }
  at("legend").append(make("li", {}, "thick border: modified or new"));
  if (data.identical.length) at("legend").append(make("li", {}, "filled: identical to the base"));
}

function draw() {
  const drawn = data.nodes.filter((node) => node.drawn);
  if (!drawn.length) return;
  const ids = new Set(drawn.map((node) => node.id));
  const edges = drawn.flatMap((node) => node.parents.filter((p) => ids.has(p)).map((p) => [p, node.id]));
  const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
  const kinds = { passed: "passed", warned: "warned", failed: "failed", error: "failed", skipped: "skipped", none: "skipped", exposure: "exposure" };
  const style = () => [
    { selector: "node", style: {
      label: "data(label)", shape: "round-rectangle", width: WIDTH, height: 34, "text-valign": "center", "font-size": 11,
      "text-max-width": 160, "text-wrap": "ellipsis", color: colour("text"), "background-color": colour("sheet"), "border-width": 2 } },
    ...Object.entries(kinds).map(([kind, name]) => ({ selector: `node[worst = "${kind}"]`, style: { "border-color": colour(name) } })),
    { selector: "node[?identical]", style: { "background-color": colour("line") } },
    // Seen from far away, too, where no border is.
    { selector: "node[worst = 'failed'], node[worst = 'error']", style: { "background-color": colour("failed"), color: colour("page") } },
    { selector: "node[?changed]", style: { "border-width": 5, "font-weight": "bold" } },
    { selector: "node[worst = 'skipped'], node[worst = 'none']", style: { "border-style": "dashed" } },
    { selector: "node[worst = 'exposure']", style: { shape: "round-hexagon" } },
    { selector: "edge", style: { width: 2.5, "line-color": colour("edge"), "target-arrow-color": colour("edge"),
      "target-arrow-shape": "triangle", "curve-style": "straight", "arrow-scale": 0.8, "source-endpoint": "90deg", "target-endpoint": "-90deg" } },
    { selector: "edge[bend]", style: {
      "curve-style": "round-segments", "segment-radii": 40, "edge-distances": "endpoints",
      "segment-weights": (edge) => edge.data("bend").map((at) => at.along),
      "segment-distances": (edge) => edge.data("bend").map((at) => at.beside) } },
    { selector: ".far", style: { opacity: 0.25 } },
    { selector: ".near", style: { "overlay-color": colour("link"), "overlay-opacity": 0.15 } },
  ];
  const places = layout(drawn, edges);
  graph = cytoscape({
    container: at("graph"),
    elements: [
      ...drawn.map((node) => ({ data: { id: node.id, label: node.name, worst: node.worst, changed: node.changed, identical: node.identical } })),
      ...edges.map(([source, target]) => ({ data: { source, target, bend: places.bends?.[[source, target]] } })),
    ],
    layout: places,
    style: style(), minZoom: 0.02, maxZoom: 3, hideEdgesOnViewport: drawn.length > 600, textureOnViewport: drawn.length > 600,
    pixelRatio: drawn.length > 600 ? 1 : "auto",
  });
  // A few nodes need not fill the picture.
  const fit = () => { graph.fit(undefined, 20); if (graph.zoom() > 1.2) { graph.zoom(1.2); graph.center(); } };
  fit();
  graph.on("tap", "node", (event) => choose(byId.get(event.target.id())));
  graph.on("tap", (event) => { if (event.target === graph) graph.elements().removeClass("near far"); });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => graph.style(style()));
  const zoom = (factor) => graph.zoom({ level: graph.zoom() * factor, renderedPosition: { x: graph.width() / 2, y: graph.height() / 2 } });
  at("closer").addEventListener("click", () => zoom(1.4));
  at("further").addEventListener("click", () => zoom(1 / 1.4));
  at("fit").addEventListener("click", fit);
  at("find").addEventListener("input", () => find(drawn));
  at("find").addEventListener("keydown", (event) => {
    const first = matches(drawn)[0];
    if (event.key === "Enter" && first) choose(first);
  });
  // A canvas keeps the colours of the screen, and prints only what is in view.
  const root = document.documentElement.classList;
  addEventListener("beforeprint", () => {
    root.add("printed");
    graph.style(style());
    const src = graph.png({ full: true, bg: colour("page"), maxWidth: 2000, maxHeight: 2000 });
    at("graph").after(make("img", { id: "printed", src, alt: "Graph of what was built; the table of nodes holds the same" }));
  });
  addEventListener("afterprint", () => { root.remove("printed"); at("printed").remove(); graph.style(style()); });
  window.graph = graph;
}

function matches(drawn) {
  const text = at("find").value.trim().toLowerCase();
  return text ? drawn.filter((node) => node.name.toLowerCase().includes(text) || (LABELS[node.worst] || "").includes(text)) : [];
}

function find(drawn) {
  const found = matches(drawn);
  graph.elements().removeClass("near far");
  if (!at("find").value.trim()) { at("found").textContent = ""; return; }
  at("found").textContent = found.length ? `${found.length} of ${drawn.length} nodes` : "no node";
  const ids = new Set(found.map((node) => node.id));
  graph.batch(() => graph.nodes().forEach((node) => { node.addClass(ids.has(node.id()) ? "near" : "far"); }));
  if (found.length) graph.fit(graph.nodes(".near"), 60);
}

function nodes() {
  if (!data.nodes.length) return;
  const order = ["error", "failed", "warned", "none"];
  const rank = (node) => (order.includes(node.outcome) ? order.indexOf(node.outcome) : order.length);
  const worstFirst = data.nodes.filter((node) => node.worst !== "exposure").sort((a, b) => rank(a) - rank(b));
  const rows = worstFirst.map((node) => {
    const name = make("button", { type: "button", class: "name" }, node.name);
    name.addEventListener("click", () => { choose(node.drawn ? node : byId.get(node.about) || node); at("details").focus(); });
    const named = make("span", {}, at("impact").hidden ? node.name : name, ["warned", "skipped"].includes(node.outcome) ? says(node) : null);
    return [outcome(node.outcome), named, node.kind, node.why, link(node.file, node.href), seconds(node.seconds)];
  });
  show("nodes", "Nodes and tests", table([["outcome"], ["name", "text"], ["kind", "word"], ["selected because", "text"], ["file", "text"], ["seconds", "number"]], rows));
}

function timeline() {
  const timed = data.nodes.filter((node) => node.started !== null && node.seconds !== null);
  if (!timed.length) return;
  const first = Math.min(...timed.map((node) => node.started));
  const span = Math.max(...timed.map((node) => node.started + node.seconds)) - first || 1;
  const critical = new Set(data.critical);
  const lanes = new Map();
  for (const node of timed) lanes.set(node.thread, [...(lanes.get(node.thread) || []), node]);
  const drawn = [...lanes.keys()].sort().map((thread) => make("div", { class: "lane", title: thread }, ...lanes.get(thread).map((node) => {
    const says = `${node.name}: ${seconds(node.seconds)} s from ${(node.started - first).toFixed(2)} s${critical.has(node.id) ? ", on the critical path" : ""}`;
    const bar = make("div", { class: `bar ${node.outcome}${critical.has(node.id) ? " critical" : ""}`, title: says });
    bar.style.left = `${(100 * (node.started - first)) / span}%`;
    bar.style.width = `${(100 * node.seconds) / span}%`;
    return bar;
  })));
  const path = data.critical.map((id) => byId.get(id)).filter(Boolean);
  show("timeline", "Timeline",
    make("p", {}, `${lanes.size} thread${lanes.size > 1 ? "s" : ""}, a row each, ${span.toFixed(1)} seconds. The outlined nodes are the critical path: each needed the one before it, and the last one ended the build.`),
    make("div", { role: "img", "aria-label": "Nodes over time, a row for each thread" }, ...drawn),
    make("div", { class: "axis" }, make("span", {}, "0 s"), make("span", {}, `${span.toFixed(1)} s`)),
    make("ol", { "aria-label": "Critical path" }, ...path.map((node) => make("li", {}, node.name + (node.seconds === null ? "" : ` · ${seconds(node.seconds)} s`)))));
}

function cost() {
  const paid = data.nodes.filter((node) => node.seconds).sort((a, b) => b.seconds - a.seconds);
  if (!paid.length) return;
  const total = paid.reduce((sum, node) => sum + node.seconds, 0);
  const rows = paid.slice(0, 20).map((node) => {
    const bar = make("div", { class: "share" });
    bar.style.width = `${(100 * node.seconds) / paid[0].seconds}%`;
    return [node.name, node.kind, seconds(node.seconds), `${((100 * node.seconds) / total).toFixed(1)} %`, bar];
  });
  show("cost", "What it cost",
    make("p", {}, `${total.toFixed(1)} seconds of work by dbt and the warehouse, summed over ${paid.length} nodes and tests${paid.length > 20 ? "; the 20 dearest" : ""}:`),
    table([["node", "text"], ["kind", "word"], ["seconds", "number"], ["share", "number"], [""]], rows));
}

for (const part of [head, failures, changes, compared, impact, nodes, timeline, cost]) part();
document.body.dataset.ready = "text";
// What can be read is there before the picture, which takes seconds for thousands of nodes.
setTimeout(() => { draw(); document.body.dataset.ready = "all"; }, 50);
