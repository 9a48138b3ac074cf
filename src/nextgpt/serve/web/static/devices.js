// The microphone and the camera: what they give is a file like any other.

import { button, clock, fill, h } from './dom.js';

/** Ask for a device. Throws an error whose message can be shown. */
async function stream(wanted, device, words) {
  try {
    return await navigator.mediaDevices.getUserMedia(wanted);
  } catch {
    throw new Error(fill(words.no_device, { device: device.toLowerCase() }));
  }
}

function end(source) {
  source.getTracks().forEach((track) => track.stop());
}

/** Record until `stop()` is called on what comes back; its `whole` is the recording. */
function record(source) {
  const recorder = new MediaRecorder(source);
  const pieces = [];
  recorder.addEventListener('dataavailable', (event) => pieces.push(event.data));
  const whole = new Promise((done) => recorder.addEventListener('stop', () => done(new Blob(pieces, { type: recorder.mimeType }))));
  recorder.start();
  return { stop: () => recorder.stop(), whole };
}

/** A button that records sound while it is pressed down, and gives a WAV file. */
export function microphone(words, give, fail) {
  let running = null;
  let timer = 0;
  const toggle = button('mic', words.microphone, async () => {
    if (running) {
      running.stop();
      return;
    }
    try {
      const source = await stream({ audio: true }, words.microphone, words);
      running = record(source);
      const begun = Date.now();
      show(true);
      timer = setInterval(() => toggle.style.setProperty('--time', `"${clock((Date.now() - begun) / 1000)}"`), 250);
      const recorded = await running.whole;
      end(source);
      give(new File([await wav(recorded)], 'recording.wav', { type: 'audio/wav' }));
    } catch (error) {
      fail(error.message);
    } finally {
      running = null;
      clearInterval(timer);
      show(false);
    }
  }, { class: 'mic', 'aria-pressed': 'false' });
  const show = (on) => {
    const label = on ? words.microphone_stop : words.microphone;
    toggle.setAttribute('aria-pressed', String(on));
    toggle.setAttribute('aria-label', label);
    toggle.title = label;
    toggle.style.setProperty('--time', on ? '"0:00"' : 'none');
  };
  return toggle;
}

/** A recording as 16-bit PCM in a WAV file, which every reader of sounds takes. */
async function wav(recorded) {
  const context = new AudioContext();
  const sound = await context.decodeAudioData(await recorded.arrayBuffer());
  await context.close();
  const channels = [...Array(sound.numberOfChannels).keys()].map((at) => sound.getChannelData(at));
  const bytes = sound.length * channels.length * 2;
  const view = new DataView(new ArrayBuffer(44 + bytes));
  const word = (at, text) => [...text].forEach((letter, place) => view.setUint8(at + place, letter.charCodeAt(0)));
  word(0, 'RIFF');
  view.setUint32(4, 36 + bytes, true);
  word(8, 'WAVEfmt ');
  view.setUint32(16, 16, true);
  view.setUint16(20, 1, true);
  view.setUint16(22, channels.length, true);
  view.setUint32(24, sound.sampleRate, true);
  view.setUint32(28, sound.sampleRate * channels.length * 2, true);
  view.setUint16(32, channels.length * 2, true);
  view.setUint16(34, 16, true);
  word(36, 'data');
  view.setUint32(40, bytes, true);
  let at = 44;
  for (let place = 0; place < sound.length; place += 1) {
    for (const samples of channels) {
      view.setInt16(at, Math.max(-1, Math.min(1, samples[place])) * 32767, true);
      at += 2;
    }
  }
  return view.buffer;
}

/** A button that opens the camera, to take a picture or a film. */
export function camera(words, give, fail) {
  return button('camera', words.camera, async () => {
    let source;
    try {
      source = await stream({ video: true }, words.camera, words);
    } catch (error) {
      fail(error.message);
      return;
    }
    const finder = h('video', { autoplay: true, playsinline: true, 'aria-label': words.camera });
    finder.muted = true;
    finder.srcObject = source;
    const close = () => dialog.close();
    let running = null;
    const take = h('button', { type: 'button', class: 'main take', onclick: async () => {
      give(new File([await still(finder)], 'camera.png', { type: 'image/png' }));
      close();
    } }, words.take);
    const film = h('button', { type: 'button', class: 'plain film', onclick: async () => {
      if (running) {
        running.stop();
        return;
      }
      running = record(source);
      film.textContent = words.film_stop;
      const recorded = await running.whole;
      if (dialog.open) give(new File([recorded], 'camera.webm', { type: recorded.type }));
      close();
    } }, words.film);
    const dialog = h(
      'dialog',
      { class: 'sheet finder', 'aria-label': words.camera, onclose: () => { end(source); dialog.remove(); } },
      h('header', {}, h('h2', {}, words.camera), button('close', words.close, close)),
      h('div', { class: 'body' }, finder, h('div', { class: 'buttons' }, film, take)),
    );
    document.querySelector('.ng').append(dialog);
    dialog.showModal();
  }, { class: 'camera' });
}

async function still(finder) {
  if (!finder.videoWidth) await new Promise((done) => finder.addEventListener('loadeddata', done, { once: true }));
  const canvas = h('canvas', { width: finder.videoWidth, height: finder.videoHeight });
  canvas.getContext('2d').drawImage(finder, 0, 0);
  return new Promise((done) => canvas.toBlob(done, 'image/png'));
}
