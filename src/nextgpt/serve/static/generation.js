// One answer while it is generated: sends the request, folds the stream, stores media and, now and then, what arrived.

import { countOmitted, mediaOf, newId, pathOf, requestBody } from './conversation.js';
import { blobOfDataUri, probe } from './media.js';
import { PartialReply } from './reply.js';

const SAVE_MS = 2000;

export class Generation {
  /** Answer `question` of `conversation`. `services` is {api, transfer, storage}. */
  constructor(conversation, question, settings, services) {
    this.conversation = conversation;
    this.question = question;
    this.settings = settings;
    this.services = services;
    this.id = newId();
    this.reply = new PartialReply();
    this.controller = new AbortController();
    this.omitted = 0;
    this.isDone = false;
  }

  get isEmpty() {
    return !this.reply.parts.length;
  }

  get progress() {
    return [...this.reply.progress.values()];
  }

  /** The answer as far as it has arrived, as a message of the conversation. */
  get message() {
    return {
      id: this.id,
      role: 'assistant',
      parent: this.question.id,
      parts: [...this.reply.parts],
      details: this.reply.details(this.settings, this.omitted),
    };
  }

  /** Generate the answer; `onChange` is called when more of it has arrived. Throws what goes wrong. */
  async run(model, onChange) {
    try {
      await this.stream(model, onChange);
    } catch (error) {
      if (error.code !== 'file_not_found') throw error;
      this.services.transfer.forget(); // the server was restarted, or an upload expired
      await this.stream(model, onChange);
    } finally {
      this.isDone = true;
      clearTimeout(this.saving);
    }
  }

  stop() {
    this.controller.abort();
  }

  async stream(model, onChange) {
    const body = await this.body(model);
    for await (const chunk of this.services.api.stream(body, this.controller.signal)) {
      for (const medium of this.reply.apply(chunk, performance.now())) await this.take(medium);
      onChange();
      this.saving ??= setTimeout(() => this.savePartial(), SAVE_MS);
    }
  }

  async body(model) {
    const messages = pathOf(this.conversation, this.question.id);
    const { max_media: maxMedia } = model.limits;
    this.omitted = countOmitted(messages, maxMedia);
    const urls = await this.services.transfer.urls(mediaOf(messages).slice(-maxMedia));
    const body = requestBody(messages, this.settings, model, (part) => urls.get(part.id));
    return {
      ...body,
      stream: true,
      stream_options: { include_usage: true },
      nextgpt: { ...body.nextgpt, media: 'b64', previews: true, details: true },
    };
  }

  /** Store a medium that arrived, and remove it from the server. */
  async take({ kind, url, file, origin }) {
    const { api, storage } = this.services;
    const blob = blobOfDataUri(url);
    const facts = await probe(kind, blob);
    const part = { id: newId(), name: '', type: blob.type, size: blob.size, ...facts, kind, origin };
    await storage.putMedium(part.id, this.conversation.id, blob);
    this.reply.addMedium(part);
    if (file) api.removeFiles([file]);
  }

  /** Keep what has arrived, so that a closed tab does not lose it. */
  async savePartial() {
    this.saving = null;
    if (this.isDone || this.isEmpty) return;
    const { message, conversation } = this;
    const partial = { ...conversation, messages: [...conversation.messages, message], leaf: message.id };
    await this.services.storage.put(structuredClone(partial)).catch(() => null);
  }
}
