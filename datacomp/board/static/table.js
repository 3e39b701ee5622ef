// One table of a page: which rows and columns are seen, and in which order. Words of strangers become text nodes, never markup.
"use strict";

const FIRST_ROWS = 50; // as many are drawn at once, so that a table of thousands stays quick; the style hides the others until then

function make(name, properties = {}, ...children) {
  const made = Object.assign(document.createElement(name), properties);
  made.append(...children);
  return made;
}

const percent = (share, digits = 1) => (100 * share).toFixed(digits);

class Table {
  // `sorted(name, descending)` is told when a reader presses a column's head.
  constructor(table, sorted) {
    this.key = table.dataset.key ?? "";
    this.body = table.tBodies[0];
    this.head = table.tHead.rows[0];
    this.frame = table.closest(".scroll");
    this.measures = JSON.parse(table.dataset.measures ?? "[]"); // means, then tasks, in the order of each row's data-measured
    this.limits = JSON.parse(table.dataset.limits ?? "{}");
    this.rows = [...this.body.rows].map((row) => new Row(row));
    this.found = this.rows; // those that a view holds, in its order, drawn or not
    this.sorted = sorted;
    this.tasks = [];
    this.hide = new Set();
    const first = [...this.head.cells].find((head) => head.ariaSort);
    this.order = first && { name: first.dataset.name, descending: first.ariaSort === "descending" };
    for (const head of this.head.cells) this.makeSortable(head);
  }

  makeSortable(head) {
    if (head.dataset.kind === "none") return;
    const button = make("button", { type: "button" }, ...head.childNodes);
    head.append(button);
    button.addEventListener("click", () => {
      this.sorted(head.dataset.name, head.ariaSort ? head.ariaSort === "ascending" : head.dataset.kind === "down");
    });
  }

  get heads() {
    return [...this.head.cells];
  }

  // Show what a view wants: its task columns, hidden columns, rows that are `wanted` or pinned, in its order; all of them or the first ones.
  draw({ show, hide, pin, wanted, order, all }) {
    this.hide = hide;
    this.drawTaskHeads(this.measures.filter((measure) => !measure.mean && show.has(measure.name)));
    for (const head of this.head.cells) head.hidden = hide.has(head.dataset.name);
    const pinned = pin.map((slug) => this.rows.find((row) => row.slug === slug)).filter(Boolean);
    for (const row of this.rows) row.element.classList.toggle("pinned", pinned.includes(row));
    this.found = [...pinned, ...this.sort(this.rows.filter((row) => !pinned.includes(row) && wanted(row)), order)];
    const drawn = all ? this.found : this.found.slice(0, FIRST_ROWS);
    for (const row of drawn) row.draw(this);
    this.body.replaceChildren(...drawn.map((row) => row.element));
    return drawn.length;
  }

  drawTaskHeads(tasks) {
    if (tasks.length === this.tasks.length && tasks.every((task, place) => task === this.tasks[place])) return;
    for (const cell of this.head.querySelectorAll(".task")) cell.remove();
    this.tasks = tasks;
    for (const task of tasks) {
      const head = make("th", { className: "num task", scope: "col", role: "columnheader" }, task.title);
      Object.assign(head.dataset, { kind: "down", name: task.name });
      this.head.append(head);
      this.makeSortable(head);
    }
    this.frame.classList.toggle("more", tasks.length > 0);
  }

  sort(rows, wanted) {
    const order = this.heads.some((head) => head.dataset.name === wanted?.name) ? wanted : this.order;
    for (const each of this.head.cells) each.ariaSort = each.dataset.name === order?.name ? (order.descending ? "descending" : "ascending") : null;
    if (!order) return rows;
    const place = this.heads.findIndex((head) => head.dataset.name === order.name);
    const task = this.measures.findIndex((measure) => !measure.mean && measure.name === order.name);
    const value = (row) => (task < 0 ? row.value(place, this.head.cells[place].dataset.kind) : row.measured[task][0]);
    const turn = order.descending ? -1 : 1;
    return rows.map((row) => [row, value(row)]).sort(([, a], [, b]) => compareValues(a, b, turn)).map(([row]) => row);
  }
}

// What a cell has no value for stands last whichever way a table is sorted.
function compareValues(a, b, turn) {
  if (a === "" || b === "") return (a === "") - (b === "");
  return a < b ? -turn : a > b ? turn : 0;
}

class Row {
  constructor(element) {
    this.element = element;
    this.slug = element.dataset.slug ?? "";
    this.traits = (element.dataset.traits ?? "").split(" ");
    this.cells = [...element.cells]; // without those of tasks
    this.tasks = [];
  }

  get method() {
    return this.element.querySelector(".method bdi")?.textContent ?? "";
  }

  get text() {
    const { text, author } = this.element.dataset;
    return (this.words ??= (text === undefined ? this.element.textContent : `${this.method} ${author} ${text}`).toLowerCase());
  }

  // For each of the table's measures: value, standard error, variance from test samples, variance from seeds, and its degrees of freedom.
  get measured() {
    return (this.parsed ??= JSON.parse(this.element.dataset.measured));
  }

  value(place, kind) {
    const value = this.cells[place].dataset.value ?? "";
    return kind === "text" ? value.toLowerCase() : value === "" ? "" : Number(value);
  }

  // Bring the cells in line with the table's head.
  draw(table) {
    if (this.tasks !== table.tasks) {
      for (const cell of this.element.querySelectorAll(".task")) cell.remove();
      for (const task of table.tasks) this.element.append(taskCell(task, this.measured[table.measures.indexOf(task)]));
      this.tasks = table.tasks;
    }
    for (const [place, head] of table.heads.entries()) this.element.cells[place].hidden = head.hidden;
    if (!this.slug || this.pin) return;
    const box = make("input", { type: "checkbox", name: "pin", value: this.slug, ariaLabel: `Compare ${this.method}` });
    this.pin = make("label", { className: "pin" }, box, " compare");
    this.element.querySelector(".by").append(this.pin);
  }
}

function taskCell(task, [value, error]) {
  const cell = make("td", { className: "num task", role: "cell" }, make("span", { className: "value" }, percent(value)), " ");
  cell.append(make("span", { className: "error" }, `± ${percent(error)}`));
  Object.assign(cell.dataset, { label: task.title, value, error });
  return cell;
}
