// The chat page: a client of the server's HTTP API. Conversations live in this browser.
//
//   action of a person --> conversation.js --request--> api.js --chunks--> reply.js --view--> message-list.js
//                               |                                             |
//                               +----------------- storage.js ----------------+

import { Api } from './api.js';
import { exportConversation, importConversation } from './archive.js';
import { Composer, dropZone } from './composer.js';
import {
  addMessage,
  mediaOf,
  messageOf,
  newConversation,
  pathOf,
  selectVersion,
  versionsOf,
} from './conversation.js';
import { detailsDrawer, requestSnippets } from './details.js';
import { button, download, el, icon, openDialog } from './dom.js';
import { Generation } from './generation.js';
import { askKey } from './login.js';
import { galleryDialog } from './media.js';
import { MessageList } from './message-list.js';
import { noteOf } from './reply.js';
import { keptSettings, randomSeed, settingsDialog } from './settings.js';
import { Sidebar } from './sidebar.js';
import { Storage, keys, preferences } from './storage.js';
import { strings, t } from './strings.js';
import { Transfer } from './transfer.js';

const UNDO_MS = 10_000;
const NEAR_END_PX = 120;
// Until the server has described its model.
const UNKNOWN_MODEL = {
  id: null,
  outputs: ['text', 'image', 'audio', 'video'],
  limits: {
    max_media: 16,
    max_medium_bytes: 32 * 2 ** 20,
    max_tokens: 2048,
    max_inference_steps: 100,
    max_guidance_scale: 50,
  },
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
    this.generations = new Map(); // answers that are being generated, by conversation
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
      settings: () => openDialog(settingsDialog(this.settings, this.model)),
    });
    this.knows = el('div', { class: 'knows' });
    this.welcome = this.buildWelcome();
    this.toast = el('div', { class: 'toast', role: 'alert' });
    this.latest = button('latest', t('latest'), () => this.scrollToEnd(), { class: 'latest', hidden: true });
    this.scroll = el(
      'div',
      { class: 'scroll', tabindex: -1, onscroll: () => this.onScroll() },
      this.welcome,
      this.messages.element,
    );
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
      el(
        'main',
        {},
        el('h1', { class: 'sr' }, 'NExT-GPT'),
        top,
        this.scroll,
        el('div', { class: 'dock' }, this.latest, this.toast, this.composer.element),
      ),
    );
    app.append(dropZone(app, (files) => this.composer.add(files)));
    document.body.append(app);
    document.documentElement.lang = strings.language;
    document.addEventListener('keydown', (event) => this.onKey(event));
    window.addEventListener('hashchange', () => this.route());
    this.storage.onChange(() => this.refresh());
    new ResizeObserver(() => {
      if (this.isAtEnd && this.conversation.messages.length) this.scrollToEnd();
    }).observe(this.scroll);
  }

  buildWelcome() {
    return el(
      'section',
      { class: 'welcome' },
      el('h2', {}, t('greeting')),
      el('p', {}, t('lead')),
      el(
        'div',
        { class: 'examples' },
        strings.examples.map((example) =>
          el(
            'button',
            { type: 'button', class: 'example', onclick: () => this.send(example.text, []) },
            icon(example.kind),
            el('strong', {}, example.title),
            el('span', {}, example.text),
          ),
        ),
      ),
      this.knows,
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
    this.knows.replaceChildren(...knowledgeOf(this.model));
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
    const conversation = this.generations.get(id)?.conversation ?? (await this.storage.get(id));
    if (conversation) {
      // An answer may have been interrupted: show the latest that follows the question.
      if (!this.generations.has(id)) selectVersion(conversation, messageOf(conversation, conversation.leaf));
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
    if (stored && !this.generations.has(id) && stored.updatedAt > this.conversation.updatedAt)
      this.conversation = stored;
    this.draw();
  }

  // What is shown

  draw() {
    const { conversation } = this;
    const { isAtEnd } = this;
    const generation = this.generations.get(conversation.id);
    const path = pathOf(conversation);
    const messages = path.map((message) => ({ message, versions: versionsOf(conversation, message) }));
    if (generation && !generation.isEmpty) messages.push({ message: generation.message, versions: [] });
    const isEmpty = !messages.length;
    document.title = [conversation.title, 'NExT-GPT'].filter(Boolean).join(' – ');
    this.welcome.hidden = !isEmpty;
    this.latest.hidden ||= isEmpty;
    this.messages.element.hidden = isEmpty;
    this.messages.draw({
      id: conversation.id,
      messages,
      progress: generation?.progress ?? [],
      isBusy: Boolean(generation),
      error: generation ? null : this.problems.get(conversation.id),
      note: generation ? null : noteOf(path.at(-1)?.details, this.model.limits),
    });
    this.composer.setBusy(Boolean(generation));
    this.sidebar.draw(this.conversations, conversation.id);
    document.body.dataset.state = generation ? 'busy' : 'ready';
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
    this.latest.hidden = this.isAtEnd || !this.conversation.messages.length;
  }

  onKey(event) {
    if (
      event.key === 'Escape' &&
      !event.defaultPrevented &&
      !document.querySelector('dialog[open]') &&
      this.generations.has(this.conversation.id)
    ) {
      this.stop();
    }
  }

  /** Show a problem above the composer, with an action where there is one. */
  fail(message, action = null) {
    const close = () => this.toast.replaceChildren();
    const act =
      action &&
      el(
        'button',
        {
          type: 'button',
          class: 'plain',
          onclick: () => {
            close();
            action.run();
          },
        },
        action.label,
      );
    this.toast.replaceChildren(
      ...[el('p', {}, message), act, button('close', t('close'), close)].filter(Boolean),
    );
    this.toast.classList.toggle('notice', Boolean(action));
  }

  // What a person does

  send(text, parts) {
    if (this.generations.has(this.conversation.id)) return;
    const message = { role: 'user', parts: [...parts, ...(text.trim() ? [{ kind: 'text', text }] : [])] };
    this.ask(this.conversation, () => addMessage(this.conversation, message));
  }

  edit(message, text) {
    if (this.generations.has(this.conversation.id)) return;
    const media = message.parts.filter((part) => part.kind !== 'text');
    const parts = [...media, ...(text.trim() ? [{ kind: 'text', text }] : [])];
    this.ask(this.conversation, () => addMessage(this.conversation, { role: 'user', parts }, message.parent));
  }

  retry(isSameSeed) {
    const { conversation } = this;
    if (this.generations.has(conversation.id)) return;
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
    const generation = new Generation(conversation, question, { ...this.settings, ...changes }, this);
    this.generations.set(conversation.id, generation);
    conversation.leaf = question.id;
    this.keep(conversation);
    this.draw();
    this.scrollToEnd();
    this.composer.focus();
    try {
      if (!this.model.id) await this.loadModel();
      await generation.run(this.model, () => this.drawSoon());
    } catch (error) {
      if (error.name !== 'AbortError') this.problems.set(conversation.id, error.message);
    }
    this.finish(generation, messageOf(conversation, before)?.parent === question.id ? before : question.id);
  }

  /** Keep an answer, or go back to `fallback` where nothing arrived. */
  finish(generation, fallback) {
    const { conversation, message } = generation;
    if (this.generations.get(conversation.id) !== generation) return; // the conversation was deleted
    this.generations.delete(conversation.id);
    conversation.leaf = fallback;
    if (!generation.isEmpty) addMessage(conversation, message, message.parent);
    this.keep(conversation);
    this.draw();
  }

  stop() {
    this.generations.get(this.conversation.id)?.stop();
    this.composer.focus();
  }

  select(message, step) {
    if (!message || this.generations.has(this.conversation.id)) return;
    selectVersion(this.conversation, message);
    this.problems.delete(this.conversation.id);
    this.keep(this.conversation);
    this.draw();
    this.messages.focusVersionOf(message.id, step);
  }

  // What is kept

  async keep(conversation) {
    this.conversations = [
      conversation,
      ...this.conversations.filter((one) => one.id !== conversation.id),
    ].sort((a, b) => b.updatedAt - a.updatedAt);
    try {
      await this.storage.put(structuredClone(conversation));
    } catch {
      this.fail(t('storageFull'));
    }
  }

  rename(id, title) {
    const { conversation } = this.generations.get(id) ?? this;
    const renamed = [conversation, ...this.conversations].find((one) => one.id === id);
    Object.assign(renamed, { title, isNamed: true });
    this.keep(renamed);
    this.draw();
  }

  async remove(id) {
    this.generations.get(id)?.stop();
    this.generations.delete(id);
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
    setTimeout(() => {
      if (this.toast.firstChild === shown) this.toast.replaceChildren();
    }, UNDO_MS);
  }

  async exportZip() {
    const { blob, name } = await exportConversation(this.conversation, this.storage);
    download(blob, name);
  }

  async importZip(file) {
    if (!file) return;
    try {
      const conversation = await importConversation(file, this.storage);
      await this.keep(conversation);
      location.hash = `#/c/${conversation.id}`;
    } catch (error) {
      this.fail(error.message);
    }
  }

  // Dialogs

  showGallery() {
    const answers = this.conversation.messages.filter((message) => message.role === 'assistant');
    openDialog(galleryDialog(mediaOf(answers).reverse(), this.storage, (part) => this.composer.use(part)));
  }

  async showDetails({ details, parent }) {
    const messages = pathOf(this.conversation, parent);
    const snippets = await requestSnippets(messages, details, this.model, this.storage, Boolean(keys.get()));
    if (!document.querySelector('dialog[open]')) openDialog(detailsDrawer(details, snippets));
  }
}

/** List the content that an embedded model knows, folded; nothing for other models. */
function knowledgeOf({ id, knowledge }) {
  if (!knowledge) return [];
  const rows = Object.entries(strings.knowledge).map(([name, label]) => [
    el('dt', {}, label),
    el('dd', {}, knowledge[name].join(name === 'examples' ? ' ' : ', ')),
  ]);
  const help = el('p', { class: 'help' }, t('knowsHelp'));
  return [el('details', {}, el('summary', {}, t('knows', { model: id })), help, el('dl', {}, rows))];
}

new Page(await Storage.open()).start();
