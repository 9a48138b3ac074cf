// The shown conversation: draws what is new and leaves what stands, so that a player goes on while text arrives.

import { mediaOf, textOf } from './conversation.js';
import { button, copyText, el } from './dom.js';
import { renderMarkdown } from './markdown.js';
import { card, progressCard } from './media.js';
import { nameOf, t } from './strings.js';

export class MessageList {
  /** `handlers`: use(part), edit(message, text), retry(isSameSeed), details(message), select(message). */
  constructor(storage, handlers) {
    this.storage = storage;
    this.handlers = handlers;
    this.list = el('ol', { class: 'turns' });
    this.progress = el('div', { class: 'steps' });
    this.waiting = el(
      'div',
      { class: 'waiting' },
      el('span', { class: 'sr' }, t('thinking')),
      el('i'),
      el('i'),
      el('i'),
    );
    this.foot = el('div', { class: 'foot' });
    this.spoken = el('div', { class: 'sr', role: 'status', 'aria-live': 'polite', id: 'spoken' });
    this.element = el('div', { class: 'thread' }, this.list, this.spoken);
    this.tail = el(
      'li',
      { class: 'turn assistant tail' },
      el('div', { class: 'content' }, this.progress, this.waiting, this.foot),
    );
    this.drawn = [];
    this.announced = '';
    this.wasBusy = false;
  }

  /**
   * Draw a view: {id, messages, progress, isBusy, error, note}. The last message may be a partial reply.
   *
   * Each message comes with `versions`, all versions of it with the shown one among them.
   */
  draw(view) {
    if (view.id !== this.id) this.clear(view.id);
    view.messages.forEach((message, index) => this.drawMessage(message, index, view));
    while (this.drawn.length > view.messages.length) this.drawn.pop().element.remove();
    this.list.append(this.tail);
    this.drawProgress(view.progress);
    const last = view.messages.at(-1);
    this.waiting.hidden = !view.isBusy || view.progress.length > 0 || last?.message.role === 'assistant';
    this.drawFoot(view, last);
    this.element.setAttribute('aria-busy', String(view.isBusy));
    this.announce(view, last);
    this.wasBusy = view.isBusy;
  }

  clear(id) {
    this.id = id;
    this.drawn = [];
    this.announced = '';
    this.shownFoot = null;
    this.wasBusy = false;
    this.spoken.textContent = '';
    this.list.replaceChildren();
  }

  drawMessage({ message, versions }, index, view) {
    let item = this.drawn[index];
    if (item && (item.role !== message.role || item.id !== message.id)) {
      this.drawn.splice(index).forEach((stale) => stale.element.remove());
      item = undefined;
    }
    if (!item) {
      item = this.newItem(message);
      this.drawn[index] = item;
      this.list.append(item.element);
    }
    item.message = message;
    const isLast = index === view.messages.length - 1;
    item.element.classList.toggle('streaming', isLast && view.isBusy && message.role === 'assistant');
    message.parts.forEach((part, position) => this.drawPart(item, part, position));
    item.parts.splice(message.parts.length).forEach((stale) => stale.element.remove());
    if (item.about) item.about.hidden = !message.details;
    item.copy.hidden = !textOf(message);
    item.cut.hidden = isLast || message.details?.finish !== 'length';
    this.drawVersions(item, message, versions, view.isBusy);
    // The latest answer has its actions in the foot, beside the seed; there are none while it is generated.
    const isInFoot = isLast && message.role === 'assistant';
    item.buttons.forEach((one) => one.classList.toggle('moved', isInFoot));
    item.actions.hidden =
      (isLast && view.isBusy && message.role === 'assistant') || (isInFoot && versions.length < 2);
  }

  newItem(message) {
    const isUser = message.role === 'user';
    const item = {
      id: message.id,
      role: message.role,
      message,
      parts: [],
      content: el('div', { class: 'content' }),
    };
    item.copy = this.copyButton(item);
    item.about = isUser ? null : this.detailsButton(item);
    item.edit = isUser ? button('edit', t('edit'), () => this.edit(item), { class: 'edit' }) : null;
    item.buttons = [item.edit, item.copy, item.about].filter(Boolean);
    item.versions = el('div', { class: 'versions', role: 'group', hidden: true });
    item.cut = el('p', { class: 'note', hidden: true }, t('cutBefore'));
    item.actions = el('div', { class: 'actions' }, item.versions, item.buttons);
    const who = el(
      'h2',
      { class: 'sr' },
      isUser ? t('you') : message.role === 'assistant' ? t('model') : message.role,
    );
    item.element = el('li', { class: `turn ${message.role}` }, who, item.content, item.cut, item.actions);
    return item;
  }

  detailsButton(item) {
    return button('info', t('details'), () => this.handlers.details(item.message), { class: 'about' });
  }

  copyButton(item) {
    const copy = button(
      'copy',
      t('copy'),
      async () => {
        if (!(await copyText(textOf(item.message)))) return;
        copy.title = t('copied');
        copy.classList.add('done');
        this.spoken.textContent = t('copied');
        setTimeout(() => {
          copy.title = t('copy');
          copy.classList.remove('done');
        }, 2000);
      },
      { class: 'copy' },
    );
    return copy;
  }

  /** Show which of several versions this is, and lead to the others. */
  drawVersions(item, message, versions, isBusy) {
    const at = versions.indexOf(message);
    const shown = `${at}/${versions.length}/${isBusy}`;
    if (shown === item.shownVersions) return;
    const focused = item.versions.contains(document.activeElement)
      ? document.activeElement.dataset.step
      : null;
    item.shownVersions = shown;
    item.versions.hidden = versions.length < 2;
    if (versions.length < 2) return;
    const label = t('version', { index: at + 1, count: versions.length });
    item.versions.setAttribute('aria-label', label);
    const step = (name, text, by) =>
      button(name, text, () => this.handlers.select(versions[at + by], by), {
        'data-step': by,
        disabled: isBusy || !versions[at + by],
      });
    item.versions.replaceChildren(
      step('previous', t('versionPrevious'), -1),
      el('span', { class: 'facts', 'aria-hidden': 'true' }, `${at + 1}/${versions.length}`),
      step('next', t('versionNext'), 1),
    );
    if (focused) this.focusVersion(item, focused);
  }

  focusVersion(item, step) {
    const wanted =
      item.versions.querySelector(`[data-step="${step}"]:not(:disabled)`) ??
      item.versions.querySelector('button:not(:disabled)');
    wanted?.focus({ preventScroll: true });
  }

  /** Put the focus on the version buttons of a message, after another version was chosen. */
  focusVersionOf(id, step) {
    const item = this.drawn.find((one) => one.id === id);
    if (item) this.focusVersion(item, step);
  }

  drawPart(item, part, position) {
    const existing = item.parts[position];
    const key = part.kind === 'text' ? part.text : part.id;
    if (existing?.kind === part.kind && existing.key === key) return;
    if (existing?.kind === 'text' && part.kind === 'text') {
      existing.key = key;
      renderText(existing.element, part.text, item.role);
      return;
    }
    const use = item.role === 'assistant' ? this.handlers.use : null;
    const element =
      part.kind === 'text'
        ? renderText(el('div', { class: 'text' }), part.text, item.role)
        : card(part, this.storage, use);
    item.parts[position] = { key, kind: part.kind, element };
    if (existing) existing.element.replaceWith(element);
    else item.content.append(element);
  }

  drawProgress(progress) {
    const existing = new Map([...this.progress.children].map((shown) => [shown.dataset.kind, shown]));
    for (const one of progress) {
      const shown = existing.get(one.kind);
      if (shown) shown.update(one);
      else this.progress.append(progressCard(one));
      existing.delete(one.kind);
    }
    for (const stale of existing.values()) stale.remove();
  }

  drawFoot(view, last) {
    const shown = JSON.stringify([
      view.id,
      last?.message.id,
      Boolean(last?.message.details),
      view.isBusy,
      view.error,
      view.note,
    ]);
    if (shown === this.shownFoot) return;
    this.shownFoot = shown;
    const focused = this.foot.contains(document.activeElement) ? document.activeElement.className : null;
    const children = [];
    if (view.error) children.push(el('p', { role: 'alert', class: 'error' }, view.error));
    if (view.note) children.push(el('p', { class: 'note' }, view.note));
    if (!view.isBusy && last) {
      const item = last.message.role === 'assistant' ? this.drawn.at(-1) : null;
      const details = item && last.message.details;
      children.push(
        el(
          'div',
          { class: 'actions' },
          button('retry', t('retry'), () => this.handlers.retry(false), { class: 'retry' }),
          details && button('repeat', t('repeat'), () => this.handlers.retry(true), { class: 'repeat' }),
          item && textOf(last.message) && this.copyButton(item),
          details && this.detailsButton(item),
          details && el('span', { class: 'facts', id: 'seed-used' }, t('seedUsed', { seed: details.seed })),
        ),
      );
    }
    this.foot.replaceChildren(...children);
    if (focused)
      [...this.foot.querySelectorAll('button')]
        .find((one) => one.className === focused)
        ?.focus({ preventScroll: true });
  }

  /** Edit one's own text in its place: Enter sends it, Escape does not. */
  edit(item) {
    if (item.element.querySelector('form')) return;
    const text = textOf(item.message);
    const field = el('textarea', {
      'aria-label': t('edit'),
      dir: 'auto',
      rows: Math.min(8, text.split('\n').length + 1),
    });
    field.value = text;
    const close = () => {
      form.remove();
      item.element.classList.remove('editing');
    };
    const cancel = () => {
      close();
      item.edit.focus({ preventScroll: true });
    };
    const send = () => {
      if (!field.value.trim() && !mediaOf([item.message]).length) return;
      close();
      this.handlers.edit(item.message, field.value);
    };
    const form = el(
      'form',
      {
        class: 'rewrite',
        onsubmit: (event) => {
          event.preventDefault();
          send();
        },
        onkeydown: (event) => {
          if (event.key === 'Escape') {
            event.stopPropagation();
            cancel();
          }
          if (event.key === 'Enter' && !event.shiftKey && !event.isComposing && event.target === field) {
            event.preventDefault();
            send();
          }
        },
      },
      field,
      el(
        'div',
        { class: 'buttons' },
        el('button', { type: 'button', class: 'plain', onclick: cancel }, t('cancel')),
        el('button', { type: 'submit', class: 'main' }, t('resend')),
      ),
    );
    item.element.classList.add('editing');
    item.content.after(form);
    field.focus();
  }

  /** Edit the latest message of one's own. */
  editLast() {
    const item = this.drawn.findLast((one) => one.role === 'user');
    if (item) this.edit(item);
  }

  /** Announce sentences as they are complete, and at the end what came besides text. */
  announce(view, last) {
    if (last?.message.role !== 'assistant') {
      this.announced = '';
      this.spoken.textContent = view.isBusy ? t('thinking') : '';
      return;
    }
    const { parts } = last.message;
    const text = textOf(last.message);
    if (view.isBusy) {
      const end = Math.max(...['. ', '! ', '? ', '\n'].map((mark) => text.lastIndexOf(mark))) + 1;
      if (end > this.announced.length) {
        this.spoken.textContent = text.slice(this.announced.length, end).trim();
        this.announced = text.slice(0, end);
      }
      return;
    }
    const content = parts
      .map((part) => (part.kind === 'text' ? part.text.trim() : nameOf(part.kind)))
      .filter(Boolean)
      .join(', ');
    if (this.wasBusy) this.spoken.textContent = t('answered', { content });
    this.announced = '';
  }
}

/** Show text: the model's as Markdown, a person's as it was typed. */
function renderText(element, text, role) {
  if (role === 'assistant') {
    renderMarkdown(element, text);
    return element;
  }
  element.replaceChildren(el('div', { class: 'bubble', dir: 'auto' }, text));
  return element;
}
