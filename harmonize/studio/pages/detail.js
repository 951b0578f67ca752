// The pixels themselves, where a large picture is looked at closely.

import * as api from "./api.js";
import { later } from "./dom.js";
import * as stage from "./stage.js";

const VIEW = 2048;  // pixels: pictures up to here are shown whole already
const kept = new Map();  // path → { image, box }
let redraw = () => {};
export const begin = (draw) => { redraw = draw; };

const ask = later(120, async (path, box) => {
  try {
    const image = await api.picture(`${path}?box=${box.join(",")}`);
    for (const old of [...kept.keys()].slice(0, -3)) kept.delete(old);
    kept.set(path, { image, box });
    redraw();
  } catch { /* the reduced picture stays */ }
});

const covers = (outer, [x, y, w, h]) =>
  outer[0] <= x && outer[1] <= y && outer[0] + outer[2] >= x + w && outer[1] + outer[3] >= y + h;

export function draw(context, path, size) {
  const close = stage.scale() * (devicePixelRatio || 1) > 1.05 * VIEW / Math.max(...size);
  if (Math.max(...size) <= VIEW || !close) return;
  const seen = stage.seen(size), found = kept.get(path);
  if (found) context.drawImage(found.image, ...found.box);
  if (seen && !(found && covers(found.box, seen))) ask(path, seen);
}
