// Elements, icons and dialogs. Everything on the page is built here from text that stays text: no HTML is parsed.

const SVG = 'http://www.w3.org/2000/svg';
const ICONS = {
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
  up: 'M12 16V5M7 9.5l5-5 5 5M5 20h14',
  latest: 'M12 5v14M5.5 12.5L12 19l6.5-6.5',
  bin: 'M5 7h14M10 7V4.5h4V7M7 7l.8 12.5h8.4L17 7',
  edit: 'M5 19l1-4L15.5 5.5l3 3L9 18z',
  copy: 'M9 9h10v10H9zM15 9V5H5v10h4',
  retry: 'M19 12a7 7 0 1 1-2.2-5.1M19 4v4h-4',
  repeat: 'M4 11V9.5a3 3 0 0 1 3-3h11M15 3.5l3 3-3 3M20 13v1.5a3 3 0 0 1-3 3H6M9 20.5l-3-3 3-3',
  previous: 'M14.5 6l-6 6 6 6',
  next: 'M9.5 6l6 6-6 6',
  use: 'M9 7L4 12l5 5M4 12h10a6 6 0 0 1 6 6v1',
  play: 'M8 5.5v13l10.5-6.5z',
  pause: 'M8.5 6v12M15.5 6v12',
  image: 'M4 5h16v14H4zM4 16l4.5-4.5 4 4L15 13l5 4.5M15.5 8.5h.01',
  audio: 'M4 10v4M8 7v10M12 4v16M16 8v8M20 10.5v3',
  video: 'M4 6h11v12H4zM15 11l5-3.5v9L15 13',
  mix: 'M11 4l1.7 4.8L17.5 10.5l-4.8 1.7L11 17l-1.7-4.8L4.5 10.5l4.8-1.7zM18 15.5l.8 2.2 2.2.8-2.2.8-.8 2.2-.8-2.2-2.2-.8 2.2-.8z',
  text: 'M5 6h14M5 11h14M5 16h8',
  info: 'M12 4a8 8 0 1 1 0 16 8 8 0 0 1 0-16zM12 11v5M12 8h.01',
  dice: 'M5 5h14v14H5zM9 9h.01M15 9h.01M12 12h.01M9 15h.01M15 15h.01',
};

/** Build an element. Attributes that begin with "on" are listeners; `false`, `null` and `undefined` are left out. */
export function el(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === false || value === null || value === undefined) continue;
    if (name.startsWith('on')) element.addEventListener(name.slice(2), value);
    else if (name === 'class') element.className = value;
    else if (name in element && typeof value === 'boolean') element[name] = value;
    else element.setAttribute(name, value === true ? '' : value);
  }
  element.append(
    ...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false),
  );
  return element;
}

/** Build an SVG element that assistive technology skips. */
export function svg(attributes, ...paths) {
  const element = document.createElementNS(SVG, 'svg');
  for (const [name, value] of Object.entries({ 'aria-hidden': 'true', ...attributes }))
    element.setAttribute(name, value);
  for (const data of paths) {
    const path = document.createElementNS(SVG, 'path');
    path.setAttribute('d', data);
    element.append(path);
  }
  return element;
}

export function icon(name) {
  return svg({ viewBox: '0 0 24 24', class: 'icon' }, ICONS[name]);
}

/** Build a button with an icon. Its label is its tooltip or, with `wide`, stands beside the icon. */
export function button(name, label, onclick, { wide = false, class: extra = '', ...attributes } = {}) {
  const naming = wide ? {} : { 'aria-label': label, title: label };
  return el(
    'button',
    {
      type: 'button',
      class: `${wide ? 'wide' : 'round'} ${extra}`.trim(),
      onclick,
      ...naming,
      ...attributes,
    },
    icon(name),
    wide ? el('span', {}, label) : null,
  );
}

/** Change the icon and the label of a button. */
export function relabel(element, name, label) {
  const text = element.querySelector('span');
  element.replaceChildren(icon(name), ...(text ? [el('span', {}, label)] : []));
  if (text) return;
  element.setAttribute('aria-label', label);
  element.title = label;
}

/** Format a duration in seconds, with one decimal below ten seconds. */
export function duration(seconds) {
  return seconds < 10 ? `${seconds.toFixed(1)} s` : clock(seconds);
}

/** Format seconds as minutes and seconds. */
export function clock(seconds) {
  const rounded = Math.max(0, Math.round(seconds));
  return `${Math.floor(rounded / 60)}:${String(rounded % 60).padStart(2, '0')}`;
}

/** Build a dialog with a title and a close button. A click outside closes it. */
export function sheet(title, closeLabel, ...content) {
  const dialog = el(
    'dialog',
    { class: 'sheet', 'aria-label': title, onclick: (event) => event.target === dialog && dialog.close() },
    el(
      'header',
      {},
      el('h2', {}, title),
      button('close', closeLabel, () => dialog.close()),
    ),
    el('div', { class: 'body' }, content),
  );
  return dialog;
}

/** Show a dialog and remove it when it closes; the focus returns to the element that had it. */
export function openDialog(dialog) {
  const opener = document.activeElement;
  document.body.append(dialog);
  dialog.addEventListener('close', () => {
    dialog.remove();
    if (opener?.isConnected) opener.focus({ preventScroll: true });
  });
  dialog.showModal();
  return dialog;
}

/** Copy text. Returns false where the browser does not allow it. */
export async function copyText(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    return false;
  }
}

/** Offer a blob as a download. */
export function download(blob, name) {
  const link = el('a', { href: URL.createObjectURL(blob), download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}
