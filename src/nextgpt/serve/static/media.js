// Images, audio and video: read their facts from their bytes, and show them as cards with their actions.

import { button, clock, download, duration, el, icon, openDialog, relabel, sheet, svg } from './dom.js';
import { nameOf, t } from './strings.js';
import { suffixOf } from './zip.js';

const SMALL_PX = 256;
const PIXEL_ART_PX = 96;
const PEAKS = 96;
const PROBE_MS = 8000;
const DECODE_BYTES = 64 * 2 ** 20;
const SUFFIXES = {
  image: ['png', 'jpg', 'jpeg', 'gif', 'webp', 'bmp'],
  audio: ['wav', 'mp3', 'flac', 'ogg', 'opus', 'm4a'],
  video: ['mp4', 'webm', 'mkv', 'mov', 'avi'],
};

/** Turn a data URI into a blob. */
export function blobOfDataUri(uri) {
  const comma = uri.indexOf(',');
  const type = uri.slice(5, comma).replace(/;base64$/, '');
  const data = uri.slice(comma + 1);
  const bytes = Uint8Array.fromBase64
    ? Uint8Array.fromBase64(data)
    : Uint8Array.from(atob(data), (character) => character.charCodeAt(0));
  return new Blob([bytes], { type });
}

/** Turn a blob into a data URI. */
export function dataUriOf(blob, type = blob.type) {
  return new Promise((resolve, reject) => {
    const reader = new FileReader();
    reader.onload = () =>
      resolve(`data:${type};base64,${reader.result.slice(reader.result.indexOf(',') + 1)}`);
    reader.onerror = () => reject(reader.error);
    reader.readAsDataURL(blob);
  });
}

/** Guess the modality of a file by its type, otherwise by its suffix; null where neither is one of a medium. */
export function kindOf(file) {
  const [kind] = file.type.split('/');
  if (['image', 'audio', 'video'].includes(kind)) return kind;
  const suffix = /\.(\w+)$/.exec(file.name ?? '')?.[1].toLowerCase();
  return Object.keys(SUFFIXES).find((name) => SUFFIXES[name].includes(suffix)) ?? null;
}

/**
 * Read size, length and waveform of a medium: {kind, width?, height?, seconds?, peaks?}.
 *
 * What the browser cannot decode has no facts. A video file without a picture is audio.
 */
export async function probe(kind, blob) {
  const url = URL.createObjectURL(blob);
  try {
    if (kind === 'image') return { kind, ...(await probeImage(url)) };
    if (kind === 'audio') return { kind, ...(await probeAudio(blob)) };
    if (kind !== 'video') return { kind };
    const facts = await probeVideo(url);
    return facts.width === 0 ? { kind: 'audio', ...(await probeAudio(blob)) } : { kind, ...facts };
  } catch {
    return { kind };
  } finally {
    URL.revokeObjectURL(url);
  }
}

async function probeImage(url) {
  const image = new Image();
  image.src = url;
  await image.decode();
  return { width: image.naturalWidth, height: image.naturalHeight };
}

async function probeVideo(url) {
  const video = el('video', { preload: 'metadata', muted: true });
  video.src = url;
  await event(video, 'loadedmetadata');
  if (video.duration === Infinity) {
    // a recording states no length; its end tells it
    video.currentTime = 1e9;
    await event(video, 'durationchange');
  }
  const { videoWidth: width, videoHeight: height, duration: seconds } = video;
  video.removeAttribute('src');
  return { width, height, seconds };
}

/** Wait for an event of a player. */
function event(player, name) {
  return new Promise((resolve, reject) => {
    player.addEventListener(name, resolve, { once: true });
    player.addEventListener('error', () => reject(player.error), { once: true });
    setTimeout(() => reject(new Error(name)), PROBE_MS);
  });
}

async function probeAudio(blob) {
  if (blob.size > DECODE_BYTES) return {};
  const audio = await decodeAudio(blob);
  const loudness = Array.from({ length: Math.min(PEAKS, audio.length) }, () => 0);
  for (let channel = 0; channel < audio.numberOfChannels; channel += 1) {
    const samples = audio.getChannelData(channel);
    for (let at = 0; at < samples.length; at += 1) {
      const bar = Math.floor((at * loudness.length) / samples.length);
      loudness[bar] = Math.max(loudness[bar], Math.abs(samples[at]));
    }
  }
  const highest = Math.max(...loudness, 1e-6);
  return { seconds: audio.duration, peaks: loudness.map((peak) => Math.round((peak / highest) * 100) / 100) };
}

/** Decode audio of any format that the browser knows. */
export async function decodeAudio(blob) {
  return new OfflineAudioContext(1, 1, 48_000).decodeAudioData(await blob.arrayBuffer());
}

/** Describe a medium in a few words: `64 × 64 · 2.0 s`. */
export function factsOf(part) {
  const size = part.width ? `${part.width} × ${part.height}` : null;
  return [size, part.seconds ? duration(part.seconds) : null].filter(Boolean).join(' · ');
}

/** Build the card of a medium. `storage` holds its bytes; without `use` it cannot become input. */
export function card(part, storage, use) {
  const save = async () => {
    const blob = await storage.blob(part.id);
    if (blob) download(blob, part.name || `${part.kind}${suffixOf(part)}`);
  };
  return el(
    'figure',
    { class: `medium ${part.kind}`, 'data-kind': part.kind, 'data-id': part.id },
    player(part, storage),
    part.origin ? originBadge(part.origin) : null,
    el(
      'figcaption',
      {},
      use ? button('use', t('use'), () => use(part), { wide: true, class: 'use' }) : null,
      button('down', `${t('download')}: ${nameOf(part.kind)}`, save, { class: 'save' }),
      el('span', { class: 'facts' }, factsOf(part)),
    ),
  );
}

/** Name the source and the licence of a medium that was retrieved instead of generated. */
function originBadge({ caption, source, licence }) {
  const unknown = t('unknown');
  return el(
    'p',
    { class: 'origin' },
    el('strong', {}, t('retrieved')),
    ` ${caption} · ${t('source')}: ${source || unknown} · ${t('licence')}: ${licence || unknown}`,
  );
}

/** Build the dialog that shows media side by side. */
export function galleryDialog(parts, storage, use) {
  const useAndClose = (part) => {
    dialog.close();
    use(part);
  };
  const cards = parts.map((part) => card(part, storage, useAndClose));
  const content = cards.length
    ? el('div', { class: 'gallery' }, cards)
    : el('p', { class: 'help' }, t('galleryEmpty'));
  const dialog = sheet(t('gallery'), t('close'), content);
  dialog.classList.add('large');
  return dialog;
}

function player(part, storage) {
  if (part.kind === 'image') return imageFrame(part, storage);
  if (part.kind === 'audio') return audioPlayer(part, storage);
  if (part.kind === 'video') return videoPlayer(part, storage);
  return el('p', { class: 'other' }, icon('clip'), part.name || nameOf(part.kind));
}

/** Point an element at the bytes of a medium once they have been looked up. */
function load(element, part, storage) {
  storage.url(part.id).then((url) => {
    if (url) element.src = url;
  });
  return element;
}

/** The classes of small images and videos: they are enlarged, and the pixels of very small ones are shown as squares. */
export function sizeClass(part) {
  return classOf(Math.max(part.width ?? SMALL_PX + 1, part.height ?? 0));
}

function classOf(px) {
  if (px > SMALL_PX) return '';
  return px > PIXEL_ART_PX ? 'small' : 'small pixels';
}

function imageFrame(part, storage) {
  const attributes = {
    alt: part.name || nameOf('image'),
    class: sizeClass(part),
    width: part.width,
    height: part.height,
  };
  const open = () => {
    const dialog = el(
      'dialog',
      { class: 'lightbox', 'aria-label': nameOf('image'), onclick: () => dialog.close() },
      load(el('img', { alt: attributes.alt, class: attributes.class }), part, storage),
      button('close', t('close'), () => dialog.close()),
    );
    openDialog(dialog);
  };
  return el(
    'button',
    { type: 'button', class: 'frame', 'aria-label': `${t('enlarge')}: ${attributes.alt}`, onclick: open },
    load(el('img', attributes), part, storage),
  );
}

function videoPlayer(part, storage) {
  const video = el('video', {
    class: sizeClass(part),
    width: part.width,
    height: part.height,
    controls: true,
    loop: true,
    playsinline: true,
    preload: 'auto',
    'aria-label': part.name || nameOf('video'),
  });
  video.muted = true; // browsers start silent videos by themselves
  video.autoplay = !matchMedia('(prefers-reduced-motion: reduce)').matches;
  return el('div', { class: 'frame' }, load(video, part, storage));
}

/** Build an audio player whose waveform is its slider. */
function audioPlayer(part, storage) {
  const audio = load(el('audio', { preload: 'auto' }), part, storage);
  const toggle = button('play', t('play'), () => (audio.paused ? audio.play() : audio.pause()), {
    class: 'toggle',
  });
  const seek = el('input', {
    type: 'range',
    min: 0,
    max: 1000,
    value: 0,
    step: 1,
    class: 'seek',
    'aria-label': t('position'),
    oninput: () => {
      if (audio.duration) audio.currentTime = (seek.value / 1000) * audio.duration;
    },
  });
  const length = () => (Number.isFinite(audio.duration) ? audio.duration : (part.seconds ?? 0));
  const time = el('span', { class: 'time' }, clock(part.seconds ?? 0));
  const bars = waveform(part.peaks ?? [0]);
  const show = () => {
    const share = length() ? audio.currentTime / length() : 0;
    seek.value = share * 1000;
    seek.setAttribute('aria-valuetext', clock(audio.currentTime));
    bars.style.setProperty('--share', `${share * 100}%`);
    time.textContent = clock(audio.paused && !audio.currentTime ? length() : audio.currentTime);
  };
  const follow = () => {
    show();
    if (!audio.paused) requestAnimationFrame(follow);
  };
  const turn = () => {
    relabel(toggle, audio.paused ? 'play' : 'pause', t(audio.paused ? 'play' : 'pause'));
    follow();
  };
  for (const name of ['play', 'pause', 'ended']) audio.addEventListener(name, turn);
  audio.addEventListener('seeked', show);
  audio.addEventListener('loadedmetadata', show);
  return el(
    'div',
    { class: 'player', role: 'group', 'aria-label': part.name || nameOf('audio') },
    audio,
    toggle,
    el('div', { class: 'wave' }, bars, seek),
    time,
  );
}

/** Draw loudness over time; the part that was played has another colour. */
export function waveform(peaks) {
  const line = (peak, index) => {
    const half = Math.max(1, peak * 22);
    return `M${index * 4 + 2} ${24 - half}V${24 + half}`;
  };
  const box = { viewBox: `0 0 ${peaks.length * 4} 48`, preserveAspectRatio: 'none' };
  const data = peaks.map(line).join('');
  return el('div', { class: 'bars' }, svg(box, data), svg({ ...box, class: 'played' }, data));
}

/** Show a medium that is being generated: its step, the remaining time, a preview. Update it with `update(progress)`. */
export function progressCard(progress) {
  const step = el('span', { class: 'step' });
  const bar = el('progress', { max: progress.total, value: progress.step });
  const look = el('div', { class: 'look' });
  const element = el(
    'div',
    { class: `making ${progress.kind}`, 'data-kind': progress.kind },
    look,
    el('label', {}, el('span', { class: 'line' }, icon(progress.kind), step), bar),
  );
  element.update = (now) => {
    const remaining = now.remainingS === null ? [] : [t('remaining', { seconds: Math.ceil(now.remainingS) })];
    step.textContent = [
      t('progress', { modality: nameOf(now.kind), step: now.step, total: now.total }),
      ...remaining,
    ].join(' · ');
    bar.value = now.step;
    bar.max = now.total;
    if (now.preview) {
      const image =
        look.querySelector('img') ??
        look.appendChild(
          el('img', {
            alt: '',
            onload: () => (image.className = classOf(image.naturalWidth)),
          }),
        );
      if (image.src !== now.preview) image.src = now.preview;
    } else if (now.waveform) {
      look.replaceChildren(waveform(now.waveform));
    }
  };
  element.update(progress);
  return element;
}
