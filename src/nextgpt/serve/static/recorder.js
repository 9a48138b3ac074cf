// Microphone and camera: what they record becomes a file like any other.

import { button, clock, el, openDialog, relabel, sheet } from './dom.js';
import { decodeAudio } from './media.js';
import { t } from './strings.js';

/** Open a device. Throws an error whose message can be shown. */
async function openDevice(constraints, label) {
  try {
    return await navigator.mediaDevices.getUserMedia(constraints);
  } catch {
    throw new Error(t('noDevice', { device: label }));
  }
}

function closeDevice(stream) {
  stream.getTracks().forEach((track) => track.stop());
}

/** Record until `stop()` is called; `blob` resolves to the recording. */
function record(stream) {
  const recorder = new MediaRecorder(stream);
  const pieces = [];
  recorder.addEventListener('dataavailable', (event) => pieces.push(event.data));
  const blob = new Promise((resolve) =>
    recorder.addEventListener('stop', () => resolve(new Blob(pieces, { type: recorder.mimeType }))),
  );
  recorder.start();
  return { stop: () => recorder.stop(), blob };
}

/** Build the button that starts and stops an audio recording and gives a WAV file. */
export function microphone(give, fail) {
  let recording = null;
  let timer = 0;
  const toggle = button(
    'mic',
    t('microphone'),
    async () => {
      if (recording) {
        recording.stop();
        return;
      }
      let stream;
      try {
        stream = await openDevice({ audio: true }, t('microphone'));
        recording = record(stream);
        const startMs = Date.now();
        show(true);
        timer = setInterval(
          () => toggle.style.setProperty('--time', `"${clock((Date.now() - startMs) / 1000)}"`),
          250,
        );
        const blob = await recording.blob;
        give(new File([await wavOf(blob)], 'recording.wav', { type: 'audio/wav' }));
      } catch (error) {
        fail(error instanceof DOMException ? t('recordingFailed') : error.message);
      } finally {
        if (stream) closeDevice(stream);
        recording = null;
        clearInterval(timer);
        show(false);
      }
    },
    { class: 'mic', 'aria-pressed': 'false' },
  );
  const show = (isOn) => {
    relabel(toggle, isOn ? 'stop' : 'mic', t(isOn ? 'microphoneStop' : 'microphone'));
    toggle.setAttribute('aria-pressed', String(isOn));
    toggle.style.setProperty('--time', isOn ? '"0:00"' : 'none');
  };
  return toggle;
}

/** Convert a recording to 16-bit PCM in a WAV file, which every audio reader takes. */
async function wavOf(blob) {
  const audio = await decodeAudio(blob);
  const channels = Array.from({ length: audio.numberOfChannels }, (_, channel) =>
    audio.getChannelData(channel),
  );
  const size = audio.length * channels.length * 2;
  const view = new DataView(new ArrayBuffer(44 + size));
  const word = (at, text) =>
    [...text].forEach((character, index) => view.setUint8(at + index, character.charCodeAt(0)));
  word(0, 'RIFF');
  view.setUint32(4, 36 + size, true);
  word(8, 'WAVEfmt ');
  view.setUint32(16, 16, true);
  view.setUint16(20, 1, true);
  view.setUint16(22, channels.length, true);
  view.setUint32(24, audio.sampleRate, true);
  view.setUint32(28, audio.sampleRate * channels.length * 2, true);
  view.setUint16(32, channels.length * 2, true);
  view.setUint16(34, 16, true);
  word(36, 'data');
  view.setUint32(40, size, true);
  let at = 44;
  for (let index = 0; index < audio.length; index += 1) {
    for (const samples of channels) {
      view.setInt16(at, Math.max(-1, Math.min(1, samples[index])) * 32767, true);
      at += 2;
    }
  }
  return view.buffer;
}

/** Build the button that opens the camera, for a picture or a video. */
export function camera(give, fail) {
  return button(
    'camera',
    t('camera'),
    async () => {
      let stream;
      try {
        stream = await openDevice({ video: true }, t('camera'));
      } catch (error) {
        fail(error.message);
        return;
      }
      const finder = el('video', { autoplay: true, playsinline: true, 'aria-label': t('camera') });
      finder.muted = true;
      finder.srcObject = stream;
      let recording = null;
      const takeImage = el(
        'button',
        {
          type: 'button',
          class: 'main take',
          onclick: async () => {
            give(new File([await still(finder)], 'camera.png', { type: 'image/png' }));
            dialog.close();
          },
        },
        t('takeImage'),
      );
      const takeVideo = el(
        'button',
        {
          type: 'button',
          class: 'plain film',
          onclick: async () => {
            if (recording) {
              recording.stop();
              return;
            }
            recording = record(stream);
            takeVideo.textContent = t('videoStop');
            const blob = await recording.blob;
            if (dialog.open) give(new File([blob], 'camera.webm', { type: blob.type }));
            dialog.close();
          },
        },
        t('takeVideo'),
      );
      const dialog = sheet(
        t('camera'),
        t('close'),
        finder,
        el('div', { class: 'buttons' }, takeVideo, takeImage),
      );
      dialog.classList.add('finder');
      dialog.addEventListener('close', () => closeDevice(stream));
      openDialog(dialog);
    },
    { class: 'camera' },
  );
}

async function still(finder) {
  if (!finder.videoWidth)
    await new Promise((resolve) => finder.addEventListener('loadeddata', resolve, { once: true }));
  const canvas = el('canvas', { width: finder.videoWidth, height: finder.videoHeight });
  canvas.getContext('2d').drawImage(finder, 0, 0);
  return new Promise((resolve) => canvas.toBlob(resolve, 'image/png'));
}
