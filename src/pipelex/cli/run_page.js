"use strict";
// Everything shown is written with textContent: what a model or a user wrote is never read as HTML.
const root = document.documentElement;
const data = JSON.parse(document.getElementById("data").textContent);
const canvas = document.getElementById("canvas");
const picture = canvas.querySelector("svg");
const sheet = document.getElementById("sheet");
root.classList.add("js");

function make(tag, text, style) {
  const made = document.createElement(tag);
  if (text !== undefined) made.textContent = text;
  if (style) made.className = style;
  return made;
}

function button(text, label, style, act) {
  const made = make("button", text, style);
  made.type = "button";
  made.setAttribute("aria-label", label);
  made.addEventListener("click", act);
  return made;
}

// Light and dark.

document.getElementById("theme").addEventListener("click", () => {
  const isDark = (root.style.colorScheme || (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light")) === "dark";
  root.style.colorScheme = isDark ? "light" : "dark";
});

// The graph: it scrolls like any page, a drag moves it, and zooming changes its size around a point.

const size = picture.viewBox.baseVal;
let scale = 1;

function zoom(to, x = canvas.clientWidth / 2, y = canvas.clientHeight / 2) {
  to = Math.min(4, Math.max(0.05, to));
  const left = (canvas.scrollLeft + x) / scale, top = (canvas.scrollTop + y) / scale;
  scale = to;
  picture.setAttribute("width", size.width * scale);
  picture.setAttribute("height", size.height * scale);
  canvas.scrollTo(left * scale - x, top * scale - y);
}

// A wide picture is not made so small that nobody can read it.
const fit = () => {
  zoom(Math.min(1, Math.max(0.72, canvas.clientWidth / size.width)));
  canvas.scrollLeft = (canvas.scrollWidth - canvas.clientWidth) / 2;
};
const whole = () => zoom(Math.min(1, canvas.clientWidth / size.width, 750 / size.height));
document.getElementById("larger").addEventListener("click", () => zoom(scale * 1.25));
document.getElementById("smaller").addEventListener("click", () => zoom(scale / 1.25));
document.getElementById("whole").addEventListener("click", whole);
canvas.addEventListener("wheel", (event) => {
  if (!event.ctrlKey && !event.metaKey) return;
  event.preventDefault();
  const box = canvas.getBoundingClientRect();
  zoom(scale * Math.exp(-event.deltaY / 300), event.clientX - box.left, event.clientY - box.top);
}, { passive: false });
canvas.parentElement.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  const act = { "+": () => zoom(scale * 1.25), "=": () => zoom(scale * 1.25), "-": () => zoom(scale / 1.25), "0": whole }[event.key];
  if (act) { event.preventDefault(); act(); }
});

let held = null, wasDragged = false;
canvas.addEventListener("pointerdown", (event) => {
  wasDragged = false;
  if (event.button === 0 && event.pointerType === "mouse") held = { x: event.clientX, y: event.clientY, left: canvas.scrollLeft, top: canvas.scrollTop };
});
addEventListener("pointermove", (event) => {
  if (!held) return;
  const x = event.clientX - held.x, y = event.clientY - held.y;
  if (!wasDragged && Math.hypot(x, y) < 5) return;
  wasDragged = true;
  canvas.classList.add("dragged");
  canvas.scrollTo(held.left - x, held.top - y);
});
addEventListener("pointerup", () => { held = null; canvas.classList.remove("dragged"); });

// What is told of a pipe.

let opener = null;

function text(part, name, index) {
  if (index === undefined) return;
  const shown = make("pre");
  for (const line of (data.texts[index] ?? "(left out: there is too much to tell)").trimEnd().split("\n")) {
    // A line that is broken goes on where its words began.
    const indent = /^ *(- )?/.exec(line)[0].length;
    const made = make("span", line);
    if (indent) made.style.cssText = `padding-left: ${indent}ch; text-indent: -${indent}ch`;
    shown.append(made);
  }
  shown.tabIndex = 0;
  part.append(make("h3", name), shown);
}

function pairs(part, entries) {
  const list = make("dl", undefined, "pairs");
  for (const [name, value] of entries) if (value) list.append(make("dt", name), make("dd", value));
  if (list.children.length) part.append(list);
}

function failure(part, index) {
  if (index !== undefined) part.append(make("p", data.texts[index] ?? "(left out)", "error lines"));
}

function tellCall(part, call, title, output) {
  part.append(make("h4", title));
  pairs(part, [["Model", call.model], ["State", call.state], ["Took", call.took], ["Waited", call.waited], ["Asked at", call.at && call.at + " UTC"],
    ["Attempts", String(call.attempts)], ["Tokens", call.tokens], ["Cost", call.cost], ["Queue", call.queue], ["Worker", call.worker], ["Activity", call.activity]]);
  failure(part, call.error);
  for (const [name, index] of call.asked ?? []) text(part, name.replace("_", " "), index);
  if (call.reply !== output) text(part, "reply", call.reply);
}

function tellRun(part, run) {
  const calls = run.calls ?? [];
  const own = calls.length ? [] : [["Tokens", run.tokens], ["Cost", run.cost]];
  pairs(part, [["State", run.state], ["Began at", run.at && run.at + " UTC"], ["Took", run.took], ...own, ["Workflow", run.workflow]]);
  failure(part, run.error);
  for (const [name, index] of run.inputs ?? []) text(part, "input " + name, index);
  if (run.unknown) part.append(make("p", run.unknown, "soft"));
  text(part, "output", run.output);
  calls.forEach((call, number) => tellCall(part, call, calls.length > 1 ? `Call ${number + 1}` : "Call", run.output));
}

function tell(key, wanted) {
  const place = data.places[key];
  const runs = place.runs ?? [];
  const head = [button("×", "Close", "close", close), make("h2", place.code)];
  head.push(make("p", [(place.kind ?? "").replace("Pipe", ""), place.model, place.told].filter(Boolean).join(" · "), "kind"));
  if (place.about) head.push(make("p", place.about, "about"));
  sheet.replaceChildren(...head);
  pairs(sheet, [["Reads", (place.reads ?? []).join(", ")], ["Gives", place.gives]]);
  const body = make("div");
  if (runs.length > 1) {
    const choice = make("select");
    choice.setAttribute("aria-label", "Which execution");
    runs.forEach((index, number) => {
      const run = data.runs[index];
      const option = make("option", [run.items ? "item " + run.items : "run " + (number + 1), run.state, run.took].filter(Boolean).join(" · "));
      option.value = index;
      choice.append(option);
    });
    const show = (index) => { choice.value = index; body.replaceChildren(); tellRun(body, data.runs[index]); mark(key, index); };
    const step = (by) => show(runs[(choice.selectedIndex + by + runs.length) % runs.length]);
    choice.addEventListener("change", () => show(Number(choice.value)));
    const which = make("div", undefined, "which");
    which.append(button("‹", "Previous", "", () => step(-1)), choice, button("›", "Next", "", () => step(1)));
    sheet.append(which, body);
    show(wanted ?? runs.find((index) => data.runs[index].state === "failed") ?? runs[0]);
  } else {
    sheet.append(body);
    if (runs.length) tellRun(body, data.runs[runs[0]]);
    mark(key, runs[0]);
  }
  const templates = make("div");
  for (const [name, index] of place.templates ?? []) text(templates, name, index);
  if (templates.children.length) { if (runs.length) templates.prepend(make("h4", "Declared")); sheet.append(templates); }
}

function mark(key, run) {
  for (const found of document.querySelectorAll(".chosen")) found.classList.remove("chosen");
  for (const found of document.querySelectorAll(`#canvas [data-place="${key}"], .gantt [data-run="${run}"]`)) found.classList.add("chosen");
}

// Beside the details the page is narrower and its lines break anew: what was picked stays where it was.
function beside(isOpen, picked) {
  const before = picked?.getBoundingClientRect().top;
  sheet.hidden = !isOpen;
  root.classList.toggle("open", isOpen);
  if (picked) scrollBy({ top: picked.getBoundingClientRect().top - before, behavior: "instant" });
}

function open(key, wanted, from) {
  opener = from;
  tell(key, wanted);
  beside(true, from);
  sheet.scrollTop = 0;
  reveal(canvas.querySelector(".chosen"));
  sheet.focus({ preventScroll: true });
}

// Moves the picture in its frame so that the chosen pipe is in sight.
function reveal(chosen) {
  if (!chosen) return;
  const box = chosen.getBoundingClientRect(), seen = canvas.getBoundingClientRect(), edge = 24;
  if (box.left < seen.left || box.right > seen.right) canvas.scrollLeft += Math.min(box.left - seen.left - edge, box.right - seen.right + edge);
  if (box.top < seen.top || box.bottom > seen.bottom) canvas.scrollTop += box.top - seen.top - edge;
}

function close() {
  beside(false, opener);
  mark(-1, -1);
  opener?.focus({ preventScroll: true });
}

document.addEventListener("click", (event) => {
  const picked = event.target.closest("[data-place], [data-run]");
  if (!picked || (wasDragged && canvas.contains(picked))) return;
  if (picked.dataset.place !== undefined) return open(Number(picked.dataset.place), undefined, picked);
  const run = Number(picked.dataset.run);
  open(data.places.findIndex((place) => place.runs?.includes(run)), run, picked);
});

document.addEventListener("keydown", (event) => {
  if (event.key === "Escape" && !sheet.hidden) return close();
  if ((event.key === "Enter" || event.key === " ") && event.target.matches("g[data-place]")) {
    event.preventDefault();
    open(Number(event.target.dataset.place), undefined, event.target);
  }
});

// A long result is folded: what follows it would be far away. What somebody looks for with the browser unfolds it.

const made = document.getElementById("made"), unfold = document.getElementById("unfold");
function fold(isFolded) {
  made.classList.toggle("folded", isFolded);
  unfold.textContent = isFolded ? "Show all of it" : "Show less";
  unfold.setAttribute("aria-expanded", String(!isFolded));
}
if (made && made.scrollHeight > 1000) {
  unfold.hidden = false;
  fold(true);
  unfold.addEventListener("click", () => {
    fold(!made.classList.contains("folded"));
    if (made.classList.contains("folded")) made.parentElement.scrollIntoView();
  });
  made.addEventListener("focusin", (event) => { if (event.target.matches(":focus-visible")) fold(false); });
  made.addEventListener("scroll", () => { made.scrollTop = 0; fold(false); });
}

// Of a long timeline one bar is reached with Tab, the others with the arrows.

const bars = [...document.querySelectorAll(".gantt button")];
let seen = bars;
document.getElementById("filter")?.addEventListener("input", (event) => {
  const words = event.target.value.toLowerCase().split(/\s+/).filter(Boolean);
  seen = bars.filter((bar) => words.every((word) => bar.textContent.toLowerCase().includes(word)));
  const found = document.getElementById("found"), kept = new Set(seen);
  for (const bar of bars) { bar.parentElement.hidden = !kept.has(bar); bar.tabIndex = bar === seen[0] ? 0 : -1; }
  found.hidden = !words.length;
  found.textContent = `${seen.length} of ${bars.length} calls`;
});
document.querySelector(".gantt ol")?.addEventListener("keydown", (event) => {
  const to = { ArrowDown: 1, ArrowUp: -1, Home: -seen.length, End: seen.length }[event.key];
  if (to === undefined) return;
  event.preventDefault();
  const at = Math.min(seen.length - 1, Math.max(0, seen.indexOf(document.activeElement) + to));
  for (const bar of bars) bar.tabIndex = -1;
  seen[at].tabIndex = 0;
  seen[at].focus();
});

fit();
