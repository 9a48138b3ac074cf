// The review page: one dialogue at a time is kept, corrected or dropped. A decision counts when the server confirmed it.

import { call, parameter, setParameter, setState } from './api.js';
import { el } from './dom.js';
import { failureView, partsView, progressView, togglePlayer } from './parts.js';

const page = { reasons: [], reviewer: null, session: null, row: null, history: [] };
const main = el('main', { id: 'main' });
const header = el('header', { class: 'page-header', hidden: true });
const live = el('p', { class: 'sr', role: 'status' });

async function begin() {
  setState('loading');
  document.body.append(header, main, live);
  page.reasons = (await call('/api/review')).reasons;
  const reviewer = parameter('reviewer');
  if (reviewer) await start(reviewer);
  else showStart();
}

function showStart(problem = '') {
  const name = el('input', { type: 'text', id: 'reviewer', required: true, maxlength: 40, autocomplete: 'nickname' });
  const submit = (event) => {
    event.preventDefault();
    start(name.value.trim());
  };
  header.hidden = true;
  main.replaceChildren(
    el(
      'section',
      { class: 'start' },
      el('h1', {}, 'Review dialogues'),
      el('p', {}, 'Keep what a model should learn from. Correct texts, choose better media, or drop the dialogue.'),
      el('p', { class: 'problem', role: 'alert' }, problem),
      el(
        'form',
        { onsubmit: submit },
        el('label', { for: 'reviewer' }, 'Your name. Use the same one to continue later.'),
        name,
        el('div', {}, el('button', { class: 'main', type: 'submit' }, 'Start')),
      ),
    ),
  );
  setState('ready');
  name.focus();
}

async function start(reviewer) {
  setState('loading');
  try {
    page.session = await call('/api/session', { reviewer });
  } catch (error) {
    showStart(error.message);
    return;
  }
  page.reviewer = reviewer;
  page.history = page.session.decided;
  setParameter('reviewer', reviewer);
  await open(page.session.next);
}

async function open(id) {
  if (id === null) {
    showEnd();
    return;
  }
  setState('loading');
  try {
    const query = new URLSearchParams({ reviewer: page.reviewer });
    page.row = await call(`/api/rows/${encodeURIComponent(id)}?${query}`);
  } catch (error) {
    showFailure(error, () => open(id));
    return;
  }
  showRow();
}

function showFailure(error, again) {
  main.replaceChildren(failureView(error, again));
  setState('failed');
}

function showHeader() {
  const { decided, left } = page.session;
  const done = decided.length;
  header.hidden = false;
  header.replaceChildren(progressView('Review', 'Reviewed dialogues', done, done + left, `${done} reviewed, ${left} left`));
}

function showRow() {
  const { row } = page;
  showHeader();
  main.replaceChildren(
    el('h2', { tabindex: -1 }, row.topic),
    el('p', { class: 'help' }, `${row.id} · ${row.intents.join(', ')}`),
    ...row.messages.map(messageView),
    keyHelp(),
    decisionBar(row.own),
  );
  scrollTo(0, 0);
  main.querySelector('h2').focus({ preventScroll: true });
  live.textContent = row.topic;
  setState('ready');
}

function messageView(message, number) {
  const name = message.role === 'user' ? 'User' : 'Assistant';
  const parts = message.parts.map((part, index) =>
    part.type === 'text' ? textView(part, number, index, name) : mediumView(part, number, index, name),
  );
  return el('div', { class: `turn ${message.role}` }, el('h3', {}, name), parts);
}

/** Return what the reviewer changed before, for one part. */
function earlier(number, index) {
  return page.row.own?.corrections.find((one) => one.message === number && one.part === index) ?? {};
}

function textView(part, number, index, name) {
  const text = el('textarea', {
    class: 'text',
    dir: 'auto',
    'aria-label': `${name}, text`,
    'data-message': number,
    'data-part': index,
    oninput: () => text.classList.toggle('changed', text.value.trim() !== part.text),
  });
  text.value = earlier(number, index).text ?? part.text;
  text.original = part.text;
  text.classList.toggle('changed', text.value !== part.text);
  return text;
}

function mediumView(part, number, index, name) {
  const label = `${name}, ${part.caption || part.type}`;
  const shown = el('div', { class: 'shown' });
  const facts = el('p', { class: 'facts' });
  const view = el('div', { class: 'choice', 'data-message': number, 'data-part': index }, shown);
  view.original = part.chosen;
  const select = (choice) => {
    const candidate = part.candidates[choice];
    const url = candidate?.url ?? part.url;
    shown.replaceChildren(...(url ? partsView([{ type: part.type, url }], label) : [el('p', { class: 'help' }, 'There is no file.')]));
    facts.textContent = [candidate?.score?.toFixed(3), candidate?.madeBy, candidate?.source, candidate?.licence].filter(Boolean).join(' · ');
    view.choice = choice;
    view.classList.toggle('changed', choice !== part.chosen);
  };
  view.append(el('p', { class: 'caption' }, part.caption), facts);
  const choice = earlier(number, index).candidate ?? part.chosen;
  if (part.candidates.length > 1) view.append(candidateField(part, choice, `${number}-${index}`, select));
  select(choice);
  return view;
}

function candidateField(part, chosen, name, select) {
  const radio = (_, index) =>
    el(
      'label',
      {},
      el('input', {
        type: 'radio',
        name,
        value: index,
        checked: index === chosen,
        'aria-label': `Candidate ${index + 1} of ${part.candidates.length}`,
        onchange: () => select(index),
      }),
      String(index + 1),
    );
  return el('fieldset', { class: 'candidates' }, el('legend', {}, `Candidates for this ${part.type}`), part.candidates.map(radio));
}

function decisionBar(own) {
  const reason = el('input', { type: 'text', id: 'reason', maxlength: 500, placeholder: 'Another reason', 'aria-label': 'Another reason' });
  if (own?.decision === 'drop') reason.value = own.reason;
  const drop = (value) => decide('drop', value);
  const reasons = el(
    'div',
    { class: 'reasons', hidden: own?.decision !== 'drop', role: 'group', 'aria-label': 'Reason' },
    page.reasons.map((name, index) =>
      el('button', { type: 'button', class: 'plain', onclick: () => drop(name) }, el('kbd', {}, String(index + 1)), ` ${name}`),
    ),
    reason,
    el('button', { type: 'button', class: 'plain', onclick: () => drop(reason.value.trim()) }, 'Drop for this reason'),
  );
  const back = el('button', { type: 'button', class: 'plain back', onclick: goBack }, 'Back ', el('kbd', {}, 'B'));
  back.disabled = previous() === null;
  return el(
    'div',
    { class: 'decision' },
    el('p', { class: 'problem', role: 'alert' }),
    own ? el('p', { class: 'help' }, own.decision === 'keep' ? 'You kept this dialogue.' : `You dropped this dialogue: ${own.reason}`) : null,
    reasons,
    el(
      'div',
      { class: 'actions' },
      el('button', { type: 'button', class: 'main keep', onclick: () => decide('keep') }, 'Keep (K)'),
      el('button', { type: 'button', class: 'plain drop', onclick: toggleReasons }, 'Drop … ', el('kbd', {}, 'D')),
      back,
    ),
  );
}

function toggleReasons() {
  const reasons = main.querySelector('.reasons');
  reasons.hidden = !reasons.hidden;
  if (!reasons.hidden) reasons.querySelector('button').focus();
}

/** Return the dialogue that was reviewed before this one. */
function previous() {
  const at = page.history.indexOf(page.row?.id);
  const index = at === -1 ? page.history.length - 1 : at - 1;
  return page.history[index] ?? null;
}

function goBack() {
  const id = previous();
  if (id !== null) open(id);
}

function corrections() {
  const found = [];
  for (const text of main.querySelectorAll('textarea.text')) {
    const { message, part } = text.dataset;
    if (text.value.trim() !== text.original) found.push({ message: Number(message), part: Number(part), text: text.value });
  }
  for (const view of main.querySelectorAll('.choice')) {
    const { message, part } = view.dataset;
    if (view.choice !== view.original) found.push({ message: Number(message), part: Number(part), candidate: view.choice });
  }
  return found;
}

async function decide(decision, reason = '') {
  if (document.body.dataset.state !== 'ready') return;
  const problem = main.querySelector('.problem');
  problem.textContent = '';
  setState('sending');
  const body = { reviewer: page.reviewer, decision, reason, corrections: decision === 'keep' ? corrections() : [] };
  try {
    page.session = await call(`/api/rows/${encodeURIComponent(page.row.id)}`, body);
  } catch (error) {
    problem.textContent = `Not saved: ${error.message}`;
    setState('ready');
    return;
  }
  page.history = [...page.history.filter((id) => id !== page.row.id), page.row.id];
  await open(page.session.next);
}

function showEnd() {
  page.row = null;
  showHeader();
  main.replaceChildren(
    el(
      'section',
      { class: 'start' },
      el('h2', { tabindex: -1 }, 'Nothing is left to review. Thank you.'),
      el('p', {}, 'Every decision is saved. Run nextgpt data build again to apply them.'),
      previous() === null ? null : el('button', { class: 'plain back', type: 'button', onclick: goBack }, 'Back'),
    ),
  );
  main.querySelector('h2').focus();
  setState('done');
}

function keyHelp() {
  const rows = [
    ['K', 'keep, with your corrections'],
    ['D, then 1 … 5', 'drop for a reason'],
    ['E', 'edit the first text; Tab leads to the next, Escape leaves'],
    ['P', 'play the first audio or video'],
    ['B', 'back to the dialogue before'],
  ];
  const list = rows.map(([key, text]) => [el('dt', {}, el('kbd', {}, key)), el('dd', {}, text)]);
  return el('details', { class: 'keys' }, el('summary', {}, 'Keys'), el('dl', {}, list));
}

function onKey(event) {
  const isTyping = event.target.matches?.('textarea, input[type=text]');
  if (isTyping && event.key === 'Escape') event.target.blur();
  if (isTyping || event.ctrlKey || event.metaKey || event.altKey || document.querySelector('dialog[open]')) return;
  if (document.body.dataset.state !== 'ready' || page.row === null) return;
  const action = keyAction(event.key.toLowerCase());
  if (!action) return;
  event.preventDefault();
  action();
}

function keyAction(key) {
  const reason = page.reasons[Number(key) - 1];
  if (reason && !main.querySelector('.reasons').hidden) return () => decide('drop', reason);
  return {
    k: () => decide('keep'),
    d: toggleReasons,
    e: () => main.querySelector('textarea.text')?.focus(),
    p: () => togglePlayer(main),
    b: goBack,
  }[key];
}

document.addEventListener('keydown', onKey);
begin().catch((error) => showFailure(error, () => location.reload()));
