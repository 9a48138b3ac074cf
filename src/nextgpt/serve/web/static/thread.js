// The conversation: draws what is new and leaves what stands, so that a player goes on while words arrive.

import { button, fill, h } from './dom.js';
import { card, making } from './media.js';

export class Thread {
  /** `acts`: use(part), edit(turn, text), retry(), details(turn, known). */
  constructor(words, acts) {
    this.words = words;
    this.acts = acts;
    this.list = h('ol', { class: 'turns' });
    this.steps = h('div', { class: 'steps' });
    this.waiting = h('div', { class: 'waiting' }, h('span', { class: 'sr' }, words.thinking), h('i'), h('i'), h('i'));
    this.foot = h('div', { class: 'foot' });
    this.spoken = h('div', { class: 'sr', role: 'status', 'aria-live': 'polite', id: 'spoken' });
    this.element = h('div', { class: 'thread', role: 'log', 'aria-live': 'off', 'aria-label': words.history }, this.list, this.spoken);
    this.answer = h('li', { class: 'turn assistant tail' }, h('div', { class: 'content' }, this.steps, this.waiting, this.foot));
    this.drawn = [];
    this.room = null;
    this.told = '';
    this.wasBusy = false;
  }

  draw(view) {
    if (view.room !== this.room) this.clear(view.room);
    view.turns.forEach((turn, place) => this.drawTurn(turn, place, view));
    while (this.drawn.length > view.turns.length) this.drawn.pop().element.remove();
    this.list.append(this.answer);
    this.drawSteps(view.making);
    const last = view.turns[view.turns.length - 1];
    this.waiting.hidden = !view.busy || view.making.length > 0 || last?.role === 'assistant';
    this.drawFoot(view, last);
    this.element.setAttribute('aria-busy', String(view.busy));
    this.say(view, last);
    this.wasBusy = view.busy;
  }

  clear(room) {
    this.room = room;
    this.drawn = [];
    this.told = '';
    this.list.replaceChildren();
  }

  drawTurn(turn, place, view) {
    let known = this.drawn[place];
    if (known && known.role !== turn.role) {
      this.drawn.splice(place).forEach((stale) => stale.element.remove());
      known = undefined;
    }
    if (!known) {
      known = this.newTurn(turn, place);
      this.drawn[place] = known;
      this.list.append(known.element);
    }
    turn.parts.forEach((part, at) => this.drawPart(known, part, at, turn.role));
    known.parts.splice(turn.parts.length).forEach((stale) => stale.element.remove());
    known.details = turn.details;
    if (known.about) known.about.hidden = !turn.details;
    known.text = turn.parts.filter((part) => part.kind === 'text').map((part) => part.text).join('\n');
    // The latest answer has its actions in the foot, beside the seed; while it is made there is nothing to do with it.
    known.actions.hidden = place === view.turns.length - 1 && (view.busy || turn.role === 'assistant');
  }

  newTurn(turn, place) {
    const { words } = this;
    const content = h('div', { class: 'content' });
    const known = { role: turn.role, place, parts: [], content, text: '' };
    const copy = this.copyButton(known);
    const edit = turn.role === 'user' ? button('edit', words.edit, () => this.edit(known, place), { class: 'edit' }) : null;
    known.about = turn.role === 'assistant' ? this.detailsButton(known) : null;
    known.actions = h('div', { class: 'actions' }, edit, copy, known.about);
    const who = h('h3', { class: 'sr' }, turn.role === 'user' ? words.you : words.model);
    known.element = h('li', { class: `turn ${turn.role}` }, who, content, known.actions);
    return known;
  }

  detailsButton(known) {
    return button('info', this.words.details, () => this.acts.details(known.place, known.details), { class: 'about' });
  }

  copyButton(known) {
    const { words } = this;
    const copy = button('copy', words.copy, async () => {
      await navigator.clipboard.writeText(known.text);
      copy.title = words.copied;
      copy.classList.add('done');
    }, { class: 'copy' });
    return copy;
  }

  drawPart(known, part, at, role) {
    const standing = known.parts[at];
    const key = JSON.stringify(part);
    if (standing?.key === key) return;
    if (standing?.kind === 'text' && part.kind === 'text') {
      standing.key = key;
      write(standing.element, part);
      return;
    }
    const use = role === 'assistant' ? this.acts.use : null;
    const element = part.kind === 'text' ? write(h('div', { class: 'words' }, h('div')), part) : card(this.room, part, this.words, use);
    known.parts[at] = { key, kind: part.kind, element };
    if (standing) standing.element.replaceWith(element);
    else known.content.append(element);
  }

  drawSteps(steps) {
    const standing = new Map([...this.steps.children].map((shown) => [shown.dataset.kind, shown]));
    for (const step of steps) {
      const shown = standing.get(step.kind);
      if (shown) shown.update(step);
      else this.steps.append(making(step, this.words));
      standing.delete(step.kind);
    }
    for (const stale of standing.values()) stale.remove();
  }

  drawFoot(view, last) {
    const { words } = this;
    const shown = JSON.stringify([view.room, view.turns.length, view.busy, view.error, view.note, view.told]);
    if (shown === this.shownFoot) return;
    this.shownFoot = shown;
    const children = [];
    if (view.error) children.push(h('p', { role: 'alert', class: 'error' }, view.error));
    if (view.note) children.push(h('p', { class: 'note' }, view.note));
    if (!view.busy && view.turns.length) {
      const known = last.role === 'assistant' ? this.drawn.at(-1) : null;
      children.push(
        h(
          'div',
          { class: 'actions' },
          button('retry', words.retry, () => this.acts.retry(), { class: 'retry' }),
          known && this.copyButton(known),
          known?.details && this.detailsButton(known),
          known?.details && h('span', { class: 'facts', id: 'seed-was' }, fill(words.seed_was, { seed: known.details.seed })),
        ),
      );
    }
    this.foot.replaceChildren(...children);
  }

  /** Change one's own words in their place. */
  edit(known, turn) {
    if (known.element.querySelector('form')) return;
    const { words } = this;
    const field = h('textarea', { 'aria-label': words.edit, rows: Math.min(8, known.text.split('\n').length + 1) });
    field.value = known.text;
    const done = () => { form.remove(); known.element.classList.remove('editing'); };
    const send = () => { done(); this.acts.edit(turn, field.value); };
    const form = h(
      'form',
      {
        class: 'rewrite',
        onsubmit: (event) => { event.preventDefault(); send(); },
        onkeydown: (event) => {
          if (event.key === 'Escape') { event.stopPropagation(); done(); }
          if (event.key === 'Enter' && !event.shiftKey && !event.isComposing && event.target === field) { event.preventDefault(); send(); }
        },
      },
      field,
      h(
        'div',
        { class: 'buttons' },
        h('button', { type: 'button', class: 'plain', onclick: done }, words.cancel),
        h('button', { type: 'submit', class: 'main' }, words.resend),
      ),
    );
    known.element.classList.add('editing');
    known.content.after(form);
    field.focus();
  }

  /** Open the latest message of one's own for editing. */
  editLast() {
    const place = this.drawn.findLastIndex((known) => known.role === 'user');
    if (place >= 0) this.edit(this.drawn[place], place);
  }

  /** Read sentences out as they are complete, and at the end what came besides words. */
  say(view, last) {
    if (last?.role !== 'assistant') {
      this.told = '';
      this.spoken.textContent = view.busy ? this.words.thinking : '';
      return;
    }
    const text = last.parts.filter((part) => part.kind === 'text').map((part) => part.text).join(' ');
    if (view.busy) {
      const end = Math.max(...['. ', '! ', '? ', '\n'].map((mark) => text.lastIndexOf(mark))) + 1;
      if (end > this.told.length) {
        this.spoken.textContent = text.slice(this.told.length, end).trim();
        this.told = text.slice(0, end);
      }
      return;
    }
    const names = last.parts.map((part) => (part.kind === 'text' ? part.text.trim() : this.words.names[part.kind]));
    const whole = fill(this.words.answered, { what: names.filter(Boolean).join(', ') });
    if (this.wasBusy) this.spoken.textContent = whole;
    this.told = '';
  }
}

function write(element, part) {
  // The server made this HTML from the model's words, and left no markup of theirs in it.
  if (part.html !== undefined) element.firstChild.innerHTML = part.html;
  else element.firstChild.textContent = part.text;
  return element;
}
