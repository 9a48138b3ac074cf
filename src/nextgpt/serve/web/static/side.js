// The side: conversations, and what is done with one as a whole.

import { button, h } from './dom.js';
import { memory } from './memory.js';

export class Side {
  /** `acts`: begin(), open(room), forget(room), bring(file), exportAddress(), gallery(), settings(). */
  constructor(words, acts) {
    this.words = words;
    this.acts = acts;
    this.list = h('ul', { class: 'rooms' });
    this.find = h('input', {
      type: 'search', class: 'find', id: 'find', placeholder: words.search, 'aria-label': words.search,
      autocomplete: 'off', oninput: () => this.draw(this.room),
    });
    this.file = h('input', {
      type: 'file', accept: '.zip,application/zip', hidden: true, tabindex: -1, id: 'import',
      onchange: () => { acts.bring(this.file.files[0]); this.file.value = ''; },
    });
    this.export = h('a', { class: 'wide', id: 'export', download: '' });
    const close = () => this.show(false);
    this.element = h(
      'nav',
      { class: 'side', 'aria-label': words.menu, onkeydown: (event) => event.key === 'Escape' && close() },
      h('header', {}, h('img', { src: 'page/icon.svg', alt: '', width: 28, height: 28 }), h('strong', {}, 'NExT-GPT'),
        button('close', words.close, close, { class: 'closer' })),
      button('plus', words.new, () => { close(); acts.begin(); }, { wide: true, class: 'new', id: 'new' }),
      h('h2', {}, words.history),
      this.find,
      this.list,
      h(
        'footer',
        {},
        button('grid', words.gallery, () => { close(); acts.gallery(); }, { wide: true, id: 'gallery' }),
        this.export,
        button('up', words.import_, () => this.file.click(), { wide: true }),
        button('gear', words.settings, () => { close(); acts.settings(); }, { wide: true, id: 'settings' }),
        this.theme(),
        this.file,
      ),
    );
    const inner = button('down', words.export, () => {}, { wide: true });
    this.export.append(...inner.childNodes);
    this.veil = h('div', { class: 'shade', onclick: close });
  }

  show(open) {
    this.element.classList.toggle('open', open);
    if (open) this.element.querySelector('.new').focus();
  }

  draw(room) {
    const { words } = this;
    this.room = room;
    this.export.href = `rooms/${room}/export`;
    const known = memory.rooms;
    const wanted = this.find.value.trim().toLowerCase();
    const rooms = known.filter((entry) => entry.title.toLowerCase().includes(wanted));
    const shown = JSON.stringify([room, rooms]);
    if (shown === this.shown) return; // whoever is at the list with the keyboard stays there
    this.shown = shown;
    this.find.hidden = !known.length;
    this.list.replaceChildren(...rooms.map((entry) => this.row(entry, entry.room === room)));
    if (!rooms.length) this.list.append(h('li', { class: 'help' }, known.length ? words.search_nothing : words.history_empty));
  }

  row(entry, isOpen) {
    const { words, acts } = this;
    const row = h(
      'li',
      {},
      h('button', {
        type: 'button', class: 'room', title: entry.title, 'aria-current': isOpen ? 'true' : false,
        onclick: () => { this.show(false); acts.open(entry.room); },
        ondblclick: () => this.rename(row, entry),
        onkeydown: (event) => event.key === 'F2' && this.rename(row, entry),
      }, entry.title),
      button('edit', words.rename, () => this.rename(row, entry), { class: 'forget rename' }),
      button('bin', words.delete, () => acts.forget(entry.room), { class: 'forget' }),
    );
    return row;
  }

  /** Let a person write another name in the place of the old one: Enter keeps it, Escape and an empty one do not. */
  rename(row, entry) {
    const done = (title) => {
      field.onblur = null;
      if (title) memory.rename(entry.room, title);
      this.shown = null;
      this.draw(this.room);
    };
    const field = h('input', {
      type: 'text', class: 'room', value: entry.title, maxlength: 80, 'aria-label': this.words.rename,
      onkeydown: (event) => {
        if (event.key === 'Enter') done(field.value.trim());
        if (event.key === 'Escape') { event.stopPropagation(); done(''); }
      },
    });
    field.onblur = () => done(field.value.trim());
    row.replaceChildren(field);
    field.select();
  }

  theme() {
    const { words } = this;
    const isDark = () => document.documentElement.dataset.theme === 'dark';
    const toggle = button('moon', words.dark, () => { setTheme(isDark() ? 'light' : 'dark'); show(); }, { wide: true, id: 'theme' });
    const show = () => {
      const made = button(isDark() ? 'sun' : 'moon', isDark() ? words.light : words.dark, () => {}, { wide: true });
      toggle.replaceChildren(...made.childNodes);
    };
    show();
    return toggle;
  }
}

export function setTheme(name) {
  memory.theme = name;
  document.documentElement.dataset.theme = name;
}

/** The theme that was chosen, otherwise that of the system. */
export function startTheme() {
  const system = matchMedia('(prefers-color-scheme: dark)').matches ? 'dark' : 'light';
  document.documentElement.dataset.theme = memory.theme ?? system;
}
