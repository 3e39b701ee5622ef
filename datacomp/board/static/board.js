// A page's controls. What a reader chose stands in the address behind the #, so that a link shows the same again.
"use strict";

const state = { find: "", all: false, only: new Set(), show: new Set(), hide: new Set(), pin: [], sort: new Map() };
const form = document.querySelector("form.filter");
const sections = [...document.querySelectorAll("table.sortable")].map((element) => {
  const table = new Table(element, (name, descending) => change(() => state.sort.set(table.key, { name, descending })));
  return { table, place: element.closest("section") };
});

function change(how) {
  const focused = document.activeElement;
  how();
  draw();
  if (focused.isConnected && focused !== document.activeElement) focused.focus({ preventScroll: true }); // rows that move lose it
  const words = written();
  if (form) history.replaceState(null, "", words ? `#${words}` : location.pathname + location.search);
}

// The state as the part of an address behind the #, and back. A fragment without "=" is the name of a place on the page.
function written() {
  const found = new URLSearchParams();
  if (state.find) found.set("find", state.find);
  if (state.all) found.set("all", "1");
  for (const name of ["only", "show", "hide"]) if (state[name].size) found.set(name, [...state[name]].join(","));
  for (const slug of state.pin) found.append("pin", slug);
  for (const [key, { name, descending }] of state.sort) found.append("sort", `${key},${name},${descending ? "down" : "up"}`);
  return found.toString();
}

function read() {
  const found = new URLSearchParams(location.hash.includes("=") ? location.hash.slice(1) : "");
  state.find = found.get("find") ?? "";
  state.all = found.get("all") === "1";
  for (const name of ["only", "show", "hide"]) state[name] = new Set((found.get(name) ?? "").split(",").filter(Boolean));
  const slugs = new Set(sections.flatMap(({ table }) => table.rows.map((row) => row.slug)));
  state.pin = [...new Set(found.getAll("pin"))].filter((slug) => slug && slugs.has(slug));
  state.sort = new Map(found.getAll("sort").map((text) => text.split(",")).map(([key, name, way]) => [key, { name, descending: way === "down" }]));
}

function wanted(words) {
  return (row) => words.every((word) => row.text.includes(word)) && [...state.only].every((trait) => row.traits.includes(trait));
}

function draw() {
  const words = state.find.toLowerCase().split(/\s+/).filter(Boolean);
  for (const { table, place } of sections) {
    const drawn = table.draw({ ...state, all: state.all || !form, wanted: wanted(words), order: state.sort.get(table.key) });
    if (!form) continue;
    place.querySelector(".scroll").hidden = !drawn;
    place.querySelector(".none").hidden = drawn > 0;
    place.querySelector(".rest").hidden = drawn === table.found.length;
    place.querySelector(".rest button").textContent = `Show all ${table.found.length.toLocaleString("en")} rows`;
    const compared = place.querySelector(".compared");
    if (compared) drawComparison(compared, table, state.pin);
  }
  const count = (which) => sections.reduce((sum, { table }) => sum + table[which].length, 0).toLocaleString("en");
  if (form) drawControls(words.length || state.only.size ? `${count("found")} of ${count("rows")}` : "");
}

function drawControls(found) {
  const input = form.elements.find;
  if (input.value !== state.find) input.value = state.find;
  for (const box of form.querySelectorAll("input[name=only]")) box.checked = state.only.has(box.value);
  for (const box of form.querySelectorAll("input[name=hide]")) box.checked = !state.hide.has(box.value);
  for (const box of form.querySelectorAll("input[name=show]")) box.checked = state.show.has(box.value);
  for (const box of document.querySelectorAll("input[name=pin]")) box.checked = state.pin.includes(box.value);
  form.querySelector("output").textContent = found;
  form.querySelector(".all").hidden = !written();
}

const toggle = (set, value, on) => (on ? set.add(value) : set.delete(value));

function checkbox(name, value, label) {
  return make("label", {}, make("input", { type: "checkbox", name, value }), ` ${label}`);
}

// The chooser of columns: those of the page, then the tasks by their groups, each once however many tables have it.
function fillChooser(chooser) {
  const columns = new Map(sections.flatMap(({ table }) => [...table.head.cells].map((head) => [head.dataset.name, head])));
  const own = [...columns].filter(([, head]) => !("fixed" in head.dataset));
  chooser.append(columnGroup("Columns", own.map(([name, head]) => checkbox("hide", name, head.textContent.trim()))));
  const groups = new Map();
  for (const task of sections.flatMap(({ table }) => table.measures).filter((measure) => !measure.mean)) {
    if (!groups.has(task.group)) groups.set(task.group, new Map());
    groups.get(task.group).set(task.name, checkbox("show", task.name, task.title));
  }
  for (const [title, boxes] of groups) {
    const fieldset = columnGroup(`Tasks: ${title}`, [...boxes.values()]);
    const all = make("button", { type: "button" }, "all or none");
    all.setAttribute("aria-label", `All or none of the tasks: ${title}`);
    all.addEventListener("click", () => change(() => {
      const on = ![...boxes.keys()].every((name) => state.show.has(name));
      for (const name of boxes.keys()) toggle(state.show, name, on);
    }));
    fieldset.firstChild.after(all);
    chooser.append(fieldset);
  }
}

function columnGroup(title, boxes) {
  return make("fieldset", {}, make("legend", {}, title), ...boxes);
}

function start() {
  fillChooser(form.querySelector(".chooser"));
  form.hidden = false;
  form.addEventListener("submit", (event) => event.preventDefault());
  form.elements.find.addEventListener("input", ({ target }) => change(() => (state.find = target.value)));
  form.addEventListener("change", ({ target }) => {
    if (target.name === "only" || target.name === "show") change(() => toggle(state[target.name], target.value, target.checked));
    if (target.name === "hide") change(() => toggle(state.hide, target.value, !target.checked));
  });
  form.querySelector(".all").addEventListener("click", () => {
    history.replaceState(null, "", location.pathname + location.search);
    read();
    draw();
    form.elements.find.focus();
  });
  for (const { table, place } of sections) {
    const bar = place.querySelector(".downloads");
    bar.hidden = false;
    for (const button of bar.querySelectorAll("button")) button.addEventListener("click", () => download(table, button.value));
    place.querySelector(".rest button").addEventListener("click", () => change(() => (state.all = true)));
  }
  document.addEventListener("change", ({ target }) => {
    if (target.name === "pin") change(() => (state.pin = [...state.pin.filter((slug) => slug !== target.value), ...(target.checked ? [target.value] : [])]));
  });
  addEventListener("hashchange", () => {
    read();
    draw();
  });
  read();
  draw();
}

if (form) start();
document.documentElement.classList.add("scripted");
