// How media travel to the server: small ones inside the request, large ones once, through /v1/files.

import { dataUriOf } from './media.js';

const INLINE_BYTES = 2 ** 20;
const MARGIN_S = 60;

export class Transfer {
  constructor(api, storage) {
    this.api = api;
    this.storage = storage;
    this.uploads = new Map();
  }

  /** Let the server check a file before it is sent. Throws `ApiError` where it is no medium. */
  async check(id, file) {
    const uploaded = await this.api.upload(file, file.name);
    if (file.size > INLINE_BYTES) this.uploads.set(id, uploaded);
    else this.api.removeFiles([uploaded.id]);
  }

  /** Return the URL of each medium for a request, by its id: a data URI, or the id of an uploaded file. */
  async urls(parts) {
    const found = await Promise.all(parts.map(async (part) => [part.id, await this.url(part)]));
    return new Map(found);
  }

  async url(part) {
    const blob = await this.storage.blob(part.id);
    if (!blob) return null;
    if (blob.size <= INLINE_BYTES) return dataUriOf(blob, part.type);
    const known = this.uploads.get(part.id);
    if (known && known.expires_at > Date.now() / 1000 + MARGIN_S) return known.id;
    const uploaded = await this.api.upload(blob, part.name || part.kind);
    this.uploads.set(part.id, uploaded);
    return uploaded.id;
  }

  /** Forget uploads that the server does not have any more. */
  forget() {
    this.uploads.clear();
  }

  /** Remove the uploads of a conversation's media from the server. */
  remove(parts) {
    const ids = parts.map((part) => this.uploads.get(part.id)?.id).filter(Boolean);
    parts.forEach((part) => this.uploads.delete(part.id));
    return this.api.removeFiles(ids);
  }
}
