// The HTTP API, as any other client uses it. Knows no page: who asks for a key is passed in.

import { t } from './strings.js';

/** A request that failed, with a message for the reader. */
export class ApiError extends Error {
  constructor(message, { status = 0, code = null } = {}) {
    super(message);
    this.status = status;
    this.code = code;
  }
}

export class Api {
  /** `keys` is {get(), set(key)}; `askKey(isWrong)` resolves to a key that the reader entered, or null. */
  constructor(keys, askKey) {
    this.keys = keys;
    this.askKey = askKey;
    this.asking = null;
  }

  /** Describe the model that is served: {id, outputs, limits, vias, knowledge}. */
  async model() {
    const {
      data: [model],
    } = await (await this.request('/v1/models')).json();
    const { id, limits, vias, output_modalities: outputs, knowledge = null } = model;
    return { id, outputs, limits, vias, knowledge };
  }

  /** Upload a file. The server checks its type and keeps it for a while. */
  async upload(blob, name) {
    const form = new FormData();
    form.append('purpose', 'user_data');
    form.append('file', blob, name);
    return (await this.request('/v1/files', { method: 'POST', body: form })).json();
  }

  /** Remove uploaded or generated files from the server; those that are gone already are no error. */
  async removeFiles(ids) {
    await Promise.all(
      ids.map((id) => this.request(`/v1/files/${id}`, { method: 'DELETE' }).catch(() => null)),
    );
  }

  /** Yield the chunks of a streamed answer. Throws `ApiError` for errors before and during the stream. */
  async *stream(body, signal) {
    const response = await this.request('/v1/chat/completions', {
      method: 'POST',
      headers: { 'Content-Type': 'application/json' },
      body: JSON.stringify(body),
      signal,
    });
    for await (const data of events(response.body)) {
      if (data === '[DONE]') return;
      const chunk = JSON.parse(data);
      if (chunk.error) throw new ApiError(chunk.error.message, { code: chunk.error.code });
      yield chunk;
    }
    throw new ApiError(t('interrupted'));
  }

  /** Send a request with the key. Asks for a key where the server wants one, until it is accepted. */
  async request(path, options = {}) {
    for (;;) {
      const key = this.keys.get();
      const response = await send(path, {
        ...options,
        headers: { ...options.headers, ...(key && { Authorization: `Bearer ${key}` }) },
      });
      if (response.ok) return response;
      if (response.status !== 401) throw await errorOf(response);
      if (this.keys.get() === key) await this.login(Boolean(key));
    }
  }

  /** Ask for a key once, however many requests wait for it. */
  async login(isWrong) {
    this.asking ??= this.askKey(isWrong).finally(() => {
      this.asking = null;
    });
    const entered = await this.asking;
    if (!entered) throw new ApiError(t('keyNeeded'), { status: 401 });
  }
}

async function send(path, options) {
  try {
    return await fetch(path, { cache: 'no-store', ...options });
  } catch (error) {
    throw error.name === 'AbortError' ? error : new ApiError(t('offline'));
  }
}

async function errorOf(response) {
  const { error } = await response.json().catch(() => ({ error: { message: t('failed') } }));
  return new ApiError(error.message, { status: response.status, code: error.code });
}

/** Yield the data of server-sent events. An event may be megabytes long, so each byte is looked at once. */
async function* events(body) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let pieces = [];
  try {
    for (;;) {
      const { value, done } = await read(reader);
      if (done) return;
      const lines = value.split('\n');
      while (lines.length > 1) {
        const line = pieces.join('') + lines.shift();
        pieces = [];
        if (line.startsWith('data:')) yield line.slice(5).trim();
      }
      pieces.push(lines[0]);
    }
  } finally {
    reader.cancel().catch(() => null);
  }
}

async function read(reader) {
  try {
    return await reader.read();
  } catch (error) {
    throw error.name === 'AbortError' ? error : new ApiError(t('interrupted'));
  }
}
