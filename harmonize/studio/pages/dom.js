// Small things of the page: finding and making elements.

export const $ = (selector, root = document) => root.querySelector(selector);
export const $$ = (selector, root = document) => [...root.querySelectorAll(selector)];

export function make(tag, properties = {}, ...children) {
  const node = Object.assign(document.createElement(tag), properties);
  node.append(...children);
  return node;
}

// Say something to those who can't see the picture.
export const say = (text) => { $("#status").textContent = text; };

// What the program says, as a sentence of the page.
export function sentence(text) {
  const plain = text.replaceAll("`", "").replace(/^placement: /, "");
  return plain[0].toUpperCase() + plain.slice(1) + (/[.?!…]$/.test(plain) ? "" : ".");
}

// An error is one line, in the section that it belongs to.
export function complain(where, error) {
  const line = typeof where === "string" ? $(where) : where;
  line.textContent = error ? sentence(String(error.message ?? error)) : "";
}

// Wait for the hand to rest.
export function later(wait, act) {
  let timer = 0;
  return (...given) => { clearTimeout(timer); timer = setTimeout(() => act(...given), wait); };
}

export const clamp = (value, low, high) => Math.min(Math.max(value, low), high);
export const round = (value, digits = 0) => Number(value.toFixed(digits));
