// Where a message is written: text, attachments, recordings, and the modalities of the answer.

import { newId } from './conversation.js';
import { button, el, icon, relabel } from './dom.js';
import { factsOf, kindOf, probe, sizeClass } from './media.js';
import { camera, microphone } from './recorder.js';
import { nameOf, t } from './strings.js';

const MAX_HEIGHT_PX = 220;

export class Composer {
  /**
   * `handlers`: send(text, parts), stop(), check(id, file), store(id, blob), url(id), editLast(), fail(message).
   * `model` is {outputs, limits}; update it with `setModel`.
   */
  constructor(settings, model, handlers) {
    this.settings = settings;
    this.model = model;
    this.handlers = handlers;
    this.attachments = [];
    this.isBusy = false;
    this.build();
  }

  build() {
    this.field = el('textarea', {
      id: 'message',
      rows: 1,
      placeholder: t('message'),
      'aria-label': t('message'),
      dir: 'auto',
      enterkeyhint: 'send',
      oninput: () => this.fit(),
      onkeydown: (event) => this.onKey(event),
      onpaste: (event) => this.onPaste(event),
    });
    this.chips = el('ul', { class: 'chips', 'aria-label': t('attachments') });
    this.file = el('input', {
      type: 'file',
      multiple: true,
      hidden: true,
      accept: 'image/*,audio/*,video/*',
      tabindex: -1,
      'aria-label': t('attach'),
      onchange: () => {
        this.add(this.file.files);
        this.file.value = '';
      },
    });
    this.sendButton = button('send', t('send'), () => (this.isBusy ? this.handlers.stop() : this.submit()), {
      id: 'send',
      class: 'main',
    });
    this.toggles = el('div', { class: 'modalities', role: 'group', 'aria-label': t('modalities') });
    const give = (file) => this.add([file]);
    const bar = el(
      'div',
      { class: 'bar' },
      button('clip', t('attach'), () => this.file.click(), { class: 'attach' }),
      microphone(give, this.handlers.fail),
      camera(give, this.handlers.fail),
      this.toggles,
      this.sendButton,
    );
    this.element = el('div', { class: 'composer' }, this.chips, this.field, bar, this.file);
    this.setModel(this.model);
    this.show();
  }

  /** Offer the modalities that the model answers in. Toggles that are right already stay, so no click on them is lost. */
  setModel(model) {
    this.model = model;
    const offered = [...this.toggles.children].map((toggle) => toggle.dataset.modality);
    if (offered.join() !== model.outputs.join())
      this.toggles.replaceChildren(...model.outputs.map((name) => this.toggle(name)));
  }

  /** Build the toggle of one modality; where none is pressed the model decides. */
  toggle(name) {
    const { settings } = this;
    const toggle = el(
      'button',
      {
        type: 'button',
        class: 'chip',
        'data-modality': name,
        'aria-pressed': String(settings.modalities.includes(name)),
        title: `${t('modalities')}: ${nameOf(name)}. ${t('modalitiesHelp')}`,
        onclick: () => {
          const selected = new Set(settings.modalities);
          if (!selected.delete(name)) selected.add(name);
          settings.modalities = this.model.outputs.filter((one) => selected.has(one));
          toggle.setAttribute('aria-pressed', String(selected.has(name)));
        },
      },
      icon(name),
      el('span', {}, nameOf(name)),
    );
    return toggle;
  }

  onKey(event) {
    if (event.key === 'Enter' && !event.shiftKey && !event.isComposing) {
      event.preventDefault();
      if (!this.isBusy) this.submit();
    } else if (event.key === 'ArrowUp' && !this.field.value && !this.isBusy) {
      event.preventDefault();
      this.handlers.editLast();
    }
  }

  onPaste(event) {
    if (!event.clipboardData?.files.length) return;
    event.preventDefault();
    this.add(event.clipboardData.files);
  }

  fit() {
    this.field.style.height = 'auto';
    this.field.style.height = `${Math.min(this.field.scrollHeight, MAX_HEIGHT_PX)}px`;
    this.show();
  }

  setBusy(isBusy) {
    if (isBusy === this.isBusy) return;
    this.isBusy = isBusy;
    this.show();
  }

  show() {
    relabel(this.sendButton, this.isBusy ? 'stop' : 'send', t(this.isBusy ? 'stop' : 'send'));
    this.sendButton.classList.toggle('stopping', this.isBusy);
    const isReading = this.attachments.some((attachment) => !attachment.part);
    this.sendButton.disabled =
      !this.isBusy && (isReading || (!this.field.value.trim() && !this.attachments.length));
  }

  submit() {
    if (this.sendButton.disabled) return;
    const text = this.field.value;
    const parts = this.attachments.map((attachment) => attachment.part);
    this.clear();
    this.handlers.send(text, parts);
  }

  /** Take the focus, where that does not open a keyboard on the screen. */
  focus() {
    if (matchMedia('(pointer: fine)').matches) this.field.focus({ preventScroll: true });
  }

  clear() {
    this.field.value = '';
    this.attachments = [];
    this.chips.replaceChildren();
    this.fit();
  }

  /** Attach files. Each is checked by the server and stored in the browser at once. */
  async add(files) {
    const { limits } = this.model;
    await Promise.all(
      [...files].map(async (file) => {
        if (file.size > limits.max_medium_bytes) {
          this.handlers.fail(
            t('tooLarge', { name: file.name, limit: Math.floor(limits.max_medium_bytes / 2 ** 20) }),
          );
        } else if (this.attachments.length >= limits.max_media) {
          this.handlers.fail(t('tooMany', { limit: limits.max_media }));
        } else {
          await this.read(file);
        }
      }),
    );
  }

  async read(file) {
    const attachment = this.chip(file.name);
    try {
      const id = newId();
      await this.handlers.check(id, file);
      const kind = kindOf(file);
      if (!kind) throw new Error(t('notMedium', { name: file.name }));
      const part = { id, name: file.name, type: file.type, size: file.size, ...(await probe(kind, file)) };
      await this.handlers.store(id, file);
      this.fill(attachment, part);
    } catch (error) {
      this.remove(attachment);
      this.handlers.fail(
        error.message.includes(file.name) || !error.status ? error.message : `${file.name}: ${error.message}`,
      );
    }
  }

  /** Attach a medium of the conversation. */
  use(part) {
    this.fill(this.chip(''), part);
    this.focus();
  }

  chip(name) {
    const attachment = { part: null, name };
    attachment.look = el('span', { class: 'look busy' });
    attachment.label = el('span', { class: 'label', dir: 'auto' }, t('reading', { name }));
    attachment.close = button(
      'close',
      t('remove', { name }),
      () => {
        this.remove(attachment);
        this.focus();
      },
      { class: 'remove' },
    );
    attachment.element = el(
      'li',
      { class: 'attachment' },
      attachment.look,
      attachment.label,
      attachment.close,
    );
    this.attachments.push(attachment);
    this.chips.append(attachment.element);
    this.show();
    return attachment;
  }

  async fill(attachment, part) {
    if (!this.attachments.includes(attachment)) return;
    attachment.part = part;
    attachment.look.className = 'look';
    const name = attachment.name || nameOf(part.kind);
    attachment.label.replaceChildren(
      name,
      el('small', {}, [nameOf(part.kind), factsOf(part)].filter(Boolean).join(' · ')),
    );
    attachment.close.setAttribute('aria-label', t('remove', { name }));
    attachment.element.dataset.kind = part.kind;
    this.show();
    const src = await this.handlers.url(part.id);
    const looks = {
      image: () => el('img', { src, alt: '', class: sizeClass(part) }),
      video: () =>
        el('video', { src, preload: 'auto', tabindex: -1, 'aria-hidden': 'true', class: sizeClass(part) }),
    };
    attachment.look.append(looks[part.kind]?.() ?? icon('audio'));
  }

  remove(attachment) {
    this.attachments = this.attachments.filter((other) => other !== attachment);
    attachment.element.remove();
    this.show();
  }
}

/** Let files be dropped anywhere on the page. Returns the overlay that says so. */
export function dropZone(root, give) {
  const overlay = el('div', { class: 'overlay', hidden: true }, el('p', {}, icon('clip'), t('drop')));
  let depth = 0;
  const enter = (change) => {
    depth = Math.max(0, depth + change);
    overlay.hidden = depth === 0;
  };
  const hasFiles = (event) => [...(event.dataTransfer?.types ?? [])].includes('Files');
  root.addEventListener('dragenter', (event) => {
    if (hasFiles(event)) {
      event.preventDefault();
      enter(1);
    }
  });
  root.addEventListener('dragleave', (event) => {
    if (hasFiles(event)) enter(-1);
  });
  root.addEventListener('dragover', (event) => {
    if (hasFiles(event)) event.preventDefault();
  });
  root.addEventListener('drop', (event) => {
    depth = 0;
    overlay.hidden = true;
    if (!hasFiles(event)) return;
    event.preventDefault();
    give(event.dataTransfer.files);
  });
  return overlay;
}
