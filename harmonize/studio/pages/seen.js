// What is seen: the photograph to be cut out, the pasted picture, or before and after.

import * as api from "./api.js";
import * as cut from "./cut.js";
import * as detail from "./detail.js";
import { $, complain, later, make } from "./dom.js";
import * as geometry from "./geometry.js";
import * as place from "./place.js";
import * as runs from "./runs.js";
import * as stage from "./stage.js";
import * as state from "./state.js";

const { files } = state;
const compare = $("#compare input");
let redraw = () => {};
export const begin = (draw) => { redraw = draw; };
export let mixing = false;  // whether the palette map is long in coming

const view = (file, kind = "view") => runs.picture(`/api/files/${file.id}/${kind}`);

// With `alone` the painting is seen without the element.
export function scene(alone) {
  if (state.tab === "cut" && state.photo()) {
    const photo = state.photo(), image = view(photo);
    return { size: [photo.width, photo.height], tool: cut.tool, overlay: cut.overlay, painter: (context) => image && cut.draw(context, image) };
  }
  const current = alone ? null : runs.current();
  const painting = current ? files.get(current.task.asked.painting) : state.painting();
  if (!painting) {
    const photo = state.photo() ?? state.element(), image = photo && view(photo);
    return { size: photo ? [photo.width, photo.height] : [0, 0], painter: (context) => image && context.drawImage(image, 0, 0, photo.width, photo.height) };
  }
  const size = [painting.width, painting.height];
  if (alone) return { size, painter: (context) => under(context, painting) };
  if (current) return { size, painter: (context) => compared(context, current, size), overlay: (context) => divider(context, current, size), tool: splitter(size[0]) };
  return { size, painter: (context) => paste(context, state.doc, colored(state.doc)), tool: place.tool, overlay: place.overlay };
}

function under(context, file) {
  const size = [file.width, file.height], image = view(file);
  if (image) context.drawImage(image, 0, 0, ...size);
  detail.draw(context, `/api/files/${file.id}/pixels`, size);
}

function paste(context, { painting, element, placement }, given = null) {
  const over = files.get(element);
  under(context, files.get(painting));
  const image = over && placement && (given ?? view(over, "shown"));
  if (image) place.drawElement(context, image, over, placement);
}

// --- before and after -----------------------------------------------------------------------------

// The painted picture, and the pasted one from the left as far as the slider says.
function compared(context, { task, image }, size) {
  paste(context, task.asked, image ? null : colored(task.asked));
  const split = size[0] * compare.value / 100;
  if (!image) return;
  context.save();
  context.beginPath();
  context.rect(split, 0, size[0] - split, size[1]);
  context.clip();
  context.drawImage(image, 0, 0, ...size);
  if (task.state === "done") detail.draw(context, `/api/tasks/${task.id}/pixels`, size);
  context.restore();
}

// The line between the two, and which is which.
function divider(context, { task, image }, [wide, high]) {
  if (!image || task.state !== "done" || +compare.value <= 0 || +compare.value >= 100) return;
  const [x, top] = stage.toScreen([wide * compare.value / 100, 0]), [, low] = stage.toScreen([0, high]);
  context.fillStyle = "#fff";
  context.fillRect(x - 1, top, 2, low - top);
  stage.knob(context, [x, (top + low) / 2], true);
  stage.label(context, "Before", [x - 10, Math.max(top, 0) + 12], -1);
  stage.label(context, "After", [x + 10, Math.max(top, 0) + 12], 1);
}

// The line between before and after can be dragged on the picture itself.
const splitter = (wide) => {
  const at = () => wide * compare.value / 100;
  const close = (point, event) => Math.abs(stage.toScreen([at(), 0])[0] - point[0]) < (event?.pointerType === "touch" ? 28 : 14);
  return {
    down: (point, event) => {
      if (close(point, event)) return true;
      if (state.tab !== "place" || !place.hits(point, event)) return false;
      runs.look(null);
      return place.tool.down(point, event);
    },
    move: (point) => { compare.value = 100 * stage.toPicture(point)[0] / wide; split(); },
    cursor: (point) => (point && close(point) ? "ew-resize" : "grab"),
  };
};

function split() {
  compare.setAttribute("aria-valuetext", `${Math.round(compare.value)} % before`);
  redraw();
}
compare.addEventListener("input", split);

// --- the palette map, when the hand rests ---------------------------------------------------------

const asked = () => ({ painting: state.doc.painting, element: state.doc.element, placement: state.doc.placement, options: state.doc.options });
let palette = { key: null };  // the last answer, and what was asked for
let asking = null;
let failed = false;  // whether the last one ended with an error, which is there to be read

export const mapPalette = later(20, async () => {
  const { placement } = state.doc, [painting, element] = [state.painting(), state.element()];
  if (!painting || !element || !placement || runs.shown) return;
  const wanted = structuredClone(asked()), key = JSON.stringify(wanted);
  if (asking?.key === key) return;
  asking?.abort();
  asking = null;
  if (failed) complain("#place .error", null);
  failed = false;
  if (palette.key === key || !geometry.area(element, painting, placement)) {
    mixing = false;
    redraw();
    return;
  }
  const own = asking = Object.assign(new AbortController(), { key });
  const slow = setTimeout(() => { mixing = true; redraw(); }, 500);
  own.signal.addEventListener("abort", () => clearTimeout(slow));
  try {
    const found = await api.palette(wanted, own.signal);
    if (found) palette = { key, wanted, ...found };
  } catch (error) {
    if (asking !== own) return;
    failed = true;
    complain("#place .error", error);
  }
  if (asking !== own) return;
  asking = null;
  clearTimeout(slow);
  mixing = false;
  redraw();
});

// The element in the colors of the last palette map; null where there is none.
function colored({ painting, element }) {
  if (palette.wanted?.painting !== painting || palette.wanted.element !== element) return null;
  const image = view(files.get(element), "shown");
  return palette.colored ??= image && recolored(image, files.get(element), palette);
}

// The map is made of a small copy. What it changes is added to the element in full, which stays
// sharp: the answer's upper half is the map, its lower half the same before.
function recolored(image, file, { image: both, window: where, wanted }) {
  const scale = Math.min(1, 1600 / Math.max(image.width, image.height)), half = both.height / 2;
  const [width, height] = [image.width, image.height].map((side) => Math.max(1, Math.round(side * scale)));
  const layer = make("canvas", { width, height }), context = layer.getContext("2d", { willReadFrequently: true });
  const drawn = (...picture) => { context.drawImage(...picture); return context.getImageData(0, 0, width, height); };
  const whole = drawn(image, 0, 0, width, height);
  const there = geometry.matrix(file, wanted.placement), size = geometry.sizeOf(file);
  const [after, before] = [0, half].map((y) => {
    context.reset();
    context.scale(width / size[0], height / size[1]);
    context.transform(...geometry.numbers(there.inverse()));
    return drawn(both, 0, y, both.width, half, ...where);
  });
  for (let index = 0; index < whole.data.length; index += 1) {
    if (index % 4 < 3) whole.data[index] += after.data[index] - before.data[index];
  }
  context.reset();
  context.putImageData(whole, 0, 0);
  return layer;
}
