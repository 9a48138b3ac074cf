// How answers are made, as a dialog. Kept by the browser and sent with every message.

import { button, el, sheet } from './dom.js';
import { preferences } from './storage.js';
import { strings, t } from './strings.js';

const MAX_SEED = 2 ** 31;
const DEFAULTS = { system: '', seed: 0, temperature: 0, steps: 0, guidance: 0, maxTokens: 256, via: '' };
const SHOWN_GUIDANCE = 20;

export function randomSeed() {
  return Math.floor(Math.random() * MAX_SEED);
}

/** Return the kept settings; each change is kept at once. */
export function keptSettings() {
  const kept = preferences.get('settings') ?? {};
  const defaults = { modalities: [], ...DEFAULTS };
  const settings = Object.fromEntries(
    Object.entries(defaults).map(([name, value]) => [
      name,
      typeof kept[name] === typeof value ? kept[name] : value,
    ]),
  );
  return new Proxy(settings, {
    set(target, name, value) {
      target[name] = value;
      preferences.set('settings', { ...target });
      return true;
    },
  });
}

/** Build the dialog. `limits` and `vias` are the server's, as /v1/models states them. */
export function settingsDialog(settings, { limits, vias = [] }) {
  const orDefault = (value) => (value ? String(value) : t('modelDefault'));
  const rows = [
    systemRow(settings),
    seedRow(settings),
    sliderRow('temperature', settings, { min: 0, max: 2, step: 0.1 }, (value) =>
      value ? value.toFixed(1) : t('greedy'),
    ),
    sliderRow('steps', settings, { min: 0, max: limits.max_inference_steps, step: 1 }, orDefault),
    sliderRow(
      'guidance',
      settings,
      { min: 0, max: Math.min(SHOWN_GUIDANCE, limits.max_guidance_scale), step: 0.5 },
      orDefault,
    ),
    sliderRow('maxTokens', settings, { min: 1, max: limits.max_tokens, step: 1 }, (count) =>
      t('tokens', { count }),
    ),
    ...(vias.length > 1 ? [viaRow(settings, vias)] : []),
  ];
  const reset = el(
    'button',
    {
      type: 'button',
      class: 'plain',
      onclick: () => {
        Object.assign(settings, { ...DEFAULTS, maxTokens: Math.min(DEFAULTS.maxTokens, limits.max_tokens) });
        rows.forEach((row) => row.show());
      },
    },
    t('reset'),
  );
  return sheet(t('settings'), t('close'), rows, el('div', { class: 'buttons' }, reset));
}

function systemRow(settings) {
  const field = el('textarea', {
    id: 'system',
    rows: 3,
    dir: 'auto',
    'aria-describedby': 'system-help',
    oninput: () => {
      settings.system = field.value;
    },
  });
  const row = el(
    'div',
    { class: 'setting' },
    el('label', { for: 'system' }, t('system')),
    field,
    el('p', { class: 'help', id: 'system-help' }, t('systemHelp')),
  );
  row.show = () => {
    field.value = settings.system;
  };
  row.show();
  return row;
}

/** Choose the origin of media; shown if the server has an index. */
function viaRow(settings, vias) {
  const option = (value, label) => el('option', { value }, label);
  const field = el(
    'select',
    {
      id: 'via',
      onchange: () => {
        settings.via = field.value;
      },
    },
    option('', t('serverDefault')),
    vias.map((via) => option(via, strings.vias[via])),
  );
  const row = el('div', { class: 'setting' }, el('label', { for: 'via' }, t('via')), field);
  row.show = () => {
    field.value = vias.includes(settings.via) ? settings.via : '';
  };
  row.show();
  return row;
}

function seedRow(settings) {
  const field = el('input', {
    type: 'number',
    id: 'seed',
    min: 0,
    max: MAX_SEED - 1,
    step: 1,
    inputmode: 'numeric',
    'aria-describedby': 'seed-help',
    oninput: () => {
      settings.seed = Math.max(0, Math.min(MAX_SEED - 1, Math.floor(Number(field.value) || 0)));
    },
  });
  const row = el(
    'div',
    { class: 'setting' },
    el('label', { for: 'seed' }, t('seed')),
    el(
      'div',
      { class: 'pair' },
      field,
      button('dice', t('seed'), () => {
        settings.seed = randomSeed();
        row.show();
      }),
    ),
    el('p', { class: 'help', id: 'seed-help' }, t('seedHelp')),
  );
  row.show = () => {
    field.value = settings.seed;
  };
  row.show();
  return row;
}

function sliderRow(name, settings, range, format) {
  const value = el('output', { for: name });
  const field = el('input', {
    type: 'range',
    id: name,
    ...range,
    oninput: () => {
      settings[name] = Number(field.value);
      label();
    },
  });
  const label = () => {
    value.textContent = format(settings[name]);
    field.setAttribute('aria-valuetext', value.textContent);
  };
  const row = el('div', { class: 'setting' }, el('label', { for: name }, t(name), value), field);
  row.show = () => {
    field.value = settings[name];
    label();
  };
  row.show();
  return row;
}
