// The chat page. Gradio brings views of a conversation in `props.value` and takes events; all else is here.
//
//   act of a person --trigger--> server --value--> draw
//
// A view is {room, turns, making, busy, error, note}, with `ask` where a conversation was opened and `moved` where
// another one took its place; see view.py and page.py.

import { Composer, dropping } from './composer.js';
import { details } from './details.js';
import { button, h, icon, sheet } from './dom.js';
import { card } from './media.js';
import { memory } from './memory.js';
import { anySeed, keptWishes, settings } from './settings.js';
import { Side, startTheme } from './side.js';
import { Thread } from './thread.js';

const RETRY_MS = 4000;
const SILENCE_MS = 10000;

/** Build the page inside `root` and open the conversation that was open last. */
export function start(root, gradio) {
  startTheme();
  const words = pick(gradio.props.languages);
  document.documentElement.lang = words.language;
  const page = new Page(root, gradio, words);
  page.open(memory.open);
}

/** The first language of the reader that there is. */
function pick(languages) {
  const wanted = navigator.languages.map((code) => code.split('-')[0]);
  return languages[wanted.find((code) => code in languages) ?? 'en'];
}

class Page {
  constructor(root, gradio, words) {
    this.gradio = gradio;
    this.words = words;
    this.limits = gradio.props.limits;
    this.wishes = keptWishes(this.limits);
    this.view = { room: null, turns: [], making: [], busy: false };
    this.ask = 0;
    this.build(root);
    gradio.watch('value', () => this.hear(gradio.props.value));
  }

  build(root) {
    const { words } = this;
    this.thread = new Thread(words, {
      use: (part) => this.composer.use(part),
      edit: (turn, text) => this.act({ do: 'edit', turn, text }),
      retry: () => this.act({ do: 'retry' }, { seed: anySeed() }),
      details: (turn, known) => this.details(turn, known),
    });
    this.composer = new Composer(words, this.limits, this.wishes, {
      say: (text, media) => this.act({ do: 'say', text, media }),
      stop: () => this.stop(),
      room: () => this.view.room,
      editLast: () => this.thread.editLast(),
      fail: (message) => this.fail(message),
    });
    this.side = new Side(words, {
      begin: () => this.open(null),
      open: (room) => this.open(room),
      forget: (room) => this.forget(room),
      bring: (file) => this.bring(file),
      gallery: () => this.gallery(),
      settings: () => this.show(settings(words, this.limits, this.wishes)),
    });
    this.empty = this.welcome();
    this.toast = h('div', { class: 'toast', role: 'alert' });
    this.scroll = h('div', { class: 'scroll', tabindex: -1 }, this.empty, this.thread.element);
    const top = h(
      'header',
      { class: 'top' },
      button('menu', words.menu, () => this.side.show(true), { class: 'menu' }),
      h('strong', {}, 'NExT-GPT'),
      button('plus', words.new, () => this.open(null)),
    );
    this.element = h(
      'div',
      { class: 'ng' },
      this.side.element,
      this.side.veil,
      h('main', {}, top, this.scroll, h('div', { class: 'dock' }, this.toast, this.composer.element)),
    );
    this.element.append(dropping(this.element, words, (files) => this.composer.add(files)));
    this.element.addEventListener('keydown', (event) => {
      if (event.key === 'Escape' && this.view.busy && !document.querySelector('.ng dialog[open]')) this.stop();
    });
    root.replaceChildren(this.element);
  }

  welcome() {
    const { words } = this;
    return h(
      'section',
      { class: 'welcome' },
      h('h1', {}, words.greeting),
      h('p', {}, words.lead),
      h('div', { class: 'examples' }, words.examples.map((example) => h(
        'button',
        { type: 'button', class: 'example', onclick: () => this.act({ do: 'say', text: example.text }) },
        icon(example.kind), h('strong', {}, example.title), h('span', {}, example.text),
      ))),
    );
  }

  // What the server tells

  hear(view) {
    if (!view) return;
    const isAsked = view.ask === this.ask;
    const isMoved = view.moved !== undefined && view.moved === this.view.room;
    if (!isAsked && !isMoved && view.room !== this.view.room) return;
    const wasAtEnd = this.scroll.scrollHeight - this.scroll.scrollTop - this.scroll.clientHeight < 120;
    const goesToEnd = isAsked || wasAtEnd || this.hasSent;
    this.hasSent = false;
    this.heardAt = Date.now();
    this.view = view;
    if (isAsked) this.arrive(view);
    if (isMoved) {
      memory.forget(view.moved);
      memory.open = view.room;
      this.composer.restore(this.sentWords);
    }
    this.draw();
    if (goesToEnd) this.scroll.scrollTop = this.scroll.scrollHeight;
  }

  arrive(view) {
    clearInterval(this.asking);
    if (memory.open && memory.open !== view.room && !view.turns.length) memory.forget(memory.open);
    memory.open = view.room;
    this.composer.clear();
    this.composer.focus();
  }

  draw() {
    const { view } = this;
    const name = view.turns.length ? title(view.turns, this.words) : '';
    if (name) memory.note(view.room, name);
    document.title = [name, 'NExT-GPT'].filter(Boolean).join(' – ');
    this.empty.hidden = view.turns.length > 0;
    this.thread.element.hidden = !view.turns.length;
    this.thread.draw(view);
    this.composer.setBusy(view.busy);
    this.side.draw(view.room);
    this.element.dataset.state = view.busy ? 'busy' : 'ready';
    if (view.error && !view.turns.length) this.fail(view.error);
  }

  // What the person does

  act(what, changed = {}) {
    if (this.view.busy) return;
    this.toast.textContent = '';
    this.view = { ...this.view, busy: true };
    this.hasSent = true;
    this.sentWords = what.do === 'say' ? what.text : '';
    this.heardAt = Date.now();
    this.listen();
    this.composer.setBusy(true);
    this.composer.focus();
    this.element.dataset.state = 'busy';
    this.gradio.trigger(this.gradio.events.answer, {
      ...what, room: this.view.room, wishes: { ...this.wishes, ...changed }, language: this.words.language,
    });
  }

  /** While an answer is waited for in silence, look whether the server is there, and still knows the key. */
  listen() {
    clearTimeout(this.listening);
    this.listening = setTimeout(async () => {
      if (!this.view.busy) return;
      if (Date.now() - this.heardAt > SILENCE_MS) {
        const found = await fetch('page/chat.js', { cache: 'no-store' }).catch(() => null);
        if (found?.status === 401) location.reload();
        if (!found) {
          this.view = { ...this.view, busy: false };
          this.composer.setBusy(false);
          this.composer.restore(this.sentWords);
          this.element.dataset.state = 'ready';
          this.fail(this.words.offline);
          return;
        }
      }
      this.listen();
    }, SILENCE_MS);
  }

  stop() {
    this.gradio.trigger(this.gradio.events.stop, { room: this.view.room });
  }

  /** Open a conversation, or a new one where `room` is null or not kept any more. */
  open(room) {
    this.ask += 1;
    if (room === null) memory.open = null;
    else if (memory.open !== room) memory.open = room;
    const ask = () => this.gradio.trigger(this.gradio.events.open, { room, ask: this.ask });
    ask();
    clearInterval(this.asking);
    this.asking = setInterval(ask, RETRY_MS);
  }

  async forget(room) {
    memory.forget(room);
    await this.fetch(`rooms/${room}`, { method: 'DELETE' });
    if (room === this.view.room) this.open(null);
    else this.side.draw(this.view.room);
  }

  async bring(file) {
    if (!file) return;
    const answer = await this.fetch('rooms', { method: 'POST', body: file });
    if (answer) {
      const found = await answer.json();
      this.open(found.room);
    }
  }

  /** Ask the server; what goes wrong is shown, and nothing comes back. */
  async fetch(where, options) {
    try {
      const answer = await fetch(where, options);
      if (answer.ok) return answer;
      this.fail((await answer.json()).error.message);
    } catch {
      this.fail(this.words.offline);
    }
    return null;
  }

  async details(turn, known) {
    const base = encodeURIComponent(new URL('../v1', document.baseURI).href);
    const answer = await this.fetch(`rooms/${this.view.room}/turns/${turn}/request?base=${base}`);
    if (!answer) return;
    const asked = await answer.json();
    if (!document.querySelector('.drawer')) this.show(details(known, asked, this.words));
  }

  gallery() {
    const { words, view } = this;
    const made = view.turns.filter((turn) => turn.role === 'assistant').flatMap((turn) => turn.parts).filter((part) => part.kind !== 'text');
    const dialog = sheet(words.gallery, words, made.length
      ? h('div', { class: 'gallery' }, made.reverse().map((part) => card(view.room, part, words, (used) => { dialog.close(); this.composer.use(used); })))
      : h('p', { class: 'help' }, words.gallery_empty));
    dialog.classList.add('large');
    this.show(dialog);
  }

  show(dialog) {
    this.element.append(dialog);
    dialog.addEventListener('close', () => dialog.remove());
    dialog.showModal();
  }

  fail(message) {
    this.toast.replaceChildren(h('p', {}, message), button('close', this.words.close, () => this.toast.replaceChildren()));
  }
}

function title(turns, words) {
  const first = turns[0].parts.find((part) => part.kind === 'text')?.text ?? words.names[turns[0].parts[0]?.kind] ?? '';
  return first.slice(0, 80) || 'NExT-GPT';
}
