// What the page asks the server for.

async function answer(response) {
  if (response.ok) return response;
  const text = await response.text();
  let reason = text;
  try { reason = JSON.parse(text).error; } catch { /* plain words */ }
  throw new Error(reason || `The studio answered ${response.status}.`);
}

async function ask(path, options) {
  let response;
  try {
    response = await fetch(path, options);
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Error("The studio does not answer; is it still running?");
  }
  return answer(response);
}

const send = (path, body, more = {}) => ask(path, {
  method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body ?? {}), ...more,
});

export const session = async () => (await ask("/api/session")).json();
export const sample = async (name) => (await send("/api/samples", { name })).json();
export const paint = async (asked) => (await send("/api/tasks", asked)).json();
export const stop = async (id) => (await send(`/api/tasks/${id}/stop`)).json();
export const command = async (id) => (await (await ask(`/api/tasks/${id}/command`)).json()).command;
export const cutWhole = async (cut) => (await send("/api/cutout", { ...cut, whole: true })).json();

// The answer is a picture, and what is known of it.
export async function cutQuick(cut, signal) {
  const response = await send("/api/cutout", cut, { signal });
  return { image: await bitmap(await response.blob()), facts: JSON.parse(response.headers.get("X-Mask")) };
}

export async function palette(asked, signal) {
  const response = await send("/api/palette", asked, { signal });
  if (response.status === 204) return null;  // something is being painted
  return { image: await bitmap(await response.blob()), window: JSON.parse(response.headers.get("X-Window")) };
}

// The painting is looked at already, so that the first palette map comes quickly.
export const warm = (painting) => send("/api/warm", { painting }).catch(() => {});

export const bitmap = (blob) => createImageBitmap(blob);

export async function picture(path) {
  return bitmap(await (await ask(path)).blob());
}

// Files are sent as they are; `progress` is told of the share that has gone.
export function upload(role, file, name, limit, progress) {
  if (file.size > limit) return Promise.reject(new Error("This file is too large."));
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    request.open("POST", `/api/files?${new URLSearchParams({ role, name })}`);
    request.responseType = "text";
    request.upload.onprogress = (event) => progress(event.loaded / Math.max(event.total, 1));
    request.onerror = () => reject(new Error("The studio does not answer; is it still running?"));
    request.onload = () => {
      let told = {};
      try { told = JSON.parse(request.responseText); } catch { told = { error: request.responseText }; }
      if (request.status === 200) resolve(told); else reject(new Error(told.error || "The upload failed."));
    };
    request.send(file);
  });
}

export function events(changed) {
  const source = new EventSource("/api/events");
  source.onmessage = (event) => changed(JSON.parse(event.data));
  return source;
}
