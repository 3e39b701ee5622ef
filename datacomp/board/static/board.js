// Sorting by the column heads and finding by method or author. Without this file everything is there, in the board's own order.
"use strict";

function valueOf(row, column, kind) {
  const value = row.cells[column].dataset.value ?? "";
  return kind === "text" ? value.toLowerCase() : Number(value);
}

function sort(head, ascending) {
  const table = head.closest("table");
  const body = table.tBodies[0];
  const kind = head.dataset.kind;
  const column = head.cellIndex;
  const turn = ascending ? 1 : -1;
  const rows = [...body.rows].sort((one, other) => {
    const a = valueOf(one, column, kind);
    const b = valueOf(other, column, kind);
    return a < b ? -turn : a > b ? turn : 0;
  });
  body.append(...rows);
  for (const each of table.tHead.rows[0].cells) each.removeAttribute("aria-sort");
  head.setAttribute("aria-sort", ascending ? "ascending" : "descending");
}

function makeSortable(head) {
  if (head.dataset.kind === "none") return;
  const button = document.createElement("button");
  button.type = "button";
  button.append(...head.childNodes);
  head.append(button);
  button.addEventListener("click", () => {
    const now = head.getAttribute("aria-sort");
    sort(head, now ? now === "descending" : head.dataset.kind !== "down");
  });
}

function find(wanted, rows, output) {
  const words = wanted.toLowerCase().split(/\s+/).filter(Boolean);
  let shown = 0;
  for (const row of rows) {
    const text = row.querySelector(".method").textContent.toLowerCase();
    row.hidden = !words.every((word) => text.includes(word));
    shown += !row.hidden;
  }
  for (const section of document.querySelectorAll("section.board")) {
    const empty = !section.querySelector("tbody tr:not([hidden])");
    section.querySelector(".scroll").hidden = empty;
    section.querySelector(".none").hidden = !empty;
  }
  output.textContent = words.length ? `${shown} of ${rows.length}` : "";
}

for (const head of document.querySelectorAll("table.sortable thead th")) makeSortable(head);

const form = document.querySelector("form.filter");
if (form) {
  const input = form.querySelector("input");
  const rows = [...document.querySelectorAll("section.board tbody tr")];
  form.hidden = false;
  form.addEventListener("submit", (event) => event.preventDefault());
  input.addEventListener("input", () => find(input.value, rows, form.querySelector("output")));
}

document.documentElement.classList.add("scripted");
