// Placing the element: by handles on the picture, by keys, by numbers.

import { $, clamp, complain, round, say } from "./dom.js";
import * as geometry from "./geometry.js";
import * as stage from "./stage.js";
import * as state from "./state.js";

const KNOB = 34;  // CSS pixels from the frame to the knob that turns it
let held = null;  // { kind, start, placement, pivot, … } while the hand is down

const fields = { x: $("#place-x"), y: $("#place-y"), w: $("#place-w"), r: $("#place-r") };
const sliders = { scale: $("#place-scale"), turn: $("#place-turn") };

const ready = () => state.painting() && state.element() && state.doc.placement;

function screenCorners() {
  return geometry.corners(state.element(), state.doc.placement).map(stage.toScreen);
}

function turner(points = screenCorners()) {
  const [a, b, c, d] = points;
  const top = [(a[0] + b[0]) / 2, (a[1] + b[1]) / 2], low = [(c[0] + d[0]) / 2, (c[1] + d[1]) / 2];
  const length = Math.max(Math.hypot(top[0] - low[0], top[1] - low[1]), 1);
  return [top[0] + (top[0] - low[0]) / length * KNOB, top[1] + (top[1] - low[1]) / length * KNOB];
}

function grabbed(point, touch) {
  const points = screenCorners();
  if (stage.near(point, turner(points), touch)) return { kind: "turn" };
  const corner = points.findIndex((one) => stage.near(point, one, touch));
  if (corner >= 0) return { kind: "scale", corner };
  return geometry.inside(state.element(), state.doc.placement, stage.toPicture(point)) ? { kind: "move" } : null;
}

export const hits = (point, event) => Boolean(ready() && grabbed(point, event.pointerType !== "mouse"));

const CORNERS = [[0, 0], [1, 0], [1, 1], [0, 1]];

export const tool = {
  down(point, event) {
    if (!ready()) return false;
    const grip = grabbed(point, event.pointerType !== "mouse");
    if (!grip) return false;
    const placement = structuredClone(state.doc.placement);
    const center = geometry.pointOf(state.element(), placement, [0.5, 0.5]);
    held = { ...grip, start: stage.toPicture(point), placement, center };
    return true;
  },
  move(point, event) {
    const now = stage.toPicture(point), { placement, start, center } = held, file = state.element();
    let next = placement;
    if (held.kind === "move") {
      const by = now.map((value, axis) => Math.round(value - start[axis]));
      if (event.shiftKey) by[Math.abs(by[0]) > Math.abs(by[1]) ? 1 : 0] = 0;
      next = { ...placement, at: placement.at.map((value, axis) => value + by[axis]) };
    } else if (held.kind === "scale") {
      const pivot = event.altKey ? [0.5, 0.5] : CORNERS[(held.corner + 2) % 4];
      const anchor = geometry.pointOf(file, placement, pivot);
      const from = geometry.pointOf(file, placement, CORNERS[held.corner]);
      const reach = from.map((value, axis) => value - anchor[axis]);
      const moved = now.map((value, axis) => value - anchor[axis] + from[axis] - start[axis]);
      const factor = (moved[0] * reach[0] + moved[1] * reach[1]) / Math.max(reach[0] ** 2 + reach[1] ** 2, 1e-6);
      next = geometry.changed(file, placement, { width: wide(placement.width * factor) }, pivot);
    } else {
      const angle = ([x, y]) => Math.atan2(y - center[1], x - center[0]) * 180 / Math.PI;
      let rotate = placement.rotate - (angle(now) - angle(start));
      rotate = event.shiftKey ? Math.round(rotate / 15) * 15 : round(rotate, 1);
      if (Math.abs(rotate - Math.round(rotate / 90) * 90) < 1.2) rotate = Math.round(rotate / 90) * 90;
      next = geometry.changed(file, placement, { rotate: turned(rotate) });
    }
    state.change({ placement: next });
  },
  up() { held = null; state.commit(); },
  cancel() {
    if (held) state.change({ placement: held.placement });
    held = null;
  },
  cursor(point) {
    if (!ready() || !point) return "grab";
    const grip = held ?? grabbed(point, false);
    return { move: "move", scale: "nwse-resize", turn: "crosshair" }[grip?.kind] ?? "grab";
  },
};

function wide(width) {
  const file = state.element(), painting = state.painting(), [w, h] = geometry.sizeOf(file);
  const most = Math.sqrt(15 * painting.width * painting.height * w / h);
  return Math.round(clamp(width, 4, most));
}

const turned = (degrees) => round(((degrees + 180) % 360 + 360) % 360 - 180, 1);

export function drawElement(context, image, file, placement) {
  context.save();
  context.transform(...geometry.numbers(geometry.matrix(file, placement)));
  context.drawImage(image, 0, 0, ...geometry.sizeOf(file));
  context.restore();
}

export function overlay(context) {
  if (!ready()) return;
  const points = screenCorners(), knob = turner(points);
  const top = [(points[0][0] + points[1][0]) / 2, (points[0][1] + points[1][1]) / 2];
  context.beginPath();
  context.moveTo(...top);
  context.lineTo(...knob);
  context.lineWidth = 1.5;
  context.strokeStyle = "#fff";
  context.stroke();
  stage.frame(context, points);
  stage.knob(context, knob, true);
}

// --- keys and numbers -----------------------------------------------------------------------------

const settle = (() => { let timer; return () => { clearTimeout(timer); timer = setTimeout(() => state.commit(), 400); }; })();

function set(changes, pivot) {
  state.change({ placement: geometry.changed(state.element(), state.doc.placement, changes, pivot) });
  settle();
}

const commit = (changes) => state.commit({ placement: geometry.changed(state.element(), state.doc.placement, changes) });

export function key(event) {
  if (!ready()) return false;
  const by = event.shiftKey ? 10 : 1, { placement } = state.doc;
  const moves = { ArrowLeft: [-by, 0], ArrowRight: [by, 0], ArrowUp: [0, -by], ArrowDown: [0, by] };
  if (moves[event.key]) {
    state.change({ placement: { ...placement, at: placement.at.map((v, axis) => v + moves[event.key][axis]) } });
    settle();
    say(`Left ${state.doc.placement.at[0]}, top ${state.doc.placement.at[1]}`);
  } else if (event.key === ",") set({ rotate: turned(placement.rotate + 1) });
  else if (event.key === ".") set({ rotate: turned(placement.rotate - 1) });
  else if (event.key === "<") set({ width: wide(placement.width / 1.02 - 0.5) });
  else if (event.key === ">") set({ width: wide(placement.width * 1.02 + 0.5) });
  else if (event.key.toLowerCase() === "f") flip("horizontal");
  else return false;
  return true;
}

function flip(way) {
  commit({ flip: state.doc.placement.flip === way ? null : way });
}

const number = (field) => (field.value.trim() === "" || !Number.isFinite(+field.value) ? null : +field.value);

for (const [name, field] of Object.entries(fields)) {
  field.addEventListener("change", () => {
    const value = number(field), error = $("#place .error");
    if (!ready()) return;
    if (value === null || (name === "w" && value < 1)) {
      complain(error, name === "w" ? "The width is a number of pixels from 1 up." : "Please give a number.");
      return;
    }
    complain(error, null);
    const { placement } = state.doc;
    if (name === "x") state.commit({ placement: { ...placement, at: [Math.round(value), placement.at[1]] } });
    if (name === "y") state.commit({ placement: { ...placement, at: [placement.at[0], Math.round(value)] } });
    if (name === "w") state.commit({ placement: { ...placement, width: wide(value) } });
    if (name === "r") commit({ rotate: turned(value) });
  });
}

// The slider's middle is as wide as a third of the painting; a step is the same factor everywhere.
const FACTOR = 30;
const width = (slide) => state.painting().width / 3 * FACTOR ** ((slide - 50) / 50);
const slide = (wide) => 50 + 50 * Math.log(wide / (state.painting().width / 3)) / Math.log(FACTOR);

sliders.scale.addEventListener("input", () => { if (ready()) set({ width: wide(width(+sliders.scale.value)) }); });
sliders.turn.addEventListener("input", () => { if (ready()) set({ rotate: turned(+sliders.turn.value) }); });
$("#flip-h").addEventListener("click", () => ready() && flip("horizontal"));
$("#flip-v").addEventListener("click", () => ready() && flip("vertical"));
$("#center").addEventListener("click", () => {
  if (ready()) state.commit({ placement: geometry.centered(state.element(), state.painting(), state.doc.placement) });
});

export function show() {
  const able = Boolean(ready());
  [...Object.values(fields), ...Object.values(sliders), $("#flip-h"), $("#flip-v"), $("#center")]
    .forEach((control) => { control.disabled = !able; });
  if (!able) { $("#place-note").textContent = ""; return; }
  const { placement } = state.doc, file = state.element(), painting = state.painting();
  const values = { x: placement.at[0], y: placement.at[1], w: placement.width, r: placement.rotate };
  for (const [name, field] of Object.entries(fields)) if (document.activeElement !== field) field.value = values[name];
  sliders.scale.value = slide(placement.width);
  sliders.turn.value = placement.rotate;
  $("#place output[for=place-scale]").textContent = `${round(100 * placement.width / painting.width)} %`;
  $("#place output[for=place-turn]").textContent = `${round(placement.rotate, 1)}°`;
  $("#flip-h").setAttribute("aria-pressed", placement.flip === "horizontal");
  $("#flip-v").setAttribute("aria-pressed", placement.flip === "vertical");
  $("#place-note").textContent = note(file, painting, placement);
}

function note(file, painting, placement) {
  const [, , wide, high] = geometry.bounds(file, placement), seen = geometry.area(file, painting, placement);
  if (!seen) return "";  // the page says it where it paints
  if (seen < 0.2 * wide * high) return "Only a scrap of it lies on the painting.";
  const scale = placement.width / geometry.sizeOf(file)[0];
  if (scale > 1.5) return `It is enlarged ${round(scale, 1)} times beyond its own pixels.`;
  return `${Math.round(wide)} × ${Math.round(high)} pixels on a painting of ${painting.width} × ${painting.height}.`;
}
