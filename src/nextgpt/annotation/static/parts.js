// Text and media of a message, as people see, hear and play them.

import { button, el, icon, openDialog } from './dom.js';

const SMALL_PX = 256;

/** Build the elements of the parts of a message. */
export function partsView(parts, label) {
  const views = parts.map((part, index) => partView(part, `${label}, ${part.type} ${index + 1}`));
  return views.length ? views : [el('p', { class: 'help' }, 'The answer is empty.')];
}

/** Build one message with its role. */
export function messageView(message) {
  const name = { user: 'Request', assistant: 'Earlier answer', system: 'Setting' }[message.role];
  return el('div', { class: `message ${message.role}` }, el('h3', {}, name), partsView(message.parts, name));
}

function partView(part, label) {
  if (part.type === 'text') return el('p', { class: 'text', dir: 'auto' }, part.text);
  if (part.type === 'image') return imageView(part, label);
  if (part.type === 'audio' || part.type === 'video') return playerView(part, label);
  return el('p', {}, el('a', { href: part.url, download: part.type }, icon('down'), ` ${part.type}`));
}

function imageView(part, label) {
  const image = el('img', { src: part.url, alt: label, onload: markSmall });
  const open = () => {
    const dialog = el(
      'dialog',
      { class: 'lightbox', 'aria-label': label, onclick: () => dialog.close() },
      el('img', { src: part.url, alt: label, onload: markSmall }),
      button('close', 'Close', () => dialog.close()),
    );
    openDialog(dialog);
  };
  return el('button', { type: 'button', class: 'frame', 'aria-label': `Enlarge: ${label}`, onclick: open }, image);
}

function playerView(part, label) {
  const player = el(part.type, { controls: true, preload: 'auto', src: part.url, 'aria-label': label });
  if (part.type === 'audio') return player;
  player.loop = true;
  player.playsInline = true;
  player.addEventListener('loadedmetadata', markSmall);
  return el('div', { class: 'frame' }, player);
}

/** Small images and videos are enlarged with visible pixels. */
function markSmall({ target }) {
  const width = target.naturalWidth || target.videoWidth;
  const height = target.naturalHeight || target.videoHeight;
  target.classList.toggle('pixels', Math.max(width, height) <= SMALL_PX);
}

/** Play or pause the first audio or video of an element. */
export function togglePlayer(element) {
  const player = element?.querySelector('audio, video');
  if (player?.paused) player.play();
  else player?.pause();
}

/** Build the view of an error, with a button that tries again. */
export function failureView(error, again) {
  return el(
    'section',
    { class: 'start' },
    el('p', { class: 'problem', role: 'alert' }, error.message),
    el('button', { class: 'main', type: 'button', onclick: again }, 'Try again'),
  );
}

/** Build the head of the page: its title and the progress in numbers and as a bar. */
export function progressView(title, label, done, total, facts) {
  return el(
    'div',
    {},
    el('h1', {}, title),
    el('progress', { max: total, value: done, 'aria-label': label }),
    el('span', { class: 'facts' }, facts),
  );
}
