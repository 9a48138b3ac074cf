// How answers are made, as a window. What stands here is kept by the browser and sent with every message.

import { button, fill, h, sheet } from './dom.js';
import { memory } from './memory.js';

const SEEDS = 2 ** 31;

/** The wishes as they were left; whatever is not kept stands at its default. */
export function keptWishes(limits) {
  const defaults = { modalities: [], ...untouched(limits) };
  const kept = memory.wishes;
  const wishes = Object.fromEntries(Object.keys(defaults).map((name) => [name, kept[name] ?? defaults[name]]));
  return new Proxy(wishes, {
    set(target, name, value) {
      target[name] = value;
      memory.wishes = { ...target };
      return true;
    },
  });
}

function untouched(limits) {
  return { seed: 0, steps: 0, guidance: 0, length: limits.length };
}

export function anySeed() {
  return Math.floor(Math.random() * SEEDS);
}

export function settings(words, limits, wishes) {
  const own = (value) => (value ? String(value) : words.model_default);
  const rows = [
    seedRow(words, wishes),
    sliderRow('steps', words.steps, wishes, { min: 0, max: limits.steps, step: 1 }, own),
    sliderRow('guidance', words.guidance, wishes, { min: 0, max: Math.min(20, limits.guidance), step: 0.5 }, own),
    sliderRow('length', words.length, wishes, { min: 1, max: limits.tokens, step: 1 }, (count) => fill(words.tokens, { count })),
  ];
  const reset = h('button', { type: 'button', class: 'plain', onclick: () => {
    Object.assign(wishes, untouched(limits));
    rows.forEach((row) => row.show());
  } }, words.reset);
  return sheet(words.settings, words, rows, h('div', { class: 'buttons' }, reset));
}

function seedRow(words, wishes) {
  const field = h('input', {
    type: 'number', id: 'seed', min: 0, max: SEEDS - 1, step: 1, inputmode: 'numeric',
    oninput: () => { wishes.seed = Math.max(0, Math.min(SEEDS - 1, Math.floor(Number(field.value) || 0))); },
  });
  const row = h(
    'div',
    { class: 'setting' },
    h('label', { for: 'seed' }, words.seed),
    h('div', { class: 'pair' }, field, button('dice', words.seed, () => { wishes.seed = anySeed(); row.show(); })),
    h('p', { class: 'help' }, words.seed_help),
  );
  row.show = () => { field.value = wishes.seed; };
  row.show();
  return row;
}

function sliderRow(name, label, wishes, range, tell) {
  const value = h('output', { for: name });
  const field = h('input', { type: 'range', id: name, ...range, oninput: () => { wishes[name] = Number(field.value); told(); } });
  const told = () => {
    value.textContent = tell(wishes[name]);
    field.setAttribute('aria-valuetext', value.textContent);
  };
  const row = h('div', { class: 'setting' }, h('label', { for: name }, label, value), field);
  row.show = () => { field.value = wishes[name]; told(); };
  row.show();
  return row;
}
