// The chat page: a client of the server's HTTP API. Conversations live in this browser.
//
//   action of a person --> conversation.js --request--> api.js --chunks--> reply.js --view--> message-list.js
//                               |                                             |
//                               +----------------- storage.js ----------------+

import { Api } from './api.js';
import { Composer, dropZone } from './composer.js';
import { addMessage, countOmitted, mediaOf, messageOf, newConversation, newId, pathOf, requestBody, selectVersion, versionsOf } from './conversation.js';
import { detailsDrawer } from './details.js';
import { button, download, el, icon, openDialog, sheet } from './dom.js';
import { askKey } from './login.js';
import { blobOfDataUri, card, dataUriOf, probe } from './media.js';
import { MessageList } from './message-list.js';
import { PartialReply, noteOf } from './reply.js';
import { keptSettings, randomSeed, settingsDialog } from './settings.js';
import { Sidebar } from './sidebar.js';
import { curlSnippet, pythonSnippet } from './snippets.js';
import { Storage, keys, preferences } from './storage.js';
import { strings, t } from './strings.js';
import { Transfer } from './transfer.js';
import { readArchive, suffixOf, writeArchive } from './zip.js';

const SNIPPET_BYTES = 16 * 2 ** 10;
const SAVE_MS = 2000;
const UNDO_MS = 10_000;
const NEAR_END_PX = 120;
// Until the server has described its model.
const UNKNOWN_MODEL = {
  id: null,
  outputs: ['text', 'image', 'audio', 'video'],
  limits: { max_media: 16, max_medium_bytes: 32 * 2 ** 20, max_tokens: 2048, max_inference_steps: 100, max_guidance_scale: 50 },
};

class Page {
  constructor(storage) {
    this.storage = storage;
    this.api = new Api(keys, askKey);
    this.transfer = new Transfer(this.api, storage);
    this.settings = keptSettings();
    this.model = preferences.get('model') ?? UNKNOWN_MODEL;
    this.conversation = newConversation();
    this.conversations = [];
    this.runs = new Map(); // answers that are being generated, by conversation
    this.problems = new Map(); // what went wrong last, by conversation
    this.isAtEnd = true;
    this.build();
  }

  build() {
    const fail = (message) => this.fail(message);
    this.messages = new MessageList(this.storage, {
      use: (part) => this.composer.use(part),
      edit: (message, text) => this.edit(message, text),
      retry: (isSameSeed) => this.retry(isSameSeed),
      details: (message) => this.showDetails(message),
      select: (message, step) => this.select(message, step),
    });
    this.composer = new Composer(this.settings, this.model, {
      send: (text, parts) => this.send(text, parts),
      stop: () => this.stop(),
      check: (id, file) => this.transfer.check(id, file),
      store: (id, blob) => this.storage.putMedium(id, this.conversation.id, blob),
      url: (id) => this.storage.url(id),
      editLast: () => this.messages.editLast(),
      fail,
    });
    this.sidebar = new Sidebar(new URL('icon.svg', import.meta.url).href, {
      begin: () => this.begin(),
      rename: (id, title) => this.rename(id, title),
      remove: (id) => this.remove(id),
      importZip: (file) => this.importZip(file),
      exportZip: () => this.exportZip(),
      gallery: () => this.showGallery(),
      settings: () => openDialog(settingsDialog(this.settings, this.model.limits)),
    });
    this.welcome = this.buildWelcome();
    this.toast = el('div', { class: 'toast', role: 'alert' });
    this.latest = button('latest', t('latest'), () => this.scrollToEnd(), { class: 'latest', hidden: true });
    this.scroll = el('div', { class: 'scroll', tabindex: -1, onscroll: () => this.onScroll() }, this.welcome, this.messages.element);
    const top = el(
      'header',
      { class: 'top' },
      button('menu', t('menu'), () => this.sidebar.show(true), { class: 'menu' }),
      el('strong', {}, 'NExT-GPT'),
      button('plus', t('new'), () => this.begin()),
    );
    const app = el(
      'div',
      { class: 'app' },
      this.sidebar.element,
      this.sidebar.shade,
      el('main', {}, el('h1', { class: 'sr' }, 'NExT-GPT'), top, this.scroll, el('div', { class: 'dock' }, this.latest, this.toast, this.composer.element)),
    );
    app.append(dropZone(app, (files) => this.composer.add(files)));
    document.body.append(app);
    document.documentElement.lang = strings.language;
    document.addEventListener('keydown', (event) => this.onKey(event));
    window.addEventListener('hashchange', () => this.route());
    this.storage.onChange(() => this.refresh());
    new ResizeObserver(() => { if (this.isAtEnd && this.conversation.messages.length) this.scrollToEnd(); }).observe(this.scroll);
  }

  buildWelcome() {
    return el(
      'section',
      { class: 'welcome' },
      el('h2', {}, t('greeting')),
      el('p', {}, t('lead')),
      el('div', { class: 'examples' }, strings.examples.map((example) => el(
        'button',
        { type: 'button', class: 'example', onclick: () => this.send(example.text, []) },
        icon(example.kind), el('strong', {}, example.title), el('span', {}, example.text),
      ))),
    );
  }

  // Start

  async start() {
    if (!this.storage.isPersistent) this.fail(t('notStored'));
    this.conversations = await this.storage.list();
    await this.route();
    this.storage.sweep(this.conversations).catch(() => null);
    await this.loadModel().catch((error) => this.fail(error.message));
  }

  async loadModel() {
    this.model = await this.api.model();
    preferences.set('model', this.model);
    this.settings.maxTokens = Math.min(this.settings.maxTokens, this.model.limits.max_tokens);
    this.composer.setModel(this.model);
    this.draw();
  }

  /** Open what the address names. */
  async route() {
    const [, id] = /^#\/c\/([0-9a-f]{32})$/.exec(location.hash) ?? [];
    if (!id) {
      this.show(newConversation());
      return;
    }
    if (id === this.conversation.id) return;
    const conversation = this.runs.get(id)?.conversation ?? await this.storage.get(id);
    if (conversation) {
      if (!this.runs.has(id)) selectVersion(conversation, messageOf(conversation, conversation.leaf)); // an answer may have been interrupted
      this.show(conversation);
    } else {
      this.fail(t('notHere'));
      this.begin();
    }
  }

  begin() {
    history.pushState(null, '', '#/');
    this.show(newConversation());
  }

  show(conversation) {
    this.conversation = conversation;
    this.storage.releaseUrls();
    this.composer.clear();
    this.draw();
    if (conversation.messages.length) this.scrollToEnd();
    else this.scroll.scrollTop = 0;
    this.composer.focus();
  }

  /** Take over what another tab changed. */
  async refresh() {
    this.conversations = await this.storage.list();
    const { id } = this.conversation;
    const stored = this.conversations.find((one) => one.id === id);
    if (stored) Object.assign(this.conversation, { title: stored.title, isNamed: stored.isNamed });
    if (stored && !this.runs.has(id) && stored.updatedAt > this.conversation.updatedAt) this.conversation = stored;
    this.draw();
  }

  // What is shown

  draw() {
    const { conversation } = this;
    const { isAtEnd } = this;
    const run = this.runs.get(conversation.id);
    const path = pathOf(conversation);
    const messages = path.map((message) => ({ message, versions: versionsOf(conversation, message) }));
    if (run?.reply.parts.length) messages.push({ message: { ...run.message, parts: [...run.reply.parts] }, versions: [] });
    const isEmpty = !messages.length;
    document.title = [conversation.title, 'NExT-GPT'].filter(Boolean).join(' – ');
    this.welcome.hidden = !isEmpty;
    this.messages.element.hidden = isEmpty;
    this.messages.draw({
      id: conversation.id,
      messages,
      progress: run ? [...run.reply.progress.values()] : [],
      isBusy: Boolean(run),
      error: run ? null : this.problems.get(conversation.id),
      note: run ? null : noteOf(path.at(-1)?.details, this.model.limits),
    });
    this.composer.setBusy(Boolean(run));
    this.sidebar.draw(this.conversations, conversation.id);
    document.body.dataset.state = run ? 'busy' : 'ready';
    if (isAtEnd && !isEmpty) this.scrollToEnd();
  }

  /** Draw once per frame, however many chunks arrive. */
  drawSoon() {
    this.frame ??= requestAnimationFrame(() => {
      this.frame = null;
      this.draw();
    });
  }

  scrollToEnd() {
    this.scroll.scrollTop = this.scroll.scrollHeight;
  }

  onScroll() {
    this.isAtEnd = this.scroll.scrollHeight - this.scroll.scrollTop - this.scroll.clientHeight < NEAR_END_PX;
    this.latest.hidden = this.isAtEnd;
  }

  onKey(event) {
    if (event.key === 'Escape' && !event.defaultPrevented && !document.querySelector('dialog[open]') && this.runs.has(this.conversation.id)) {
      this.stop();
    }
  }

  /** Show a problem above the composer, with an action where there is one. */
  fail(message, action = null) {
    const close = () => this.toast.replaceChildren();
    const act = action && el('button', { type: 'button', class: 'plain', onclick: () => { close(); action.run(); } }, action.label);
    this.toast.replaceChildren(...[el('p', {}, message), act, button('close', t('close'), close)].filter(Boolean));
    this.toast.classList.toggle('notice', Boolean(action));
  }

  // What a person does

  send(text, parts) {
    if (this.runs.has(this.conversation.id)) return;
    const message = { role: 'user', parts: [...parts, ...(text.trim() ? [{ kind: 'text', text }] : [])] };
    this.ask(this.conversation, () => addMessage(this.conversation, message));
  }

  edit(message, text) {
    if (this.runs.has(this.conversation.id)) return;
    const media = message.parts.filter((part) => part.kind !== 'text');
    const parts = [...media, ...(text.trim() ? [{ kind: 'text', text }] : [])];
    this.ask(this.conversation, () => addMessage(this.conversation, { role: 'user', parts }, message.parent));
  }

  retry(isSameSeed) {
    const { conversation } = this;
    if (this.runs.has(conversation.id)) return;
    const last = messageOf(conversation, conversation.leaf);
    const question = last.role === 'assistant' ? messageOf(conversation, last.parent) : last;
    const seed = isSameSeed ? last.details.seed : randomSeed();
    if (question) this.ask(conversation, () => question, { seed });
  }

  /** Answer the message that `prepare` gives, and keep what comes of it. */
  async ask(conversation, prepare, changes = {}) {
    this.toast.replaceChildren();
    this.problems.delete(conversation.id);
    const before = conversation.leaf;
    const question = prepare();
    if (location.hash !== `#/c/${conversation.id}`) history.pushState(null, '', `#/c/${conversation.id}`);
    const run = {
      conversation,
      controller: new AbortController(),
      reply: new PartialReply(),
      message: { id: newId(), role: 'assistant', parent: question.id },
      settings: { ...this.settings, ...changes },
      omitted: 0,
    };
    this.runs.set(conversation.id, run);
    conversation.leaf = question.id;
    this.keep(conversation);
    this.draw();
    this.scrollToEnd();
    this.composer.focus();
    try {
      await this.stream(run);
    } catch (error) {
      if (error.name !== 'AbortError') this.problems.set(conversation.id, error.message);
    }
    this.finish(run, messageOf(conversation, before)?.parent === question.id ? before : question.id);
  }

  /** Keep an answer, or go back to `fallback` where nothing was said. */
  finish(run, fallback) {
    const { conversation, reply } = run;
    this.runs.delete(conversation.id);
    clearTimeout(run.saving);
    if (run.isRemoved) return;
    conversation.leaf = fallback;
    if (reply.parts.length) {
      addMessage(conversation, { ...run.message, parts: reply.parts, details: reply.details(run.settings, run.omitted) }, run.message.parent);
    }
    this.keep(conversation);
    this.draw();
  }

  async stream(run, isSecondTry = false) {
    if (!this.model.id) await this.loadModel();
    const body = await this.body(run);
    try {
      for await (const chunk of this.api.stream(body, run.controller.signal)) {
        for (const medium of run.reply.apply(chunk, performance.now())) await this.take(run, medium);
        this.drawSoon();
        run.saving ??= setTimeout(() => this.keepPartial(run), SAVE_MS);
      }
    } catch (error) {
      if (error.code !== 'file_not_found' || isSecondTry) throw error;
      this.transfer.forget();
      await this.stream(run, true);
    }
  }

  async body(run) {
    const messages = pathOf(run.conversation, run.message.parent);
    const { limits } = this.model;
    run.omitted = countOmitted(messages, limits.max_media);
    const urls = await this.transfer.urls(mediaOf(messages).slice(-limits.max_media));
    const body = requestBody(messages, run.settings, this.model, (part) => urls.get(part.id));
    return { ...body, stream: true, stream_options: { include_usage: true }, nextgpt: { ...body.nextgpt, media: 'b64', previews: true, details: true } };
  }

  /** Store a medium that arrived, and remove it from the server. */
  async take(run, { kind, url, file }) {
    const blob = blobOfDataUri(url);
    const part = { id: newId(), name: '', type: blob.type, size: blob.size, ...await probe(kind, blob), kind };
    await this.storage.putMedium(part.id, run.conversation.id, blob);
    run.reply.addMedium(part);
    if (file) this.api.removeFiles([file]);
  }

  stop() {
    this.runs.get(this.conversation.id)?.controller.abort();
    this.composer.focus();
  }

  select(message, step) {
    if (!message || this.runs.has(this.conversation.id)) return;
    selectVersion(this.conversation, message);
    this.problems.delete(this.conversation.id);
    this.keep(this.conversation);
    this.draw();
    this.messages.focusVersionOf(message.id, step);
  }

  // What is kept

  async keep(conversation) {
    this.conversations = [conversation, ...this.conversations.filter((one) => one.id !== conversation.id)].sort((a, b) => b.updatedAt - a.updatedAt);
    try {
      await this.storage.put(structuredClone(conversation));
    } catch {
      this.fail(t('storageFull'));
    }
  }

  /** Keep what has arrived of an answer, so that a closed tab does not lose it. */
  async keepPartial(run) {
    run.saving = null;
    if (!this.runs.has(run.conversation.id) || !run.reply.parts.length) return;
    const partial = { ...run.message, parts: run.reply.parts, details: run.reply.details(run.settings, run.omitted) };
    const { conversation } = run;
    await this.storage.put(structuredClone({ ...conversation, messages: [...conversation.messages, partial], leaf: partial.id })).catch(() => null);
  }

  async rename(id, title) {
    const conversation = id === this.conversation.id ? this.conversation : this.runs.get(id)?.conversation ?? await this.storage.get(id);
    Object.assign(conversation, { title, isNamed: true });
    await this.keep(conversation);
    this.draw();
  }

  async remove(id) {
    const run = this.runs.get(id);
    if (run) {
      run.isRemoved = true;
      run.controller.abort();
    }
    const removed = await this.storage.remove(id);
    this.conversations = this.conversations.filter((one) => one.id !== id);
    const [conversation] = removed.conversations;
    if (conversation) this.transfer.remove(mediaOf(conversation.messages));
    if (id === this.conversation.id) this.begin();
    else this.draw();
    (this.sidebar.list.querySelector('a') ?? this.sidebar.element.querySelector('.new')).focus();
    const undo = async () => {
      await this.storage.restore(removed);
      this.conversations = await this.storage.list();
      this.draw();
    };
    this.fail(t('deleted', { title: conversation?.title || t('untitled') }), { label: t('undo'), run: undo });
    const shown = this.toast.firstChild;
    setTimeout(() => { if (this.toast.firstChild === shown) this.toast.replaceChildren(); }, UNDO_MS);
  }

  async exportZip() {
    const { conversation } = this;
    const name = (conversation.title || 'conversation').replace(/[^\p{L}\p{N}]+/gu, '-').replace(/^-|-$/g, '').slice(0, 40);
    download(await writeArchive(pathOf(conversation), (part) => this.storage.blob(part.id)), `nextgpt-${name || 'conversation'}.zip`);
  }

  async importZip(file) {
    if (!file) return;
    try {
      const conversation = newConversation();
      for (const message of await readArchive(file)) {
        const parts = await Promise.all(message.parts.map((part) => this.importPart(part, conversation.id)));
        addMessage(conversation, { role: message.role, parts });
      }
      await this.keep(conversation);
      location.hash = `#/c/${conversation.id}`;
    } catch (error) {
      this.fail(error.message);
    }
  }

  async importPart({ blob, ...part }, conversation) {
    if (part.kind === 'text') return part;
    const id = newId();
    await this.storage.putMedium(id, conversation, blob);
    return { id, name: part.name, type: part.type, size: blob.size, ...await probe(part.kind, blob) };
  }

  // Dialogs

  showGallery() {
    const generated = mediaOf(this.conversation.messages.filter((message) => message.role === 'assistant')).reverse();
    const use = (part) => { dialog.close(); this.composer.use(part); };
    const dialog = sheet(t('gallery'), t('close'), generated.length
      ? el('div', { class: 'gallery' }, generated.map((part) => card(part, this.storage, use)))
      : el('p', { class: 'help' }, t('galleryEmpty')));
    dialog.classList.add('large');
    openDialog(dialog);
  }

  async showDetails(message) {
    const { details } = message;
    const messages = pathOf(this.conversation, message.parent);
    const omitted = new Set();
    const urls = new Map();
    for (const [index, part] of mediaOf(messages).entries()) {
      const blob = await this.storage.blob(part.id);
      const name = part.name || `${part.kind}-${index + 1}${suffixOf(part)}`;
      if (blob && blob.size <= SNIPPET_BYTES) {
        urls.set(part.id, await dataUriOf(blob, part.type));
      } else {
        omitted.add(name);
        urls.set(part.id, `data:${part.type};base64,<the base64 of ${name} goes here>`);
      }
    }
    if (document.querySelector('dialog[open]')) return;
    const body = requestBody(messages, { ...details.settings, seed: details.seed }, this.model, (part) => urls.get(part.id));
    const base = `${location.origin}/v1`;
    const hasKey = Boolean(keys.get());
    openDialog(detailsDrawer(details, { curl: curlSnippet(body, base, hasKey), python: pythonSnippet(body, base, hasKey), omitted: [...omitted] }));
  }
}

new Page(await Storage.open()).start();
