// Finding and ordering pairs, and enlarging one. Without this script everything is there, in the order drawn.
"use strict";

const lists = [...document.querySelectorAll("#wall .cards")];

function find(wanted, output) {
  const words = wanted.toLowerCase().split(/\s+/).filter(Boolean);
  let shown = 0;
  let all = 0;
  for (const list of lists) {
    let here = 0;
    for (const card of list.children) {
      card.hidden = !words.every((word) => card.dataset.words.includes(word));
      here += !card.hidden;
    }
    list.hidden = here === 0;
    list.nextElementSibling.hidden = here > 0;
    shown += here;
    all += list.children.length;
  }
  output.textContent = words.length ? `${shown} of ${all}` : "";
}

function order(key) {
  const turn = key === "drawn" ? 1 : -1; // the highest first
  for (const list of lists) {
    list.append(...[...list.children].sort((one, other) => turn * (Number(one.dataset[key]) - Number(other.dataset[key]))));
  }
}

const dialog = document.createElement("dialog");
dialog.setAttribute("aria-label", "One pair, enlarged");
let current = null;

function show(card) {
  if (!card) return;
  current = card;
  const copy = card.querySelector("figure").cloneNode(true);
  const button = copy.querySelector(".frame-of button");
  if (button) button.replaceWith(...button.childNodes);
  for (const details of copy.querySelectorAll("details")) details.open = true;
  const bar = document.createElement("div");
  bar.className = "bar-of";
  for (const [words, act] of [["Previous", () => step(-1)], ["Next", () => step(1)], ["Close", () => dialog.close()]]) {
    const made = document.createElement("button");
    made.type = "button";
    made.textContent = words;
    made.addEventListener("click", act);
    bar.append(made);
  }
  const held = [...dialog.querySelectorAll("button")].indexOf(document.activeElement);
  dialog.replaceChildren(copy, bar);
  if (!dialog.open) dialog.showModal();
  bar.children[held === -1 ? 2 : held].focus();
}

function step(by) {
  const cards = [...current.parentElement.children].filter((card) => !card.hidden);
  show(cards[(cards.indexOf(current) + by + cards.length) % cards.length]);
}

function makeZoomable(card) {
  const picture = card.querySelector(".frame-of > img, .frame-of > .gone");
  const button = document.createElement("button");
  button.type = "button";
  button.setAttribute("aria-label", "Enlarge this pair");
  picture.replaceWith(button);
  button.append(picture);
  button.addEventListener("click", () => show(card));
}

document.body.append(dialog);
dialog.addEventListener("keydown", (event) => {
  if (event.key === "ArrowLeft") step(-1);
  if (event.key === "ArrowRight") step(1);
});
dialog.addEventListener("click", (event) => {
  if (event.target === dialog) dialog.close();
});
dialog.addEventListener("close", () => current.querySelector(".frame-of button").focus());
for (const card of document.querySelectorAll(".card")) makeZoomable(card);

const form = document.querySelector("form.filter");
if (lists.length) {
  form.hidden = false;
  form.addEventListener("submit", (event) => event.preventDefault());
  form.querySelector("input").addEventListener("input", (event) => find(event.target.value, form.querySelector("output")));
  form.querySelector("select").addEventListener("change", (event) => order(event.target.value));
}

document.documentElement.classList.add("scripted");
