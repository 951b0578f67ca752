// Cutting the element out of a photograph: a box, strokes that keep or remove, a softer edge.

import * as api from "./api.js";
import { $, $$, clamp, complain, later, round, say } from "./dom.js";
import * as stage from "./stage.js";
import * as state from "./state.js";

const EMPTY = { box: null, strokes: [], grow: 0, feather: 0, mask: null, edges: true };
const COLORS = { keep: "#22a565aa", remove: "#d43f2faa" };
const CORNERS = [[0, 0], [1, 0], [1, 1], [0, 1]];

let held = null;  // a box or a stroke while the hand is down
let pointer = null;
let veil = null;  // what the server says lies outside, drawn over the photograph
let veilOf = null;  // the request that it answers
let asking = null;
let cutting = false;  // whether the whole cut is on its way

const brush = $("#brush");
const chosen = () => $("input[name=tool]:checked").value;
export const choose = (name) => { $(`input[name=tool][value=${name}]`).checked = true; show(); stage.draw(); };

const cut = () => state.doc.cut ?? EMPTY;
const touched = (cut) => Boolean(cut.box || cut.strokes.length || cut.mask);
const asked = () => ({ photo: state.doc.photo, ...cut() });

export const fresh = () => structuredClone(EMPTY);

// --- on the picture -------------------------------------------------------------------------------

const limited = ([x, y]) => {
  const { width, height } = state.photo();
  return [clamp(x, 0, width), clamp(y, 0, height)];
};

function boxFrom([x0, y0], [x1, y1]) {
  return [Math.min(x0, x1), Math.min(y0, y1), Math.abs(x1 - x0), Math.abs(y1 - y0)].map(Math.round);
}

const cornersOf = ([x, y, w, h]) => CORNERS.map(([u, v]) => [x + u * w, y + v * h]);

export const tool = {
  down(point, event) {
    if (!state.photo()) return false;
    const start = limited(stage.toPicture(point));
    const before = structuredClone(cut());
    if (chosen() === "box") {
      const box = cut().box;
      const corner = box ? cornersOf(box).findIndex((one) => stage.near(point, stage.toScreen(one), event.pointerType !== "mouse")) : -1;
      held = { before, start: corner < 0 ? start : cornersOf(box)[(corner + 2) % 4] };
      if (corner < 0 && box && within(start, box)) held.moved = { box, from: start };
    } else {
      const stroke = { mode: chosen(), radius: round(+brush.value / stage.scale() / 2, 1), points: [start.map(Math.round)] };
      held = { before, stroke };
      change({ strokes: [...cut().strokes, stroke] });
    }
    return true;
  },
  move(point) {
    pointer = point;
    const now = stage.toPicture(point);
    if (held.stroke) {
      const last = held.stroke.points.at(-1);
      if (Math.hypot(now[0] - last[0], now[1] - last[1]) > Math.max(1.5, held.stroke.radius / 4)) held.stroke.points.push(now.map(Math.round));
    } else if (held.moved) {
      const { box, from } = held.moved, { width, height } = state.photo();
      change({ box: [clamp(box[0] + now[0] - from[0], 0, width - box[2]), clamp(box[1] + now[1] - from[1], 0, height - box[3]), box[2], box[3]].map(Math.round) });
    } else change({ box: boxFrom(held.start, limited(now)) });
    stage.draw();
  },
  up() {
    const [, , w, h] = cut().box ?? [0, 0, 9, 9];
    if (!held.stroke && (w < 4 || h < 4)) change(held.before);
    held = null;
    done();
  },
  cancel() {
    if (held) change(held.before);
    held = null;
  },
  hover(point) { pointer = point; stage.draw(); },
  cursor: () => (chosen() === "box" ? "crosshair" : "none"),
};

const within = ([x, y], [left, top, w, h]) => x > left && y > top && x < left + w && y < top + h;

export function draw(context, photo) {
  context.drawImage(photo, 0, 0, state.photo().width, state.photo().height);
  if (veil) context.drawImage(veil, 0, 0, state.photo().width, state.photo().height);
  if (held?.stroke) line(context, held.stroke);
}

function line(context, { mode, radius, points }) {
  context.beginPath();
  points.forEach(([x, y], index) => (index ? context.lineTo(x, y) : context.moveTo(x, y)));
  if (points.length === 1) context.lineTo(points[0][0] + 0.01, points[0][1]);
  Object.assign(context, { lineWidth: 2 * radius, lineCap: "round", lineJoin: "round", strokeStyle: COLORS[mode] });
  context.stroke();
}

export function overlay(context) {
  const { box } = cut();
  if (box && (chosen() === "box" || held)) {
    context.setLineDash([6, 4]);
    stage.frame(context, cornersOf(box).map(stage.toScreen), []);
    context.setLineDash([]);
    if (chosen() === "box") cornersOf(box).forEach((corner) => stage.knob(context, stage.toScreen(corner)));
  }
  if (pointer && chosen() !== "box") {
    context.beginPath();
    context.arc(...pointer, +brush.value / 2, 0, 7);
    context.lineWidth = 3;
    context.strokeStyle = "#0008";
    context.stroke();
    context.lineWidth = 1.5;
    context.strokeStyle = COLORS[chosen()].slice(0, 7);
    context.stroke();
  }
}

// --- the mask -------------------------------------------------------------------------------------

function change(changes) { state.change({ cut: { ...cut(), ...changes } }); }
function done(changes = {}) { state.commit({ cut: { ...cut(), ...changes } }); refresh(); }

// Ask for the mask of what was drawn; an answer that comes too late is dropped.
export async function refresh() {
  const wanted = JSON.stringify(asked());
  if (!state.photo() || asking?.wanted === wanted) return;
  if (asking) {
    asking.abort();
    asking = null;
    busy(false);
  }
  if (wanted === veilOf) return;
  if (!touched(cut())) {
    [veil, veilOf] = [null, wanted];
    note(null);
    show();
    stage.draw();
    return;
  }
  const own = asking = Object.assign(new AbortController(), { wanted });
  busy(true);
  try {
    const answer = await api.cutQuick(JSON.parse(wanted), own.signal);
    if (asking !== own) return;
    [veil, veilOf] = [answer.image, wanted];
    note(answer.facts);
    complain("#cut .error", null);
  } catch (error) {
    if (asking !== own) return;
    complain("#cut .error", error);
  }
  asking = null;
  busy(false);
  show();
  stage.draw();
}

function busy(on) {
  $("#cut").setAttribute("aria-busy", on);
  $("#cut-use").textContent = on ? "Looking for the edge …" : "Use this cut-out";
}

function note(facts) {
  $("#cut-note").textContent = facts ? [`${round(100 * facts.share, 1)} % of the photograph is kept.`, ...facts.notes].join(" ") : "";
  if (facts) say($("#cut-note").textContent);
}

export function forget() { [veil, veilOf] = [null, null]; }

export function show() {
  const photo = state.photo(), now = cut();
  const none = state.element() ? "What you chose is cut out already. To cut out another thing, choose a photograph." : "Choose a photograph first, under Pictures.";
  const next = touched(now) ? "Where the edge is wrong, paint over it with Keep or Remove." : "Draw a box around the thing.";
  $("#cut-lead").textContent = photo ? next : none;
  $$("#cut input, #cut button").forEach((control) => { control.disabled = !photo; });
  $("#cut-use").disabled = cutting || !photo || !touched(now) || veilOf !== JSON.stringify(asked()) || !veil;
  if (!touched(now)) $("#cut-note").textContent = photo?.notes.join(" ") ?? "";
  const element = state.element();
  $("#cut-take").hidden = !element;
  if (element) for (const [name, kind] of [["cutout", "file"], ["mask", "mask"]]) $(`#take-${name}`).href = `/api/files/${element.id}/${kind}`;
  $("#brush-field").hidden = chosen() === "box";
  $("#cut output[for=brush]").textContent = `${brush.value} px`;
  $("#cut .numbers").hidden = chosen() !== "box";
  for (const [index, name] of ["x", "y", "w", "h"].entries()) {
    const field = $(`#box-${name}`);
    if (document.activeElement !== field) field.value = now.box ? now.box[index] : "";
  }
  $("#edges").checked = now.edges;
  for (const name of ["grow", "feather"]) {
    $(`#${name}`).value = now[name];
    $(`#cut output[for=${name}]`).textContent = `${now[name]} px`;
  }
}

// The whole cut; its answer is an element.
export async function use() {
  const button = $("#cut-use");
  cutting = button.disabled = true;
  button.textContent = "Cutting out …";
  try {
    return await api.cutWhole(asked());
  } catch (error) {
    complain("#cut .error", error);
    return null;
  } finally {
    cutting = false;
    button.textContent = "Use this cut-out";
    show();
  }
}

// --- controls -------------------------------------------------------------------------------------

const settled = later(350, () => done());
$$("input[name=tool]").forEach((input) => input.addEventListener("change", () => { show(); stage.draw(); }));
brush.addEventListener("input", () => { show(); stage.draw(); });
for (const name of ["grow", "feather"]) {
  $(`#${name}`).addEventListener("input", () => { change({ [name]: +$(`#${name}`).value }); settled(); });
  $(`#${name}`).addEventListener("change", () => refresh());
}
$("#edges").addEventListener("change", () => done({ edges: $("#edges").checked }));
$("#cut-clear").addEventListener("click", () => done(fresh()));
for (const name of ["x", "y", "w", "h"]) {
  $(`#box-${name}`).addEventListener("change", () => {
    const values = ["x", "y", "w", "h"].map((one) => $(`#box-${one}`).value.trim());
    if (!values.every((value) => value !== "")) return;
    const { width, height } = state.photo(), [x, y, w, h] = values.map(Number);
    const left = clamp(x, 0, width - 1), top = clamp(y, 0, height - 1);
    done({ box: [left, top, clamp(w, 1, width - left), clamp(h, 1, height - top)].map(Math.round) });
  });
}

export function key(event) {
  if (!state.photo()) return false;
  const by = { "[": 1 / 1.2, "]": 1.2 }[event.key];
  const name = { b: "box", k: "keep", r: "remove" }[event.key.toLowerCase()];
  if (by) brush.value = Math.round(+brush.value * by + Math.sign(by - 1));
  else if (name) choose(name);
  else return false;
  show();
  stage.draw();
  return true;
}
