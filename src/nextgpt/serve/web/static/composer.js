// Where a message is written: words, attachments, devices, and the modalities of the answer.

import { button, fill, h, icon, span } from './dom.js';
import { camera, microphone } from './devices.js';
import { address } from './media.js';

export class Composer {
  /** `acts`: say(text, names), stop(), room(), editLast(), fail(message). */
  constructor(words, limits, wishes, acts) {
    this.words = words;
    this.limits = limits;
    this.wishes = wishes;
    this.acts = acts;
    this.attached = [];
    this.busy = false;
    this.build();
  }

  build() {
    const { words } = this;
    this.field = h('textarea', {
      id: 'message', rows: 1, placeholder: words.message, 'aria-label': words.message, oninput: () => this.fit(),
      onkeydown: (event) => this.key(event), onpaste: (event) => this.paste(event),
    });
    this.chips = h('ul', { class: 'chips', 'aria-label': words.attach });
    this.file = h('input', {
      type: 'file', multiple: true, hidden: true, accept: 'image/*,audio/*,video/*', tabindex: -1,
      onchange: () => { this.add(this.file.files); this.file.value = ''; },
    });
    this.send = button('send', words.send, () => (this.busy ? this.acts.stop() : this.submit()), { id: 'send', class: 'main' });
    const bar = h(
      'div',
      { class: 'bar' },
      button('clip', words.attach, () => this.file.click(), { class: 'attach' }),
      microphone(words, (file) => this.add([file]), this.acts.fail),
      camera(words, (file) => this.add([file]), this.acts.fail),
      this.modalities(),
      this.send,
    );
    this.element = h('div', { class: 'composer' }, this.chips, this.field, bar, this.file);
    this.show();
  }

  /** Toggles of what may be answered; none of them pressed leaves it to the model. */
  modalities() {
    const { words, wishes } = this;
    const toggles = this.limits.modalities.map((name) => {
      const toggle = h('button', {
        type: 'button', class: 'chip', 'data-modality': name, 'aria-pressed': String(wishes.modalities.includes(name)),
        title: `${words.modalities}: ${words.names[name]}. ${words.modality_help}`,
        onclick: () => {
          const chosen = new Set(wishes.modalities);
          if (!chosen.delete(name)) chosen.add(name);
          wishes.modalities = this.limits.modalities.filter((known) => chosen.has(known));
          toggle.setAttribute('aria-pressed', String(chosen.has(name)));
        },
      }, icon(name), h('span', {}, words.names[name]));
      return toggle;
    });
    return h('div', { class: 'modalities', role: 'group', 'aria-label': words.modalities }, toggles);
  }

  key(event) {
    if (event.key === 'Enter' && !event.shiftKey && !event.isComposing) {
      event.preventDefault();
      if (!this.busy) this.submit();
    } else if (event.key === 'ArrowUp' && !this.field.value && !this.busy) {
      event.preventDefault();
      this.acts.editLast();
    }
  }

  paste(event) {
    if (event.clipboardData?.files.length) {
      event.preventDefault();
      this.add(event.clipboardData.files);
    }
  }

  fit() {
    this.field.style.height = 'auto';
    this.field.style.height = `${Math.min(this.field.scrollHeight, 220)}px`;
    this.show();
  }

  setBusy(busy) {
    this.busy = busy;
    this.show();
  }

  show() {
    const { words, busy } = this;
    const label = busy ? words.stop : words.send;
    this.send.replaceChildren(icon(busy ? 'stop' : 'send'));
    this.send.setAttribute('aria-label', label);
    this.send.title = label;
    this.send.classList.toggle('stopping', busy);
    const waits = this.attached.some((entry) => !entry.part);
    this.send.disabled = !busy && (waits || (!this.field.value.trim() && !this.attached.length));
  }

  submit() {
    if (this.send.disabled) return;
    const text = this.field.value;
    const names = this.attached.map((entry) => entry.part.name);
    this.clear();
    this.acts.say(text, names);
  }

  /** Take the keyboard, where that does not open one on the screen. */
  focus() {
    if (matchMedia('(pointer: fine)').matches) this.field.focus({ preventScroll: true });
  }

  clear() {
    this.field.value = '';
    this.attached = [];
    this.chips.replaceChildren();
    this.fit();
  }

  /** Put words back that did not arrive. */
  restore(text) {
    this.field.value ||= text;
    this.fit();
  }

  /** Send files ahead of the message; each is read by the server at once, so that what cannot be read is told at once. */
  async add(files) {
    const { words, limits } = this;
    await Promise.all([...files].map(async (file) => {
      if (file.size > limits.medium_bytes) {
        this.acts.fail(fill(words.too_large, { name: file.name, most: Math.floor(limits.medium_bytes / 2 ** 20) }));
        return;
      }
      const entry = this.chip(null, file.name);
      const room = this.acts.room();
      try {
        const answer = await fetch(`rooms/${room}/media`, { method: 'POST', body: file });
        const part = await answer.json();
        if (!answer.ok) throw new Error(`${file.name}: ${part.error.message}`);
        this.fill(entry, part);
      } catch (error) {
        this.drop(entry);
        this.acts.fail(error instanceof TypeError ? words.offline : error.message);
      }
    }));
  }

  /** Take a medium that stands in the conversation. */
  use(part) {
    this.fill(this.chip(part, ''), part);
    this.focus();
  }

  chip(part, name) {
    const { words } = this;
    const entry = { part, name };
    entry.look = h('span', { class: 'look busy' });
    entry.label = h('span', { class: 'label' }, fill(words.reading, { name }));
    entry.element = h('li', { class: 'attachment' }, entry.look, entry.label, button('close', words.remove, () => this.drop(entry), { class: 'remove' }));
    this.attached.push(entry);
    this.chips.append(entry.element);
    this.show();
    return entry;
  }

  fill(entry, part) {
    if (!this.attached.includes(entry)) return;
    entry.part = part;
    const size = part.seconds ? span(part.seconds) : `${part.width} × ${part.height}`;
    const source = address(this.acts.room(), part);
    entry.look.className = 'look';
    const look = {
      image: () => h('img', { src: source, alt: '' }),
      video: () => h('video', { src: source, preload: 'auto', tabindex: -1 }),
    }[part.kind] ?? (() => icon('audio'));
    entry.look.append(look());
    entry.label.textContent = entry.name || this.words.names[part.kind];
    entry.label.append(h('small', {}, `${this.words.names[part.kind]} · ${size}`));
    entry.element.dataset.kind = part.kind;
    this.show();
  }

  drop(entry) {
    this.attached = this.attached.filter((other) => other !== entry);
    entry.element.remove();
    this.show();
    this.focus();
  }
}

/** Files may be dropped anywhere on the page. */
export function dropping(root, words, give) {
  const veil = h('div', { class: 'veil', hidden: true }, h('p', {}, icon('clip'), words.drop));
  let depth = 0;
  const show = (change) => { depth = Math.max(0, depth + change); veil.hidden = depth === 0; };
  const holdsFiles = (event) => [...(event.dataTransfer?.types ?? [])].includes('Files');
  root.addEventListener('dragenter', (event) => { if (holdsFiles(event)) { event.preventDefault(); show(1); } });
  root.addEventListener('dragleave', (event) => { if (holdsFiles(event)) show(-1); });
  root.addEventListener('dragover', (event) => { if (holdsFiles(event)) event.preventDefault(); });
  root.addEventListener('drop', (event) => {
    depth = 0;
    veil.hidden = true;
    if (!holdsFiles(event)) return;
    event.preventDefault();
    give(event.dataTransfer.files);
  });
  return veil;
}
