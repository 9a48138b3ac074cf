// Elements and icons. Everything that the page shows is made here, from text that stays text.

const DRAWN = {
  plus: 'M12 5v14M5 12h14',
  clip: 'M20 11.5l-8.2 8.2a5 5 0 0 1-7.1-7.1l8.6-8.6a3.3 3.3 0 0 1 4.7 4.7l-8.6 8.6a1.7 1.7 0 0 1-2.4-2.4l7.8-7.8',
  mic: 'M12 3a3 3 0 0 1 3 3v5a3 3 0 0 1-6 0V6a3 3 0 0 1 3-3zM5.5 11a6.5 6.5 0 0 0 13 0M12 17.5V21',
  camera: 'M4 8h3l1.6-2.5h6.8L17 8h3v11H4zM12 10a3.3 3.3 0 1 1 0 6.6 3.3 3.3 0 0 1 0-6.6z',
  send: 'M12 20V5M5.5 11.5L12 5l6.5 6.5',
  stop: 'M7.5 7.5h9v9h-9z',
  menu: 'M4 7h16M4 12h16M4 17h16',
  close: 'M6 6l12 12M18 6L6 18',
  gear: 'M4 7h9M17 7h3M15 4.8v4.4M4 17h3M11 17h9M9 14.8v4.4',
  grid: 'M4 4h7v7H4zM13 4h7v7h-7zM4 13h7v7H4zM13 13h7v7h-7z',
  sun: 'M12 8a4 4 0 1 1 0 8 4 4 0 0 1 0-8zM12 2.5v2M12 19.5v2M2.5 12h2M19.5 12h2M5.3 5.3l1.4 1.4M17.3 17.3l1.4 1.4M18.7 5.3l-1.4 1.4M6.7 17.3l-1.4 1.4',
  moon: 'M19.5 14.5A8 8 0 0 1 9.5 4.5a8 8 0 1 0 10 10z',
  down: 'M12 4v11M7 10.5l5 5 5-5M5 20h14',
  up: 'M12 16V5M7 9.500l5-5 5 5M5 20h14',
  bin: 'M5 7h14M10 7V4.500h4V7M7 7l.8 12.500h8.400L17 7',
  edit: 'M5 19l1-4L15.500 5.500l3 3L9 18z',
  copy: 'M9 9h10v10H9zM15 9V5H5v10h4',
  retry: 'M19 12a7 7 0 1 1-2.200-5.100M19 4v4h-4',
  use: 'M9 7L4 12l5 5M4 12h10a6 6 0 0 1 6 6v1',
  play: 'M8 5.500v13l10.500-6.500z',
  pause: 'M8.500 6v12M15.500 6v12',
  image: 'M4 5h16v14H4zM4 16l4.500-4.500 4 4L15 13l5 4.500M15.500 8.500h.01',
  audio: 'M4 10v4M8 7v10M12 4v16M16 8v8M20 10.500v3',
  video: 'M4 6h11v12H4zM15 11l5-3.500v9L15 13',
  text: 'M5 6h14M5 11h14M5 16h8',
  info: 'M12 4a8 8 0 1 1 0 16 8 8 0 0 1 0-16zM12 11v5M12 8h.01',
  dice: 'M5 5h14v14H5zM9 9h.01M15 9h.01M12 12h.01M9 15h.01M15 15h.01',
};

/** An element. Attributes that begin with "on" are listeners; `false`, `null` and `undefined` are left out. */
export function h(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === false || value === null || value === undefined) continue;
    if (name.startsWith('on')) made.addEventListener(name.slice(2), value);
    else if (name === 'class') made.className = value;
    else if (name in made && typeof value === 'boolean') made[name] = value;
    else made.setAttribute(name, value === true ? '' : value);
  }
  made.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false));
  return made;
}

/** A drawing that says nothing to a screen reader. */
export function icon(name) {
  const svg = document.createElementNS('http://www.w3.org/2000/svg', 'svg');
  svg.setAttribute('viewBox', '0 0 24 24');
  svg.setAttribute('aria-hidden', 'true');
  svg.classList.add('icon');
  const path = document.createElementNS('http://www.w3.org/2000/svg', 'path');
  path.setAttribute('d', DRAWN[name]);
  svg.append(path);
  return svg;
}

/** A button with an icon; its label is read out, and shown on hover or, with `wide`, beside the icon. */
export function button(name, label, onclick, { wide = false, ...attributes } = {}) {
  const named = wide ? {} : { 'aria-label': label, title: label };
  const { class: extra = '', ...others } = attributes;
  return h(
    'button',
    { type: 'button', class: `${wide ? 'wide' : 'round'} ${extra}`.trim(), onclick, ...named, ...others },
    icon(name),
    wide ? h('span', {}, label) : null,
  );
}

/** Fill the names in braces of a text. */
export function fill(text, values) {
  return text.replace(/\{(\w+)\}/g, (whole, name) => values[name] ?? whole);
}

/** A length: with a decimal where it is short. */
export function span(seconds) {
  return seconds < 10 ? `${seconds.toFixed(1)} s` : clock(seconds);
}

/** Minutes and seconds. */
export function clock(seconds) {
  const whole = Math.max(0, Math.round(seconds));
  return `${Math.floor(whole / 60)}:${String(whole % 60).padStart(2, '0')}`;
}

/** A window over the page, closed by its button, the Escape key or a click beside it. */
export function sheet(title, words, ...content) {
  const made = h(
    'dialog',
    { class: 'sheet', 'aria-label': title, onclick: (event) => event.target === made && made.close() },
    h('header', {}, h('h2', {}, title), button('close', words.close, () => made.close())),
    h('div', { class: 'body' }, content),
  );
  return made;
}
