// Where an element lies: its visible box is mirrored, scaled, turned counter-clockwise, and the
// turned outline's upright box has its top left corner at `at`. As `Placement` has it.

export const radians = (degrees) => degrees * Math.PI / 180;

export function turn([x, y], degrees) {
  const c = Math.cos(radians(degrees)), s = Math.sin(radians(degrees));
  return [c * x + s * y, c * y - s * x];
}

// The visible box in the element's own pixels.
export function boxOf(file) {
  return file.box ?? [0, 0, file.width, file.height];
}

export function sizeOf(file) {
  const [left, top, right, bottom] = boxOf(file);
  return [right - left, bottom - top];
}

function outline(file) {
  const [left, top] = boxOf(file), [width, height] = sizeOf(file);
  if (!file.hull) return [[0, 0], [width, 0], [width, height], [0, height]];
  return file.hull.map(([x, y]) => [x - left, y - top]);
}

const mirrored = ([x, y], [width, height], flip) =>
  [flip === "horizontal" ? width - x : x, flip === "vertical" ? height - y : y];

// The upright box around the turned outline, the element's unturned corner at 0, 0.
function reach(file, { width, rotate, flip }) {
  const size = sizeOf(file), scale = width / size[0];
  const points = outline(file).map((point) => turn(mirrored(point, size, flip).map((v) => v * scale), rotate));
  const xs = points.map(([x]) => x), ys = points.map(([, y]) => y);
  return [Math.min(...xs), Math.min(...ys), Math.max(...xs), Math.max(...ys)];
}

// Where the visible box's own corner comes to lie.
export function origin(file, placement) {
  const [left, top] = reach(file, placement);
  return [placement.at[0] - left, placement.at[1] - top];
}

// From the visible box's own pixels to the painting's.
export function matrix(file, placement) {
  const [width, height] = sizeOf(file), scale = placement.width / width;
  const placed = new DOMMatrix().translate(...origin(file, placement)).rotate(-placement.rotate).scale(scale);
  if (placement.flip === "horizontal") return placed.translate(width, 0).scale(-1, 1);
  return placement.flip === "vertical" ? placed.translate(0, height).scale(1, -1) : placed;
}

export const numbers = ({ a, b, c, d, e, f }) => [a, b, c, d, e, f];

// A point of the visible box (0 to 1, as it looks when mirrored) on the painting.
export function pointOf(file, placement, [u, v]) {
  const [width, height] = sizeOf(file), scale = placement.width / width;
  const [x, y] = turn([u * width * scale, v * height * scale], placement.rotate);
  const [left, top] = origin(file, placement);
  return [left + x, top + y];
}

export const corners = (file, placement) =>
  [[0, 0], [1, 0], [1, 1], [0, 1]].map((corner) => pointOf(file, placement, corner));

// The upright box on the painting: left, top, width, height.
export function bounds(file, placement) {
  const [left, top, right, bottom] = reach(file, placement);
  return [placement.at[0], placement.at[1], right - left, bottom - top];
}

// How many pixels of the upright box lie on the painting.
export function area(file, painting, placement) {
  const [left, top, wide, high] = bounds(file, placement);
  const x = Math.min(left + wide, painting.width) - Math.max(left, 0);
  const y = Math.min(top + high, painting.height) - Math.max(top, 0);
  return Math.max(x, 0) * Math.max(y, 0);
}

// The placement with other size, turn or mirror, so that the point (u, v) of its box stays.
export function changed(file, placement, changes, pivot = [0.5, 0.5]) {
  const before = pointOf(file, placement, pivot);
  const next = { ...placement, ...changes };
  const after = pointOf(file, { ...next, at: [0, 0] }, pivot);
  return { ...next, at: [Math.floor(before[0] - after[0] + 0.5), Math.floor(before[1] - after[1] + 0.5)] };
}

// Where an element goes at first: one of the painting's size where it lies, others in the middle,
// as wide as a third of the painting and no higher than two thirds.
export function first(file, painting) {
  const [width, height] = sizeOf(file);
  if (file.width === painting.width && file.height === painting.height) {
    return { at: boxOf(file).slice(0, 2), width, rotate: 0, flip: null };
  }
  const wide = Math.min(painting.width / 3, painting.height * 2 / 3 * width / height);
  const placement = { at: [0, 0], width: Math.max(1, Math.round(wide)), rotate: 0, flip: null };
  return centered(file, painting, placement);
}

export function centered(file, painting, placement) {
  const [, , width, height] = bounds(file, placement);
  return { ...placement, at: [Math.floor((painting.width - width) / 2 + 0.5), Math.floor((painting.height - height) / 2 + 0.5)] };
}

export function inside(file, placement, [x, y]) {
  const [left, top] = origin(file, placement);
  const [u, v] = turn([x - left, y - top], -placement.rotate);
  const [width, height] = sizeOf(file), scale = placement.width / width;
  return u >= 0 && v >= 0 && u <= width * scale && v <= height * scale;
}
