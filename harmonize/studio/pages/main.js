// The page: pictures come in, one of four steps is open, what is seen follows the hand.

import * as api from "./api.js";
import * as cut from "./cut.js";
import * as detail from "./detail.js";
import { $, $$, complain, later, make, round, say } from "./dom.js";
import * as geometry from "./geometry.js";
import * as place from "./place.js";
import * as runs from "./runs.js";
import * as seen from "./seen.js";
import * as stage from "./stage.js";
import * as state from "./state.js";

const { files } = state;
let session = null;
let alone = false;

// --- what is seen ---------------------------------------------------------------------------------

function show() {
  stage.setScene(seen.scene(alone));
  const current = state.tab !== "cut" && runs.current();
  $("#welcome").hidden = Boolean(state.painting() || state.photo() || state.element());
  $("#compare").hidden = !current?.image || alone || current.task.state !== "done";
  const badge = alone ? "Painting alone" : seen.mixing ? "Matching the colors …" : current ? { running: "Painting …", waiting: "Waits its turn", done: "" }[current.task.state] : "";
  $("#badge").hidden = !badge;
  $("#badge").textContent = badge;
  $("#stage").setAttribute("aria-label", described(current));
}

function described(current) {
  if (state.tab === "cut" && state.photo()) return `The photograph ${state.photo().name}, to be cut out.`;
  if (!state.painting()) return "Nothing is loaded yet.";
  if (current) return `The painting with the element, painted: ${runs.summary(current.task)}.`;
  if (!state.doc.placement) return `The painting ${state.painting().name}.`;
  const { at, width, rotate } = state.doc.placement;
  return `The painting with the element pasted: left ${at[0]}, top ${at[1]}, ${width} pixels wide, turned by ${rotate} degrees. Arrow keys move it.`;
}

// --- steps ----------------------------------------------------------------------------------------

const TABS = ["load", "cut", "place", "paint"];

function showTab() {
  const focused = document.activeElement.closest("[role=tabpanel]");
  for (const name of TABS) {
    const tab = $(`#tab-${name}`), here = name === state.tab;
    tab.setAttribute("aria-selected", here);
    tab.tabIndex = here ? 0 : -1;
    if (here && $(`#${name}`).hidden) $(".sheets").scrollTop = 0;
    $(`#${name}`).hidden = !here;
  }
  if (focused?.hidden) $(`#tab-${state.tab}`).focus();
}

for (const name of TABS) $(`#tab-${name}`).addEventListener("click", () => go(name));
$("[role=tablist]").addEventListener("keydown", (event) => {
  const by = { ArrowRight: 1, ArrowLeft: -1 }[event.key], here = TABS.indexOf(state.tab);
  const next = by ? TABS[(here + by + 4) % 4] : { Home: "load", End: "paint" }[event.key];
  if (!next) return;
  event.preventDefault();
  go(next);
  $(`#tab-${next}`).focus();
});

function go(name) {
  if (name === "cut" || name === "place") runs.look(null);
  state.open(name);
}

// --- pictures come in -----------------------------------------------------------------------------

async function receive(role, act) {
  const section = $(`.picture[data-role=${role}]`) ?? $("#cut");
  const bar = $("progress", section), error = $(".error", section);
  const told = (share) => { if (bar && share < 1) bar.value = share; else bar?.removeAttribute("value"); };
  complain(error, null);
  if (bar) bar.hidden = false;
  told(1);
  try { accept(role, await act(told)); } catch (problem) { complain(error, problem); } finally { if (bar) bar.hidden = true; }
}

const load = (role, file, name) => receive(role, (told) => api.upload(role, file, name ?? file.name ?? "pasted.png", session.limits.upload, told));
const loadSample = (role, name) => receive(role, () => api.sample(name));

function accept(role, file) {
  files.set(file.id, file);
  runs.look(null);
  if (role === "mask") { state.commit({ cut: { ...(state.doc.cut ?? cut.fresh()), mask: file.id } }); cut.refresh(); return; }
  const changes = {};
  if (role === "painting") { changes.painting = file.id; api.warm(file.id); }
  else if (file.box) Object.assign(changes, { element: file.id, photo: null, cut: null });
  else Object.assign(changes, { photo: file.id, element: null, cut: cut.fresh() });
  put(changes);
  if (role === "element" && !file.box) { cut.forget(); state.open("cut"); }
  else if (state.painting() && state.element()) state.open("place");
  say(`${file.name} is loaded, ${file.width} by ${file.height} pixels.`);
}

// Where there is a painting and an element and no place, the middle.
function put(changes) {
  const next = { ...state.doc, ...changes };
  const [painting, element] = [files.get(next.painting), files.get(next.element)];
  const moved = next.painting !== state.doc.painting || (next.element !== state.doc.element && files.get(next.element)?.source !== files.get(state.doc.element)?.source);
  if (painting && element && (moved || !next.placement)) changes.placement = geometry.first(element, painting);
  state.commit(changes);
}

$("#cut-use").addEventListener("click", async () => {
  const file = await cut.use();
  if (!file) return;
  files.set(file.id, file);
  if (file.source !== state.doc.photo) return;  // another photograph came meanwhile
  put({ element: file.id });
  state.open(state.painting() ? "place" : "load");
});

$$("input[type=file]").forEach((input) => input.addEventListener("change", () => {
  if (input.files[0]) load(input.dataset.role, input.files[0]);
  input.value = "";
}));

const dropping = $("#dropping");
let deep = 0;
addEventListener("dragenter", (event) => {
  if (!event.dataTransfer?.types.includes("Files")) return;
  deep += 1;
  dropping.hidden = false;
});
addEventListener("dragleave", () => { deep = Math.max(0, deep - 1); if (!deep) dropping.hidden = true; });
addEventListener("dragover", (event) => event.preventDefault());
addEventListener("drop", (event) => {
  event.preventDefault();
  deep = 0;
  dropping.hidden = true;
  const dropped = [...(event.dataTransfer?.files ?? [])];
  const first = event.target.closest?.("[data-role]")?.dataset.role ?? wanted();
  dropped.slice(0, 2).forEach((file, index) => load(index ? (first === "painting" ? "element" : "painting") : first, file));
});
const wanted = () => (state.painting() ? "element" : "painting");
addEventListener("paste", (event) => {
  const [file] = [...(event.clipboardData?.files ?? [])].filter((one) => one.type.startsWith("image/"));
  if (file) load(wanted(), file, file.name || "pasted.png");
});

function showPictures() {
  const now = { painting: state.painting(), element: state.photo() ?? state.element() };
  for (const [role, file] of Object.entries(now)) {
    const section = $(`.picture[data-role=${role}]`), chosen = $(".chosen", section);
    chosen.hidden = !file;
    $(".hint", section).hidden = Boolean(file);
    $(".choose span", section).textContent = file ? "Choose another" : { painting: "Choose a painting", element: "Choose a photograph or a cut-out" }[role];
    if (!file) continue;
    const path = `/api/files/${file.id}/view`;
    if ($("img", chosen).getAttribute("src") !== path) $("img", chosen).src = path;
    $("strong", chosen).textContent = file.name;
    $(".quiet", chosen).textContent = [`${file.width} × ${file.height}`, ...file.notes].join(" · ");
  }
}

function showSamples() {
  for (const group of $$(".samples")) {
    const { role } = group.dataset;
    group.replaceChildren(...session.samples.filter((one) => one.role === role).map(({ name }) => {
      const words = name.replaceAll(/[-_]/g, " ");
      const button = make("button", { type: "button", title: words }, make("img", { src: `/api/samples/${name}`, alt: words, loading: "lazy" }));
      button.addEventListener("click", () => loadSample(role, name));
      return button;
    }));
  }
}

// --- settings -------------------------------------------------------------------------------------

const option = (name, value) => {
  const options = { ...state.doc.options };
  if (value === null) delete options[name]; else options[name] = value;
  runs.look(null);
  state.change({ options });
  settled();
};
const settled = later(300, () => state.commit());

$("#strength").addEventListener("input", () => option("strength", +$("#strength").value));
$("#strength-auto").addEventListener("change", () => option("strength", $("#strength-auto").checked ? null : +$("#strength").value));
$("#keep").addEventListener("input", () => option("keep", +$("#keep").value ? round(2 ** $("#keep").value, 2) : null));
$("#keep-color").addEventListener("input", () => option("keep_color", +$("#keep-color").value));
$("#seed").addEventListener("change", () => option("seed", Math.max(0, Math.round(+$("#seed").value)) || null));
$("#preset").addEventListener("change", () => { runs.look(null); state.commit({ preset: $("#preset").value }); });
$("#preview").addEventListener("click", () => runs.ask("preview"));
$("#do-paint").addEventListener("click", () => { state.open("paint"); runs.ask(state.doc.preset); });
$("#replace").addEventListener("click", () => go("place"));

function showSettings() {
  const { options, preset } = state.doc, { defaults } = session;
  $("#strength-auto").checked = options.strength == null;
  if (options.strength != null) $("#strength").value = options.strength;
  $("#paint output[for=strength]").textContent = options.strength ?? "auto";
  $("#keep").value = Math.log2(options.keep ?? 1);
  $("#paint output[for=keep]").textContent = `× ${round(options.keep ?? 1, 2)}`;
  $("#keep-color").value = options.keep_color ?? defaults.keep_color;
  $("#paint output[for=keep-color]").textContent = options.keep_color ?? defaults.keep_color;
  if (document.activeElement !== $("#seed")) $("#seed").value = options.seed ?? 0;
  $("#preset").value = preset;
  $("#preset-about").textContent = session.presets.find((one) => one.name === preset)?.about ?? "";
  $("#go-hint").textContent = missing();
  $("#preview").disabled = $("#do-paint").disabled = Boolean($("#go-hint").textContent);
}

// What must be done before anything can be painted.
function missing() {
  const { placement } = state.doc;
  if (state.painting() && state.element() && placement) return geometry.area(state.element(), state.painting(), placement) ? "" : "It lies outside the painting; drag it back, or press Center.";
  if (state.photo()) return state.painting() ? "Now cut the thing out." : "Cut the thing out, and choose a painting.";
  if (state.painting()) return "Now choose what to put into it.";
  return state.element() ? "Now choose a painting." : "First choose a painting, and what to put into it.";
}

// --- keys and buttons -----------------------------------------------------------------------------

const writes = (node) => node.matches?.("input:not([type=range]):not([type=checkbox]):not([type=radio]), select, textarea");

function undo(by) {
  state.commit();  // what the hand has just done is a step of its own
  const before = state.doc;
  if (!state.step(by)) return;
  runs.look(null);
  if (["painting", "photo", "element"].some((role) => before[role] !== state.doc[role])) state.open(nextStep());
  say(by < 0 ? "Undone." : "Done again.");
}

function nextStep() {
  if (state.photo() && !state.element()) return "cut";
  return state.painting() && state.element() ? "place" : "load";
}
$("#undo").addEventListener("click", () => undo(-1));
$("#redo").addEventListener("click", () => undo(1));
$("#zoom-in").addEventListener("click", () => stage.zoom(1.4));
$("#zoom-out").addEventListener("click", () => stage.zoom(1 / 1.4));
$("#zoom").addEventListener("click", () => stage.fit());
stage.zoomed.push((scale, fitted) => {
  $("#zoom").textContent = fitted ? "Fit" : `${Math.round(100 * scale)} %`;
  $("#zoom").setAttribute("aria-label", `Zoom ${Math.round(100 * scale)} %: fit the picture`);
});

function lonely(on) {
  if (alone === on) return;
  alone = on;
  $("#alone").setAttribute("aria-pressed", on);
  show();
}
$("#alone").addEventListener("click", () => lonely(!alone));

// Tab shows the painting alone only for the mouse; whoever walks by keys goes on with it.
let over = false, walking = false;
$("#stage").addEventListener("pointerenter", () => { over = true; });
$("#stage").addEventListener("pointerleave", () => { over = false; });
addEventListener("pointerdown", () => { walking = false; });

addEventListener("keydown", (event) => {
  if (event.defaultPrevented) return;
  const strong = event.ctrlKey || event.metaKey;
  if (strong && !writes(event.target) && event.key.toLowerCase() === "z") { undo(event.shiftKey ? 1 : -1); event.preventDefault(); return; }
  if (strong && event.key.toLowerCase() === "y" && !writes(event.target)) { undo(1); event.preventDefault(); return; }
  if (strong || event.altKey || writes(event.target)) return;
  const loose = [document.body, $("#stage"), $("#panel")].includes(event.target);
  if (event.key === "Tab") {
    if (over && loose && !walking) { lonely(true); event.preventDefault(); } else walking = true;
    return;
  }
  if (event.key.toLowerCase() === "p" && !event.repeat) { lonely(true); return; }
  if (!loose) return;
  const views = { "+": () => stage.zoom(1.25), "=": () => stage.zoom(1.25), "-": () => stage.zoom(0.8), 0: stage.fit, 1: stage.pixels };
  if (views[event.key]) views[event.key]();
  else if (state.tab === "cut" ? cut.key(event) : edit(event)) event.preventDefault();
});
addEventListener("keyup", (event) => { if (event.key === "Tab" || event.key.toLowerCase() === "p") lonely(false); });

// The colors follow as soon as a key or a slider is let go; the step of the history may come later.
for (const name of ["keyup", "change"]) addEventListener(name, () => { if (state.tab !== "cut") seen.mapPalette(); });

function edit(event) {
  if (runs.shown && event.key.startsWith("Arrow")) runs.look(null);
  return place.key(event);
}

// --- begin ----------------------------------------------------------------------------------------

function all(why) {
  if (why === "tab" || why === "step") { showTab(); cut.refresh(); }
  if (why === "change" && runs.shown && state.tab !== "cut") runs.look(null);
  showPictures();
  cut.show();
  place.show();
  showSettings();
  $("#undo").disabled = !state.canUndo();
  $("#redo").disabled = !state.canRedo();
  show();
  if (why !== "change" && state.tab !== "cut") seen.mapPalette();
}

async function begin() {
  if (location.search) window.history.replaceState(null, "", "/");
  session = await api.session();
  const before = state.begin(session);
  $("#preset").replaceChildren(...session.presets.filter(({ name }) => name !== "preview").map(({ name }) => make("option", { value: name, textContent: name })));
  showSamples();
  state.onChange(all);
  detail.begin(stage.draw);
  seen.begin(show);
  runs.begin(session, {
    redraw: show,
    rested: seen.mapPalette,
    opened: ({ asked: { painting, element, placement, preset, options } }) => {
      const kept = runs.shown, photo = files.get(files.get(element)?.source)?.id ?? null;
      state.commit({ painting, element, placement, options, photo, preset: preset === "preview" ? state.doc.preset : preset, cut: photo === state.doc.photo ? state.doc.cut : null });
      state.open("paint");
      runs.look(kept);
    },
  });
  if (!before) for (const [role, file] of Object.entries(session.start)) accept(role, file);
  all("tab");
  document.documentElement.dataset.ready = "yes";
}

begin().catch((error) => { $(".drop p").textContent = error.message; });
