// The sidebar: the list of conversations, and what is done with one as a whole.

import { matches } from './conversation.js';
import { button, el, relabel } from './dom.js';
import { preferences } from './storage.js';
import { t } from './strings.js';

export class Sidebar {
  /** `handlers`: begin(), open(id), rename(id, title), remove(id), importZip(file), exportZip(), gallery(), settings(). */
  constructor(iconUrl, handlers) {
    this.handlers = handlers;
    this.conversations = [];
    this.list = el('ul', { class: 'conversations' });
    this.search = el('input', {
      type: 'search',
      class: 'search',
      id: 'search',
      placeholder: t('search'),
      'aria-label': t('search'),
      autocomplete: 'off',
      dir: 'auto',
      oninput: () => this.draw(this.conversations, this.current),
    });
    this.file = el('input', {
      type: 'file',
      accept: '.zip,application/zip',
      hidden: true,
      tabindex: -1,
      id: 'import',
      'aria-label': t('import'),
      onchange: () => {
        handlers.importZip(this.file.files[0]);
        this.file.value = '';
      },
    });
    const close = () => this.show(false);
    const closing = (action) => () => {
      close();
      action();
    };
    this.exportButton = button('down', t('export'), () => handlers.exportZip(), { wide: true, id: 'export' });
    this.element = el(
      'nav',
      {
        class: 'sidebar',
        'aria-label': t('menu'),
        onkeydown: (event) => event.key === 'Escape' && this.isOpen && close(),
      },
      el(
        'header',
        {},
        el('img', { src: iconUrl, alt: '', width: 28, height: 28 }),
        el('strong', {}, 'NExT-GPT'),
        button('close', t('close'), close, { class: 'closer' }),
      ),
      button('plus', t('new'), closing(handlers.begin), { wide: true, class: 'new', id: 'new' }),
      el('h2', { id: 'history' }, t('history')),
      this.search,
      this.list,
      el(
        'footer',
        {},
        button('grid', t('gallery'), closing(handlers.gallery), { wide: true, id: 'gallery' }),
        this.exportButton,
        button('up', t('import'), () => this.file.click(), { wide: true, id: 'import-button' }),
        button('gear', t('settings'), closing(handlers.settings), { wide: true, id: 'settings' }),
        this.themeButton(),
        this.file,
      ),
    );
    this.list.setAttribute('aria-labelledby', 'history');
    this.shade = el('div', { class: 'shade', onclick: close });
  }

  get isOpen() {
    return this.element.classList.contains('open');
  }

  /** Slide the sidebar in or out, where it does not stand beside the conversation. */
  show(isOpen) {
    if (isOpen === this.isOpen) return;
    this.element.classList.toggle('open', isOpen);
    if (isOpen) {
      this.opener = document.activeElement;
      this.element.querySelector('.new').focus();
    } else if (this.element.contains(document.activeElement)) {
      this.opener?.focus({ preventScroll: true });
    }
  }

  /** Draw the conversations that match the search; `current` is the id of the open one. */
  draw(conversations, current) {
    this.conversations = conversations;
    this.current = current;
    this.exportButton.disabled = !conversations.some((one) => one.id === current);
    const query = this.search.value;
    const shown = query.trim() ? conversations.filter((one) => matches(one, query)) : conversations;
    for (const link of this.list.querySelectorAll('a'))
      markCurrent(link, link.closest('li').dataset.id === current);
    const key = JSON.stringify([shown.map((one) => [one.id, one.title]), conversations.length]);
    if (key === this.drawnKey || this.list.querySelector('input')) return; // keep the focus, and a name that is being typed
    this.drawnKey = key;
    this.search.hidden = !conversations.length;
    const focused = this.list.contains(document.activeElement)
      ? document.activeElement.closest('li')?.dataset.id
      : null;
    this.list.replaceChildren(...shown.map((one) => this.row(one, one.id === current)));
    if (!shown.length)
      this.list.append(el('li', { class: 'help' }, t(conversations.length ? 'searchEmpty' : 'historyEmpty')));
    if (focused) this.focusRow(focused);
  }

  focusRow(id) {
    this.list.querySelector(`li[data-id="${id}"] .conversation`)?.focus({ preventScroll: true });
  }

  row({ id, title }, isCurrent) {
    const name = title || t('untitled');
    const rename = () => this.rename(row, id, title);
    const row = el(
      'li',
      { 'data-id': id },
      el(
        'a',
        {
          class: 'conversation',
          href: `#/c/${id}`,
          title: name,
          dir: 'auto',
          'aria-current': isCurrent && 'page',
          onclick: () => this.show(false),
          ondblclick: rename,
          onkeydown: (event) => {
            if (event.key === 'F2') rename();
            if (event.key === 'Delete') this.handlers.remove(id);
          },
        },
        name,
      ),
      button('edit', t('rename'), rename, { class: 'row-action rename' }),
      button('bin', t('delete'), () => this.handlers.remove(id), { class: 'row-action delete' }),
    );
    return row;
  }

  /** Edit a title in its place: Enter and leaving the field keep it, Escape and an empty field do not. */
  rename(row, id, title) {
    let isDone = false;
    const finish = (name, takesFocus) => {
      if (isDone) return;
      isDone = true;
      field.remove();
      this.drawnKey = null;
      if (name) this.handlers.rename(id, name);
      this.draw(this.conversations, this.current);
      if (takesFocus) this.focusRow(id);
    };
    const field = el('input', {
      type: 'text',
      class: 'conversation',
      value: title,
      maxlength: 80,
      dir: 'auto',
      'aria-label': t('rename'),
      onkeydown: (event) => {
        if (event.key === 'Enter') finish(field.value.trim(), true);
        if (event.key === 'Escape') {
          event.stopPropagation();
          finish('', true);
        }
      },
      onblur: () => finish(field.value.trim(), false),
    });
    row.replaceChildren(field);
    field.select();
  }

  themeButton() {
    const root = document.documentElement;
    const isDark = () =>
      (root.dataset.theme ?? (matchMedia('(prefers-color-scheme: dark)').matches ? 'dark' : 'light')) ===
      'dark';
    const show = () => relabel(toggle, isDark() ? 'sun' : 'moon', t(isDark() ? 'light' : 'dark'));
    const toggle = button(
      'moon',
      t('dark'),
      () => {
        root.dataset.theme = isDark() ? 'light' : 'dark';
        preferences.set('theme', root.dataset.theme);
        show();
      },
      { wide: true, id: 'theme' },
    );
    matchMedia('(prefers-color-scheme: dark)').addEventListener('change', show);
    show();
    return toggle;
  }
}

function markCurrent(link, isCurrent) {
  if (isCurrent) link.setAttribute('aria-current', 'page');
  else link.removeAttribute('aria-current');
}
