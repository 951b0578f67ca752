// Pictures asked for: progress, the strip of what was painted, and what can be taken away.

import * as api from "./api.js";
import { $, clamp, complain, make, round, say, sentence } from "./dom.js";
import * as geometry from "./geometry.js";
import * as state from "./state.js";

export const tasks = new Map();  // id → what the server says of it
export let shown = null;  // the id of the task whose picture is looked at, or null
const MOST = 12;  // pictures at hand: each may take 16 MB
const pictures = new Map();  // path → picture
const pending = new Set();
let redraw = () => {};
let opened = () => {};
let rested = () => {};

export function begin(session, hooks) {
  ({ redraw, opened, rested } = hooks);
  session.tasks.forEach((task) => tasks.set(task.id, task));
  shown = session.tasks.find((task) => task.state === "running")?.id ?? null;
  const source = api.events(async ({ changed, known }) => {
    if (changed.some(({ asked }) => !state.files.has(asked.painting) || !state.files.has(asked.element))) state.learn(await api.session());
    changed.forEach(take);
    for (const id of tasks.keys()) if (!known.includes(id)) { tasks.delete(id); if (shown === id) look(null); }
    show();
    redraw();
    if (![...tasks.values()].some((task) => task.state === "running")) rested();
  });
  source.onerror = () => complain("#go-error", "The studio does not answer; is it still running?");
  source.onopen = () => complain("#go-error", null);
  show();
}

function take(task) {
  const before = tasks.get(task.id);
  tasks.set(task.id, task);
  if (before?.state === task.state) return;
  if (task.state === "done") say(`Painted: ${task.result.name}`);
  if (task.state === "failed") complain("#go-error", task.error);
  if (task.state === "failed" && shown === task.id) look(null);
}

export function look(id) {
  shown = id;
  show();
  redraw();
}

// A picture of the server's, once it is here; until then null. The last used are kept.
export function picture(path) {
  const found = pictures.get(path);
  if (found) {
    pictures.delete(path);
    pictures.set(path, found);
    return found;
  }
  if (!pending.has(path)) {
    pending.add(path);
    api.picture(path).then((image) => keep(path, image), () => {}).finally(() => pending.delete(path));
  }
  return null;
}

function keep(path, image) {
  pictures.set(path, image);
  for (const old of [...pictures.keys()].slice(0, -MOST)) pictures.delete(old);
  redraw();
}

// The picture of the task that is looked at: the finished one, or the latest of those so far.
let growing = { id: null, image: null, count: 0 };
export function current() {
  const task = tasks.get(shown);
  if (!task) return null;
  if (task.state === "done") return { task, image: picture(`/api/tasks/${task.id}/view`) ?? (growing.id === task.id ? growing.image : null) };
  if (growing.id !== task.id) growing = { id: task.id, image: null, count: 0 };
  if (task.pictures > growing.count) {
    const wanted = { id: task.id, count: task.pictures };
    growing.count = task.pictures;
    api.picture(`/api/tasks/${task.id}/growing?n=${task.pictures}`).then((image) => {
      if (growing.id === wanted.id) { growing.image = image; redraw(); }
    }, () => {});
  }
  return { task, image: growing.image };
}

export async function ask(preset) {
  complain("#go-error", null);
  const { painting, element, placement, options } = state.doc;
  try {
    const task = await api.paint({ painting, element, placement, preset, options });
    if (!tasks.has(task.id)) take(task);
    const failed = tasks.get(task.id).state === "failed";  // at once
    if (!failed && ![...tasks.values()].some((other) => other.id !== task.id && other.state === "running")) look(task.id);
    say("Asked for.");
    show();
  } catch (error) { complain("#go-error", error); }
}

// --- what is shown of it --------------------------------------------------------------------------

const STAGES = { reading: "Reading the pictures", palette: "Mixing the palette", underpainting: "Underpainting", coarse: "Painting broadly", strokes: "Painting strokes", refine: "Painting strokes", finish: "Finishing", writing: "Keeping the picture" };

const minutes = (seconds) => (seconds < 90 ? `${Math.max(1, Math.round(seconds))} s` : `${Math.round(seconds / 60)} min`);

function words(task) {
  const stage = STAGES[task.stage] ?? (task.stage ? `Painting: ${task.stage}` : "Beginning");
  if (task.stopped) return "Stopping; the picture so far is kept …";
  return task.left ? `${stage} · about ${minutes(task.left)} left` : `${stage} …`;
}

export function summary({ asked }) {
  const { preset, options: { strength, keep, keep_color: color, seed } } = asked;
  const said = [strength != null ? `strength ${strength}` : "", keep != null && keep !== 1 ? `keep ${round(keep, 2)}` : "", color != null ? `colors ${color}` : "", seed ? `seed ${seed}` : ""];
  const changed = said.filter(Boolean).join(", ");
  return changed && preset === "default" ? changed : [preset, changed].filter(Boolean).join(", ");
}

export function show() {
  const all = [...tasks.values()];
  const running = all.find((task) => task.state === "running"), waiting = all.filter((task) => task.state === "waiting");
  $("#running").hidden = !running && !waiting.length;
  if (running) {
    $("#running-text").textContent = words(running);
    $("#running-bar").value = running.share;
    $("#stop").disabled = running.stopped;
  }
  $("#stop").hidden = !running;
  $("#waiting").textContent = waiting.length ? `${waiting.length} waiting: one is painted at a time.` : "";
  strip(all.filter((task) => task.state !== "failed"));
  result(tasks.get(shown));
}

$("#stop").addEventListener("click", async () => {
  const running = [...tasks.values()].find((task) => task.state === "running");
  try { if (running) await api.stop(running.id); } catch (error) { complain("#go-error", error); }
});

function strip(all) {
  const list = $("#strip ol");
  $("#strip").hidden = !all.length;
  const items = all.map((task) => list.querySelector(`[data-id="${task.id}"]`) ?? item(task));
  if (items.some((one, index) => list.children[index] !== one) || list.children.length !== items.length) list.replaceChildren(...items);
  all.forEach((task, index) => update(items[index], task));
}

function item(task) {
  const button = make("button", { type: "button" }, make("img", { alt: "" }), make("span"));
  const away = make("button", { type: "button", className: "away", textContent: "×" });
  const node = make("li", {}, button, away);
  node.dataset.id = task.id;
  button.addEventListener("click", () => open(task.id));
  away.addEventListener("click", () => api.stop(task.id).catch((error) => complain("#go-error", error)));
  return node;
}

function update(node, task) {
  const [button, away] = node.children, [image, label] = button.children;
  const text = task.state === "waiting" ? "waiting" : task.state === "running" ? `${Math.floor(100 * task.share)} %` : summary(task) + (task.result.interrupted ? ", stopped" : "");
  if (label.textContent !== text) label.textContent = text;
  button.setAttribute("aria-label", `${task.result.name ?? "Picture"}: ${text}`);
  button.setAttribute("aria-pressed", task.id === shown);
  away.hidden = task.state !== "waiting";
  away.setAttribute("aria-label", "Don't paint this one");
  node.className = task.state;
  const path = task.state === "done" ? `/api/tasks/${task.id}/view` : task.pictures ? `/api/tasks/${task.id}/growing?n=${task.pictures}` : "";
  if (path && image.getAttribute("src") !== path) image.src = path;
  image.style.objectViewBox = around(task.asked);
}

// The part of a picture that is seen small: the element and some of the painting around it.
function around({ painting, element, placement }) {
  const { width, height } = state.files.get(painting), file = state.files.get(element);
  const [left, top, wide, high] = geometry.bounds(file, placement), more = 0.3 * Math.max(wide, high);
  const cut = (length, whole) => `${clamp(100 * (length - more) / whole, 0, 100)}%`;
  return `inset(${cut(top, height)} ${cut(width - left - wide, width)} ${cut(height - top - high, height)} ${cut(left, width)})`;
}

// Go back to a picture and to what it was made with; a step that can be undone.
function open(id) {
  const task = tasks.get(id);
  look(id);
  if (task.state === "waiting") return;
  opened(task);
}

const NAMES = { png: "PNG", jpeg: "JPEG", tiff: "TIFF", record: "Record", zip: "Everything (ZIP)" };
let resultOf = null;

function result(task) {
  const done = task?.state === "done";
  $("#result").hidden = !done;
  if (!done || resultOf === task.id) { if (!done) resultOf = null; return; }
  resultOf = task.id;
  if (task.asked.preset !== "preview") requestAnimationFrame(() => $("#result").scrollIntoView({ block: "nearest" }));
  $("#h-result").textContent = task.result.interrupted ? "Painted so far" : "Painted";
  $("#result-facts").textContent = `${task.result.name} · ${summary(task)} · ${round(task.seconds, 1)} s`;
  $("#result-notes").replaceChildren(...task.result.notes.map((text) => make("li", { textContent: sentence(text) })));
  const links = [...task.result.formats, "record", "zip"].map((kind) =>
    make("a", { className: "button small", href: `/api/tasks/${task.id}/${kind}`, download: "", textContent: NAMES[kind] }));
  const { element } = task.asked;
  links.push(make("a", { className: "button small", href: `/api/files/${element}/file`, download: "", textContent: "Cut-out" }));
  links.push(make("a", { className: "button small", href: `/api/files/${element}/mask`, download: "", textContent: "Mask" }));
  $("#downloads").replaceChildren(...links);
  $("#command").textContent = "";
  api.command(task.id).then((text) => { if (resultOf === task.id) $("#command").textContent = text; }, (error) => complain("#go-error", error));
}

$("#copy").addEventListener("click", async () => {
  const button = $("#copy");
  try {
    await navigator.clipboard.writeText($("#command").textContent);
    button.textContent = "Copied";
  } catch {
    getSelection().selectAllChildren($("#command"));
    button.textContent = "Selected";
  }
  setTimeout(() => { button.textContent = "Copy"; }, 1500);
});
