// Pinned entries of one table side by side: each mean and task, with the difference to the first one and its 99 % interval.
"use strict";

// The limit of the nearest known degrees of freedom that are no more than these; 0 stands for the normal distribution.
function limit(limits, freedom) {
  return limits[Math.max(...Object.keys(limits).map(Number).filter((known) => known <= freedom))];
}

// As datacomp/board/compare.py does it: variances add, and Welch's degrees of freedom choose the limit. `margin` is null where an error is unknown.
function difference(first, second, limits) {
  let [variance, spread] = [0, 0];
  for (const [, , sample, seed, freedom] of [first, second]) {
    variance += sample + (seed ?? 0);
    if (freedom) spread += seed ** 2 / freedom;
  }
  const known = first[2] !== null && second[2] !== null;
  const margin = Math.sqrt(variance) * limit(limits, spread ? Math.max(variance ** 2 / spread, 1) : 0);
  return { value: second[0] - first[0], margin: known ? margin : null, seeds: first[3] !== null && second[3] !== null };
}

const signed = (share) => `${share < 0 ? "−" : "+"}${percent(Math.abs(share), 2)}`;

function differenceCell(first, second, limits) {
  const { value, margin, seeds } = difference(first, second, limits);
  const noise = margin === null || Math.abs(value) <= margin;
  const cell = make("td", { className: `num difference ${noise ? "noise" : value > 0 ? "better" : "worse"}`, role: "cell" });
  cell.append(make("span", { className: "value" }, signed(value)), " ");
  const verdict = margin === null ? "not judged" : noise ? "within noise" : value > 0 ? "better" : "worse";
  const interval = margin === null ? "" : `${signed(value - margin)} to ${signed(value + margin)}${seeds ? "" : "*"}, `;
  cell.append(make("span", { className: "error" }, interval + verdict));
  return cell;
}

function comparisonHead(rows) {
  const head = make("tr", { role: "row" });
  for (const [place, row] of [{ method: "" }, ...rows].entries()) {
    const cell = make("th", { scope: "col", role: "columnheader", className: place ? "num" : "" });
    if (place) cell.append(make("bdi", {}, row.method));
    else cell.append(make("span", { className: "unseen" }, "Mean or task"));
    head.append(cell);
    if (place > 1) head.append(make("th", { scope: "col", role: "columnheader", className: "num" }, "difference to the first"));
  }
  return make("thead", { role: "rowgroup" }, head);
}

function comparison(table, rows) {
  const body = make("tbody", { role: "rowgroup" });
  for (const [place, measure] of table.measures.entries()) {
    const line = make("tr", { role: "row", className: measure.mean ? "mean" : "" });
    line.append(make("th", { scope: "row", role: "rowheader", className: "method" }, measure.title));
    for (const [number, row] of rows.entries()) {
      const value = make("td", { className: "num", role: "cell" }, percent(row.measured[place][0], 2));
      value.dataset.label = row.method;
      line.append(value);
      if (!number) continue;
      const cell = differenceCell(rows[0].measured[place], row.measured[place], table.limits);
      cell.dataset.label = "difference to the first";
      line.append(cell);
    }
    body.append(line);
  }
  return make("table", { role: "table", className: "comparison" }, comparisonHead(rows), body);
}

// Fill a section's place for comparisons with the pinned rows of its table, in the order in which they were pinned.
function drawComparison(place, table, pin) {
  const rows = pin.map((slug) => table.rows.find((row) => row.slug === slug)).filter(Boolean);
  place.hidden = rows.length < 2;
  const frame = place.querySelector(".scroll");
  frame.replaceChildren(...(place.hidden ? [] : [comparison(table, rows)]));
}
