// What the person has made so far, with its history; kept through a reload.

const EMPTY = {
  painting: null, element: null, photo: null, cut: null, placement: null,
  preset: "default", options: {},
};
const MOST = 100;

let key = null;
let history = [JSON.stringify(EMPTY)];
let index = 0;
const listeners = [];

export const files = new Map();  // id → what the server says of a picture
export let doc = structuredClone(EMPTY);
export let tab = "load";

export const onChange = (listener) => listeners.push(listener);
const tell = (why) => listeners.forEach((listener) => listener(why));

// Change what is shown; it becomes a step of the history with `commit`.
export function change(changes) {
  Object.assign(doc, changes);
  tell("change");
}

export function commit(changes = {}) {
  Object.assign(doc, changes);
  const now = JSON.stringify(doc);
  if (now !== history[index]) {
    history = [...history.slice(0, index + 1), now].slice(-MOST);
    index = history.length - 1;
  }
  keep();
  tell("commit");
}

export const canUndo = () => index > 0;
export const canRedo = () => index < history.length - 1;

export function step(by) {
  if (!history[index + by]) return false;
  index += by;
  doc = JSON.parse(history[index]);
  keep();
  tell("step");
  return true;
}

export function open(name) {
  tab = name;
  keep();
  tell("tab");
}

export const painting = () => files.get(doc.painting) ?? null;
export const element = () => files.get(doc.element) ?? null;
export const photo = () => files.get(doc.photo) ?? null;

// Where there is no room for the whole history, its last steps are kept.
function keep() {
  for (const count of [Infinity, 10, 1]) {
    const from = Math.max(0, index + 1 - count), kept = history.slice(from, index + count);
    try {
      localStorage.setItem(key, JSON.stringify({ history: kept, index: index - from, tab }));
      return;
    } catch { /* full, or forbidden */ }
  }
}

// Pictures may come from another window.
export const learn = (session) => session.files.forEach((file) => files.set(file.id, file));

// Go on where this session was, if it was anywhere; forget others'.
export function begin(session) {
  key = `harmonize ${session.id}`;
  learn(session);
  try {
    Object.keys(localStorage).filter((name) => name.startsWith("harmonize ") && name !== key)
      .forEach((name) => localStorage.removeItem(name));
    const kept = JSON.parse(localStorage.getItem(key));
    if (!kept) return false;
    ({ history, index, tab } = kept);
    doc = JSON.parse(history[index]);
    return true;
  } catch { return false; }
}
