// Pictures, sounds and films as cards with their actions.

import { button, clock, fill, h, icon, span } from './dom.js';

const SMALL_PX = 256;
const SVG = 'http://www.w3.org/2000/svg';

/** Where the file of a part is. */
export function address(room, part) {
  return `rooms/${room}/media/${part.name}`;
}

/** A medium with what can be done with it. `use` is left out where the medium cannot become input. */
export function card(room, part, words, use) {
  const source = address(room, part);
  const download = h(
    'a',
    { class: 'round', href: source, download: part.name, 'aria-label': words.download, title: words.download },
    icon('down'),
  );
  return h(
    'figure',
    { class: `medium ${part.kind}`, 'data-kind': part.kind, 'data-name': part.name },
    body(part, source, words),
    h(
      'figcaption',
      {},
      use ? button('use', words.use, () => use(part), { wide: true, class: 'use' }) : null,
      download,
      h('span', { class: 'facts' }, facts(part)),
    ),
  );
}

function body(part, source, words) {
  if (part.kind === 'image') return picture(part, source, words);
  if (part.kind === 'audio') return sound(part, source, words);
  if (part.kind === 'video') return film(part, source, words);
  return h('a', { href: source }, part.name);
}

function facts(part) {
  const size = part.width ? `${part.width} × ${part.height}` : null;
  return [size, part.seconds ? span(part.seconds) : null].filter(Boolean).join(' · ');
}

function crisp(part) {
  return Math.max(part.width, part.height) <= SMALL_PX ? 'crisp' : '';
}

function picture(part, source, words) {
  const shown = h('img', { src: source, alt: words.names.image, class: crisp(part), width: part.width, height: part.height });
  const open = () => {
    const large = h('img', { src: source, alt: words.names.image, class: crisp(part) });
    const dialog = h(
      'dialog',
      { class: 'lightbox', 'aria-label': words.names.image, onclick: () => dialog.close(), onclose: () => dialog.remove() },
      large,
      button('close', words.close, () => dialog.close()),
    );
    document.querySelector('.ng').append(dialog);
    dialog.showModal();
  };
  return h('button', { type: 'button', class: 'frame', 'aria-label': words.enlarge, onclick: open }, shown);
}

function film(part, source, words) {
  const calm = matchMedia('(prefers-reduced-motion: reduce)').matches;
  const shown = h('video', {
    src: source, class: crisp(part), width: part.width, height: part.height, controls: true, loop: true, playsinline: true,
    preload: 'auto', 'aria-label': words.names.video,
  });
  shown.muted = true; // browsers start films by themselves where they are silent
  if (!calm) shown.autoplay = true;
  return h('div', { class: 'frame' }, shown);
}

/** A player whose waveform is its slider. */
function sound(part, source, words) {
  const audio = h('audio', { src: source, preload: 'auto', 'aria-label': words.names.audio });
  const toggle = button('play', words.play, () => (audio.paused ? audio.play() : audio.pause()), { class: 'toggle' });
  const seek = h('input', {
    type: 'range', min: 0, max: 1000, value: 0, step: 1, class: 'seek', 'aria-label': words.position,
    oninput: () => { if (audio.duration) audio.currentTime = (seek.value / 1000) * audio.duration; },
  });
  const time = h('span', { class: 'time' }, clock(part.seconds));
  const bars = waveform(part.peaks);
  const tell = () => {
    const share = audio.duration ? audio.currentTime / audio.duration : 0;
    seek.value = share * 1000;
    seek.setAttribute('aria-valuetext', clock(audio.currentTime));
    bars.style.setProperty('--share', `${share * 100}%`);
    time.textContent = clock(audio.paused && !audio.currentTime ? part.seconds : audio.currentTime);
  };
  const turn = () => {
    const [name, label] = audio.paused ? ['play', words.play] : ['pause', words.pause];
    toggle.replaceChildren(icon(name));
    toggle.setAttribute('aria-label', label);
    toggle.title = label;
    const follow = () => { tell(); if (!audio.paused) requestAnimationFrame(follow); };
    follow();
  };
  for (const event of ['play', 'pause', 'ended']) audio.addEventListener(event, turn);
  audio.addEventListener('seeked', tell);
  return h('div', { class: 'player' }, audio, toggle, h('div', { class: 'wave' }, bars, seek), time);
}

function waveform(peaks) {
  const svg = document.createElementNS(SVG, 'svg');
  svg.setAttribute('viewBox', `0 0 ${peaks.length * 4} 48`);
  svg.setAttribute('preserveAspectRatio', 'none');
  svg.setAttribute('aria-hidden', 'true');
  const path = document.createElementNS(SVG, 'path');
  const line = (peak, place) => {
    const half = Math.max(1, peak * 22);
    return `M${place * 4 + 2} ${24 - half}V${24 + half}`;
  };
  path.setAttribute('d', peaks.map(line).join(''));
  svg.append(path);
  const played = svg.cloneNode(true);
  played.classList.add('played');
  return h('div', { class: 'bars' }, svg, played);
}

/** A medium on its way: its step, the time left, and how it looks by now. */
export function making(step, words) {
  const told = h('span', { class: 'step' });
  const bar = h('progress', { max: step.total, value: step.step });
  const look = h('div', { class: 'look' });
  const shown = h(
    'div',
    { class: `making ${step.kind}`, 'data-kind': step.kind },
    look,
    h('label', {}, h('span', { class: 'line' }, icon(step.kind), told), bar),
  );
  shown.update = (now) => {
    const parts = [fill(words.making, { modality: words.names[now.kind] ?? now.kind, step: now.step, total: now.total })];
    if (now.left_s !== null) parts.push(fill(words.left, { seconds: Math.ceil(now.left_s) }));
    told.textContent = parts.join(' · ');
    bar.value = now.step;
    bar.max = now.total;
    if (now.preview) {
      const image = look.querySelector('img') ?? look.appendChild(h('img', { alt: '' }));
      image.src = now.preview;
    }
  };
  shown.update(step);
  return shown;
}
