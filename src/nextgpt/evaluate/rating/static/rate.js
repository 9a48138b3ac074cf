// The rating page: one task at a time, by mouse, touch or keyboard. A rating counts when the server has confirmed it.

import { call, parameter, setParameter, setState, stopwatch } from './api.js';
import { el } from './dom.js';
import { failureView, messageView, partsView, progressView, togglePlayer } from './parts.js';

const CHOICES = [
  ['left', 'A is better', '1'],
  ['tie', 'About equal', '2'],
  ['right', 'B is better', '3'],
];
const SCORES = Array.from({ length: 10 }, (_, index) => index + 1);

const page = { study: null, rater: null, session: null, position: null, watch: null };
const main = el('main', { id: 'main' });
const header = el('header', { class: 'page-header', hidden: true });
const live = el('p', { class: 'sr', role: 'status' });

async function begin() {
  setState('loading');
  document.body.append(header, main, live);
  page.study = await call('/api/study');
  const rater = parameter('rater');
  if (rater) await start(rater);
  else showStart();
}

function showStart(problem = '') {
  const needsLink = page.study.needsLink;
  const name = el('input', { type: 'text', id: 'rater', required: true, maxlength: 40, autocomplete: 'nickname' });
  const submit = (event) => {
    event.preventDefault();
    start(name.value.trim());
  };
  const form = el(
    'form',
    { onsubmit: submit },
    el('label', { for: 'rater' }, 'Your name or a code. Use the same one to continue later.'),
    name,
    el('div', {}, el('button', { class: 'main', type: 'submit' }, 'Start')),
  );
  show(
    el(
      'section',
      { class: 'start' },
      el('h1', {}, 'Rate answers'),
      el('p', {}, introduction()),
      el(
        'ul',
        { class: 'help' },
        el('li', {}, 'Look at all images; play audio and video to the end.'),
        el('li', {}, 'Judge each answer for itself. Some tasks may look alike.'),
        el('li', {}, 'Each rating is saved at once. You can stop at any time and continue later.'),
      ),
      el('p', { class: 'problem', role: 'alert' }, problem),
      needsLink ? el('p', {}, 'Open the personal link that you were given.') : form,
    ),
  );
  header.hidden = true;
  setState('ready');
  if (!needsLink) name.focus();
}

function introduction() {
  return page.study.mode === 'pairs'
    ? 'You see requests, each with two answers. Say which answer is better.'
    : 'You see requests, each with one answer. Rate the answer on three scales from 1 to 10.';
}

async function start(rater) {
  setState('loading');
  try {
    page.session = await call('/api/session', { rater });
  } catch (error) {
    showStart(error.message);
    return;
  }
  page.rater = rater;
  setParameter('rater', rater);
  await goTo(page.session.next);
}

async function goTo(position) {
  if (position === null) {
    showEnd();
    return;
  }
  setState('loading');
  try {
    showTask(await call(`/api/tasks/${position}?${new URLSearchParams({ rater: page.rater })}`));
  } catch (error) {
    showFailure(error, () => goTo(position));
  }
}

function showFailure(error, again) {
  show(failureView(error, again));
  setState('failed');
}

function showHeader() {
  const { answered, total } = page.session;
  header.hidden = false;
  header.replaceChildren(progressView('Rating', 'Rated tasks', answered, total, `${answered} of ${total} rated`));
}

function showTask(task) {
  page.position = task.position;
  page.watch = stopwatch();
  showHeader();
  const isPair = task.answers.length > 1;
  const names = isPair ? ['Answer A', 'Answer B'] : ['Answer'];
  const answers = task.answers.map((parts, index) =>
    el('div', { class: 'card answer' }, el('h3', {}, names[index]), partsView(parts, names[index])),
  );
  show(
    el('h2', { tabindex: -1, class: 'sr' }, `Task ${task.position + 1} of ${page.session.total}`),
    task.request.map(messageView),
    el('div', { class: 'answers' }, answers),
    ratingForm(task.earlier),
    keyHelp(isPair),
  );
  scrollTo(0, 0);
  main.querySelector('h2').focus({ preventScroll: true });
  markCurrent();
  live.textContent = `Task ${task.position + 1} of ${page.session.total}`;
  setState('ready');
}

function ratingForm(earlier) {
  const scales = page.study.mode === 'pairs' ? [choiceField(earlier)] : page.study.criteria.map((one) => scoreField(one, earlier));
  const comment = el('textarea', { id: 'comment', rows: 1, maxlength: 2000 });
  comment.value = earlier?.comment ?? '';
  const back = el('button', { type: 'button', class: 'plain back', onclick: () => goTo(page.position - 1) }, 'Back');
  back.disabled = page.position === 0;
  return el(
    'form',
    { class: 'rating', onsubmit: submit, onchange: markCurrent },
    scales,
    el('div', { class: 'comment' }, el('label', { for: 'comment' }, 'Comment (optional)'), comment),
    el('p', { class: 'problem', role: 'alert' }),
    el('div', { class: 'actions' }, el('button', { class: 'main', type: 'submit' }, 'Save and continue'), back),
  );
}

function scoreField(criterion, earlier) {
  const radio = (score) => el('label', {}, radioInput(criterion.name, score, earlier?.scores?.[criterion.name]), String(score));
  return el(
    'fieldset',
    { 'data-name': criterion.name },
    el('legend', {}, criterion.question),
    el('div', { class: 'scale' }, SCORES.map(radio)),
    el('div', { class: 'ends', 'aria-hidden': 'true' }, el('span', {}, criterion.low), el('span', {}, criterion.high)),
  );
}

function choiceField(earlier) {
  const radio = ([value, label]) => el('label', {}, radioInput('choice', value, earlier?.choice), label);
  return el(
    'fieldset',
    { 'data-name': 'choice' },
    el('legend', {}, 'Which answer is better?'),
    el('div', { class: 'choices' }, CHOICES.map(radio)),
  );
}

function radioInput(name, value, chosen) {
  return el('input', { type: 'radio', name, value, checked: value === chosen });
}

function keyHelp(isPair) {
  const rows = isPair
    ? [['1 2 3', 'A, equal, B; also ← and →'], ['P', 'play answer A; Shift P answer B']]
    : [['1 … 9 0', 'score of the outlined scale; 0 is 10'], ['P', 'play audio or video']];
  rows.push(['Enter', 'save and continue'], ['B', 'back to the task before'], ['C', 'write a comment']);
  return el(
    'details',
    { class: 'keys' },
    el('summary', {}, 'Keys'),
    el('dl', {}, rows.map(([key, text]) => [el('dt', {}, el('kbd', {}, key)), el('dd', {}, text)])),
  );
}

const fields = () => [...main.querySelectorAll('fieldset')];
const chosen = (field) => field.querySelector('input:checked')?.value ?? null;

/** Outline the first scale without a value; digits go there. */
function markCurrent() {
  const current = fields().find((field) => chosen(field) === null);
  for (const field of fields()) field.classList.toggle('current', field === current);
  return current;
}

function choose(field, value) {
  const input = [...(field?.querySelectorAll('input') ?? [])].find((one) => one.value === value);
  if (!input) return;
  input.checked = true;
  markCurrent();
}

function judgement() {
  const values = Object.fromEntries(fields().map((field) => [field.dataset.name, chosen(field)]));
  const comment = main.querySelector('#comment').value.trim();
  if (page.study.mode === 'pairs') return { choice: values.choice, comment };
  return { scores: Object.fromEntries(Object.entries(values).map(([name, score]) => [name, Number(score)])), comment };
}

async function submit(event) {
  event?.preventDefault();
  if (document.body.dataset.state !== 'ready') return;
  const problem = main.querySelector('.problem');
  const missing = markCurrent();
  problem.textContent = missing ? `Please answer: ${missing.querySelector('legend').textContent}` : '';
  if (missing) {
    missing.querySelector('input').focus();
    return;
  }
  setState('sending');
  const rating = judgement();
  try {
    rating.seconds = page.watch.stop();
    page.session = await call(`/api/tasks/${page.position}`, { rater: page.rater, judgement: rating });
  } catch (error) {
    page.watch = stopwatch();
    problem.textContent = `Not saved: ${error.message} Press "Save and continue" again.`;
    setState('ready');
    return;
  }
  await goTo(page.session.next);
}

function showEnd() {
  showHeader();
  page.position = page.session.total;
  show(
    el(
      'section',
      { class: 'start' },
      el('h2', { tabindex: -1 }, 'All tasks are rated. Thank you.'),
      el('p', {}, 'Every rating is saved. You can close this page, or go back and change a rating.'),
      el('button', { class: 'plain back', type: 'button', onclick: () => goTo(page.session.total - 1) }, 'Back'),
    ),
  );
  main.querySelector('h2').focus();
  setState('done');
}

function show(...content) {
  main.replaceChildren(...content.flat());
}

function onKey(event) {
  const isTyping = event.target.matches?.('textarea, input[type=text]');
  if (isTyping || event.ctrlKey || event.metaKey || event.altKey || document.querySelector('dialog[open]')) return;
  if (!main.querySelector('form.rating')) return;
  const action = keyAction(event);
  if (!action) return;
  event.preventDefault();
  action();
}

function keyAction({ key, shiftKey, target }) {
  const isControl = target.matches?.('button, audio, video, summary, a');
  if (key === 'Enter' && !isControl) return () => submit();
  if (key.toLowerCase() === 'p') return () => togglePlayer(main.querySelectorAll('.answer')[shiftKey ? 1 : 0]);
  if (key === 'b' && page.position > 0) return () => goTo(page.position - 1);
  if (key === 'c') return () => main.querySelector('#comment').focus();
  if (page.study.mode === 'scores') {
    const score = key === '0' ? '10' : key;
    return /^\d$/.test(key) ? () => choose(markCurrent() ?? fields().at(-1), score) : null;
  }
  if (target.matches?.('input[type=radio], audio, video') && key.startsWith('Arrow')) return null;
  const choice = { 1: 'left', 2: 'tie', 3: 'right', ArrowLeft: 'left', ArrowRight: 'right' }[key];
  return choice ? () => choose(fields()[0], choice) : null;
}

document.addEventListener('keydown', onKey);
begin().catch((error) => showFailure(error, () => location.reload()));
