// A table's rows and columns as a reader chose them, as a file: rows beyond the first ones too, and numbers that are not rounded.
"use strict";

function seen(table) {
  return table.found.map((row) => {
    row.draw(table);
    const found = row.slug ? { entry: row.slug, author: row.element.dataset.author } : {};
    for (const [place, head] of table.heads.entries()) {
      if (head.hidden) continue;
      const { value = "", out = value, error, range } = row.element.cells[place].dataset;
      found[head.dataset.name] = head.dataset.kind === "text" ? out : out === "" ? null : Number(out);
      if (range) found[`${head.dataset.name} interval`] = range.replace("–", " to ");
      if (error) found[`${head.dataset.name} standard error`] = Number(error);
    }
    return found;
  });
}

// A spreadsheet would take words that open with one of these signs for a formula; an apostrophe makes them words.
function csvField(value) {
  const text = value === null || value === undefined ? "" : typeof value === "string" ? value.replace(/^[=+\-@\t\r]/, "'$&") : String(value);
  return /[",\n\r]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

function csv(rows) {
  const names = [...new Set(rows.flatMap(Object.keys))];
  return [names, ...rows.map((row) => names.map((name) => row[name]))].map((line) => `${line.map(csvField).join(",")}\r\n`).join("");
}

function download(table, form) {
  const rows = seen(table);
  const text = form === "csv" ? csv(rows) : `${JSON.stringify({ table: table.key, rows }, null, 1)}\n`;
  const address = URL.createObjectURL(new Blob([text], { type: form === "csv" ? "text/csv" : "application/json" }));
  make("a", { href: address, download: `${table.key}.${form}` }).click();
  setTimeout(() => URL.revokeObjectURL(address), 10_000);
}
