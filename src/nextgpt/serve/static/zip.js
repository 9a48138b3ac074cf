// Conversations as ZIP files: `conversation.json` as `nextgpt chat` writes it, and the media that it names.
//
//   [{"role": "user", "parts": [{"type": "image", "path": "00-00-image.png"}, {"type": "text", "text": "Hm?"}]}]
//
// Written without compression, as media are compressed already. Read with or without (ZIP, APPNOTE.TXT 4.3). What is
// read is distrusted: names are looked up among the archive's own, and sizes are counted while they are unpacked.

import { t } from './strings.js';

const FILE = 'conversation.json';
const MAX_ENTRIES = 2000;
const MAX_BYTES = 512 * 2 ** 20;
const ROLES = ['system', 'user', 'assistant'];
const KINDS = ['image', 'audio', 'video', 'depth', 'thermal', 'imu'];
const SUFFIXES = {
  'image/png': '.png',
  'image/jpeg': '.jpg',
  'image/gif': '.gif',
  'image/webp': '.webp',
  'audio/wav': '.wav',
  'audio/x-wav': '.wav',
  'audio/mpeg': '.mp3',
  'audio/flac': '.flac',
  'audio/ogg': '.ogg',
  'audio/mp4': '.m4a',
  'audio/webm': '.webm',
  'video/mp4': '.mp4',
  'video/webm': '.webm',
};
const DEFAULT_SUFFIXES = {
  image: '.png',
  audio: '.wav',
  video: '.mp4',
  depth: '.npy',
  thermal: '.npy',
  imu: '.csv',
};
const TYPES = {
  ...Object.fromEntries(Object.entries(SUFFIXES).map(([type, suffix]) => [suffix, type])),
  '.wav': 'audio/wav',
  '.jpeg': 'image/jpeg',
  '.webm': 'video/webm',
};

/** The suffix of a medium's file, with its dot. */
export function suffixOf(part) {
  return (
    SUFFIXES[part.type?.split(';')[0]] ??
    /\.\w{1,5}$/.exec(part.name ?? '')?.[0] ??
    DEFAULT_SUFFIXES[part.kind]
  );
}

/** Write messages as a ZIP blob; `blobOf(part)` resolves to the bytes of a medium. */
export async function writeArchive(messages, blobOf) {
  const files = [];
  const entries = [];
  for (const [turn, message] of messages.entries()) {
    const parts = [];
    for (const [position, part] of message.parts.entries()) {
      if (part.kind === 'text') {
        parts.push({ type: 'text', text: part.text });
        continue;
      }
      const blob = await blobOf(part);
      if (!blob) continue;
      const path = `${pad(turn)}-${pad(position)}-${part.kind}${suffixOf(part)}`;
      parts.push({ type: part.kind, path });
      files.push([path, new Uint8Array(await blob.arrayBuffer())]);
    }
    entries.push({ role: message.role, parts });
  }
  const json = new TextEncoder().encode(`${JSON.stringify(entries, null, 2)}\n`);
  return zip([[FILE, json], ...files]);
}

/** Read messages from a ZIP blob: [{role, parts}], where a medium is {kind, name, type, blob}. */
export async function readArchive(blob) {
  const archive = await Archive.open(blob);
  const messages = parse(await archive.read(FILE));
  for (const message of messages) {
    for (const [position, part] of message.parts.entries()) {
      if (part.type === 'text') {
        message.parts[position] = { kind: 'text', text: part.text };
        continue;
      }
      const type = TYPES[/\.\w+$/.exec(part.path)?.[0].toLowerCase()] ?? '';
      const bytes = await archive.read(part.path);
      const asKind = part.type === 'audio' ? type.replace('video/', 'audio/') : type;
      message.parts[position] = {
        kind: part.type,
        name: part.path,
        type: asKind,
        blob: new Blob([bytes], { type: asKind }),
      };
    }
  }
  return messages;
}

function parse(bytes) {
  let entries;
  try {
    entries = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes));
  } catch {
    throw new Error(t('archiveForm'));
  }
  const isPart = (part) =>
    part?.type === 'text'
      ? typeof part.text === 'string'
      : KINDS.includes(part?.type) && typeof part.path === 'string';
  const isMessage = (entry) =>
    ROLES.includes(entry?.role) && Array.isArray(entry.parts) && entry.parts.every(isPart);
  if (!Array.isArray(entries) || !entries.every(isMessage)) throw new Error(t('archiveForm'));
  return entries.map(({ role, parts }) => ({ role, parts: [...parts] }));
}

function pad(number) {
  return String(number).padStart(2, '0');
}

/** The files of a ZIP. */
class Archive {
  constructor(view, files) {
    this.view = view;
    this.files = files;
    this.remaining = MAX_BYTES;
  }

  static async open(blob) {
    if (blob.size > MAX_BYTES) throw new Error(t('archiveLarge', { limit: MAX_BYTES / 2 ** 20 }));
    const view = new DataView(await blob.arrayBuffer());
    try {
      return new Archive(view, directory(view));
    } catch {
      throw new Error(t('archiveNone'));
    }
  }

  /** Unpack a file. Files named twice are refused, as no export writes them. */
  async read(name) {
    const entries = this.files.filter((file) => file.name === name);
    if (entries.length !== 1) throw new Error(t('archiveFile', { name: name.slice(0, 80) }));
    const [file] = entries;
    let bytes;
    try {
      const data = packed(this.view, file);
      bytes = file.method === 0 ? data : await inflate(data, this.remaining);
      if (bytes && crc32(bytes) !== file.crc) throw new Error('checksum');
    } catch {
      throw new Error(t('archiveNone'));
    }
    if (!bytes || bytes.length > this.remaining)
      throw new Error(t('archiveLarge', { limit: MAX_BYTES / 2 ** 20 }));
    this.remaining -= bytes.length;
    return bytes;
  }
}

/** Read the central directory. */
function directory(view) {
  let end = view.byteLength - 22;
  while (view.getUint32(end, true) !== 0x06054b50) end -= 1; // throws below 0: no ZIP
  const count = view.getUint16(end + 10, true);
  let at = view.getUint32(end + 16, true);
  if (count > MAX_ENTRIES) throw new Error('entries');
  const files = [];
  for (let index = 0; index < count; index += 1) {
    if (view.getUint32(at, true) !== 0x02014b50) throw new Error('directory');
    const [nameLength, extraLength, commentLength] = [28, 30, 32].map((offset) =>
      view.getUint16(at + offset, true),
    );
    files.push({
      name: new TextDecoder().decode(new Uint8Array(view.buffer, at + 46, nameLength)),
      flags: view.getUint16(at + 8, true),
      method: view.getUint16(at + 10, true),
      crc: view.getUint32(at + 16, true),
      size: view.getUint32(at + 20, true),
      offset: view.getUint32(at + 42, true),
    });
    at += 46 + nameLength + extraLength + commentLength;
  }
  return files;
}

function packed(view, { offset, size, method, flags }) {
  if (view.getUint32(offset, true) !== 0x04034b50 || flags & 1 || ![0, 8].includes(method))
    throw new Error('entry');
  const start = offset + 30 + view.getUint16(offset + 26, true) + view.getUint16(offset + 28, true);
  return new Uint8Array(view.buffer, start, size);
}

/** Inflate, or return null beyond `maxBytes`. */
async function inflate(bytes, maxBytes) {
  const reader = new Blob([bytes]).stream().pipeThrough(new DecompressionStream('deflate-raw')).getReader();
  const pieces = [];
  let size = 0;
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return new Uint8Array(await new Blob(pieces).arrayBuffer());
    size += value.length;
    if (size > maxBytes) {
      await reader.cancel();
      return null;
    }
    pieces.push(value);
  }
}

/** Write files as a ZIP without compression. */
function zip(files) {
  const pieces = [];
  const central = [];
  let offset = 0;
  for (const [name, bytes] of files) {
    const label = new TextEncoder().encode(name);
    // version, flags (UTF-8 names), method, time, date (1980-01-01), checksum, sizes, lengths
    const common = [
      [2, 20],
      [2, 0x800],
      [2, 0],
      [2, 0],
      [2, 0x21],
      [4, crc32(bytes)],
      [4, bytes.length],
      [4, bytes.length],
      [2, label.length],
      [2, 0],
    ];
    const local = record([[4, 0x04034b50], ...common]);
    central.push(
      record([[4, 0x02014b50], [2, 20], ...common, [2, 0], [2, 0], [2, 0], [4, 0], [4, offset]]),
      label,
    );
    pieces.push(local, label, bytes);
    offset += local.length + label.length + bytes.length;
  }
  const size = central.reduce((sum, piece) => sum + piece.length, 0);
  const end = record([
    [4, 0x06054b50],
    [2, 0],
    [2, 0],
    [2, files.length],
    [2, files.length],
    [4, size],
    [4, offset],
    [2, 0],
  ]);
  return new Blob([...pieces, ...central, end], { type: 'application/zip' });
}

/** Write little-endian numbers, each as [bytes, value]. */
function record(fields) {
  const view = new DataView(new ArrayBuffer(fields.reduce((sum, [size]) => sum + size, 0)));
  let at = 0;
  for (const [size, value] of fields) {
    if (size === 2) view.setUint16(at, value, true);
    else view.setUint32(at, value, true);
    at += size;
  }
  return new Uint8Array(view.buffer);
}

const CRC_TABLE = Uint32Array.from({ length: 256 }, (_, byte) => {
  let value = byte;
  for (let bit = 0; bit < 8; bit += 1) value = value & 1 ? 0xedb88320 ^ (value >>> 1) : value >>> 1;
  return value >>> 0;
});

function crc32(bytes) {
  let value = 0xffffffff;
  for (const byte of bytes) value = CRC_TABLE[(value ^ byte) & 0xff] ^ (value >>> 8);
  return (value ^ 0xffffffff) >>> 0;
}
