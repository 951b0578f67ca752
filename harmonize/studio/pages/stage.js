// The canvas: what is drawn, zoom and pan, and who gets the pointer.

import { $, clamp } from "./dom.js";

const canvas = $("#stage");
const context = canvas.getContext("2d");
const MARGIN = 28, MOST = 32;

let view = { scale: 1, x: 0, y: 0 };  // of a picture's pixel in CSS pixels, and where its corner lies
let size = [0, 0];  // of the picture
let fitted = true;
let painter = () => {};  // draws the picture, in its own pixels
let overlay = () => {};  // draws what lies over it, in CSS pixels
let tool = null;  // gets the pointer: { down(point, event) → whether it is taken, move, up, hover }
let planned = 0;

export const zoomed = [];  // listeners

export function setScene(scene) {
  painter = scene.painter;
  overlay = scene.overlay ?? (() => {});
  tool = scene.tool ?? null;
  if (scene.size[0] !== size[0] || scene.size[1] !== size[1]) {
    size = scene.size;
    fit();
  }
  draw();
}

export function draw() {
  planned ||= requestAnimationFrame(() => { planned = 0; paint(); });
}

function paint() {
  const ratio = devicePixelRatio || 1;
  context.setTransform(1, 0, 0, 1, 0, 0);
  context.clearRect(0, 0, canvas.width, canvas.height);
  if (!size[0]) return;
  context.setTransform(ratio * view.scale, 0, 0, ratio * view.scale, ratio * view.x, ratio * view.y);
  context.imageSmoothingEnabled = view.scale * ratio < 3;
  context.imageSmoothingQuality = "high";
  context.save();
  context.beginPath();
  context.rect(0, 0, ...size);
  context.clip();
  painter(context);
  context.restore();
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  overlay(context);
}

export function fit() {
  const [width, height] = [canvas.clientWidth, canvas.clientHeight];
  if (!size[0] || !width) return;
  const margin = Math.min(MARGIN, width / 24);
  const scale = Math.min((width - 2 * margin) / size[0], (height - 2 * margin) / size[1]);
  fitted = true;
  place({ scale, x: (width - size[0] * scale) / 2, y: (height - size[1] * scale) / 2 });
}

export function zoom(factor, center = [canvas.clientWidth / 2, canvas.clientHeight / 2]) {
  const least = Math.min(1, canvas.clientWidth / size[0], canvas.clientHeight / size[1]) / 4;
  const scale = clamp(view.scale * factor, least, MOST);
  const by = scale / view.scale;
  fitted = false;
  place({ scale, x: center[0] - (center[0] - view.x) * by, y: center[1] - (center[1] - view.y) * by });
}

// A pixel of the picture on a pixel of the screen.
export const pixels = () => zoom(1 / (devicePixelRatio || 1) / view.scale);

export function pan(dx, dy) {
  fitted = false;
  place({ ...view, x: view.x + dx, y: view.y + dy });
}

function place(next) {
  view = next;
  zoomed.forEach((listener) => listener(view.scale * (devicePixelRatio || 1), fitted));
  draw();
}

export const scale = () => view.scale;
export const toScreen = ([x, y]) => [view.x + x * view.scale, view.y + y * view.scale];
export const toPicture = ([x, y]) => [(x - view.x) / view.scale, (y - view.y) / view.scale];

// The part of the picture that is in the window, in whole pixels: left, top, width, height.
export function seen([wide, high]) {
  const [x0, y0] = toPicture([0, 0]), [x1, y1] = toPicture([canvas.clientWidth, canvas.clientHeight]);
  const left = Math.floor(clamp(x0, 0, wide)), top = Math.floor(clamp(y0, 0, high));
  const width = Math.ceil(clamp(x1, 0, wide)) - left, height = Math.ceil(clamp(y1, 0, high)) - top;
  return width > 0 && height > 0 ? [left, top, width, height] : null;
}

// --- pointers -------------------------------------------------------------------------------------

const pointers = new Map();
let space = false, hand = null, pinched = null, taken = false;

const where = (event) => {
  const box = canvas.getBoundingClientRect();
  return [event.clientX - box.left, event.clientY - box.top];
};

function pair() {
  const [a, b] = [...pointers.values()];
  return { middle: [(a[0] + b[0]) / 2, (a[1] + b[1]) / 2], gap: Math.hypot(a[0] - b[0], a[1] - b[1]) };
}

canvas.addEventListener("pointerdown", (event) => {
  if (event.button === 2) return;
  canvas.setPointerCapture(event.pointerId);
  pointers.set(event.pointerId, where(event));
  if (pointers.size === 2) {  // a second finger: what the first began is taken back
    if (taken) tool?.cancel?.();
    taken = false;
    pinched = pair();
    return;
  }
  const point = where(event);
  taken = !space && event.button === 0 && Boolean(tool?.down(point, event));
  hand = taken ? null : point;
  cursor(point);
});

canvas.addEventListener("pointermove", (event) => {
  const point = where(event);
  if (!pointers.has(event.pointerId)) {
    tool?.hover?.(point);
    cursor(point);
    return;
  }
  pointers.set(event.pointerId, point);
  if (pinched) {
    const now = pair();
    pan(now.middle[0] - pinched.middle[0], now.middle[1] - pinched.middle[1]);
    zoom(now.gap / Math.max(pinched.gap, 1), now.middle);
    pinched = now;
  } else if (taken) {
    tool?.move(point, event);
  } else if (hand) {
    pan(point[0] - hand[0], point[1] - hand[1]);
    hand = point;
  }
});

function lift(event) {
  if (!pointers.delete(event.pointerId)) return;
  if (taken && event.type === "pointerup") tool?.up?.(where(event), event);
  else if (taken) tool?.cancel?.();
  if (pointers.size < 2) pinched = null;
  taken = false;
  hand = pointers.size ? [...pointers.values()][0] : null;
}
canvas.addEventListener("pointerup", lift);
canvas.addEventListener("pointercancel", lift);
canvas.addEventListener("pointerleave", () => tool?.hover?.(null));

canvas.addEventListener("wheel", (event) => {
  event.preventDefault();
  zoom(Math.exp(-event.deltaY * (event.deltaMode ? 0.04 : 0.0015)), where(event));
}, { passive: false });

const cursor = (point) => {
  canvas.style.cursor = space || !tool ? "grab" : tool.cursor?.(point) ?? "grab";
};

addEventListener("keydown", (event) => {
  if (event.code === "Space" && (event.target === canvas || event.target === document.body)) {
    space = true;
    canvas.style.cursor = "grab";
    event.preventDefault();
  }
});
addEventListener("keyup", (event) => { if (event.code === "Space") space = false; });
addEventListener("blur", () => { space = false; });

new ResizeObserver(() => {
  const ratio = devicePixelRatio || 1;
  canvas.width = Math.round(canvas.clientWidth * ratio);
  canvas.height = Math.round(canvas.clientHeight * ratio);
  if (fitted) fit();
  paint();
}).observe(canvas);

// --- what both tools draw -------------------------------------------------------------------------

const ACCENT = "#e0672f";

export function frame(context, points, handles = points) {
  context.beginPath();
  points.forEach(([x, y], index) => (index ? context.lineTo(x, y) : context.moveTo(x, y)));
  context.closePath();
  context.lineWidth = 3;
  context.strokeStyle = "#0006";
  context.stroke();
  context.lineWidth = 1.5;
  context.strokeStyle = "#fff";
  context.stroke();
  handles.forEach((point) => knob(context, point));
}

export function knob(context, [x, y], filled = false) {
  context.beginPath();
  context.arc(x, y, 6.5, 0, 7);
  context.fillStyle = filled ? ACCENT : "#fff";
  context.fill();
  context.lineWidth = 2;
  context.strokeStyle = filled ? "#fff" : ACCENT;
  context.stroke();
}

// A word on the picture: it ends at a point, or (side 1) begins there.
export function label(context, text, [x, y], side) {
  context.font = "600 12px system-ui, sans-serif";
  const width = context.measureText(text).width + 16, left = side < 0 ? x - width : x;
  context.fillStyle = "#000a";
  context.beginPath();
  context.roundRect(left, y, width, 22, 11);
  context.fill();
  context.fillStyle = "#fff";
  context.fillText(text, left + 8, y + 15.5);
}

export const near = (a, b, touch) => Math.hypot(a[0] - b[0], a[1] - b[1]) < (touch ? 24 : 12);
