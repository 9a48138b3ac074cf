// Behind an answer, as a drawer: what it took, how the model said it, and the request that asks for it again.

import { fill, h, sheet } from './dom.js';

/** `known` as details.py tells it; `asked` is {curl, python, left_out}, see again.py. */
export function details(known, asked, words) {
  const drawer = sheet(words.details, words, facts(known, words), said(known, words), stages(known, words), request(asked, words));
  drawer.classList.add('drawer');
  return drawer;
}

function section(title, ...content) {
  return h('section', {}, h('h3', {}, title), content);
}

function facts(known, words) {
  const tokens = (count) => count && fill(words.tokens, { count });
  const rows = [
    [words.seed, String(known.seed)],
    [words.prompt_took, tokens(known.prompt_tokens)],
    [words.answer_took, tokens(known.answer_tokens)],
    [words.ended, words.endings[known.ended]],
    [words.left_off, known.dropped?.join(', ')],
  ];
  return h('dl', {}, rows.filter(([, told]) => told).map(([name, told]) => [h('dt', {}, name), h('dd', {}, told)]));
}

function said(known, words) {
  const runs = known.said.map((run) => (run.kind === 'text' ? run.text : h('mark', { title: words.names[run.kind] }, run.text)));
  return section(words.said, h('p', { class: 'code' }, runs));
}

function stages(known, words) {
  const taken = Object.entries(known.seconds);
  if (!taken.length) return null;
  const most = Math.max(...taken.map(([, seconds]) => seconds));
  const row = ([stage, seconds]) => [
    h('dt', {}, words.stages[stage] ?? words.names[stage] ?? stage),
    h('dd', {}, h('progress', { max: most, value: seconds, 'aria-hidden': 'true' }), fill(words.seconds, { seconds: seconds.toFixed(3) })),
  ];
  return section(words.stages_took, h('dl', { class: 'stages' }, taken.map(row)));
}

function request(asked, words) {
  const code = h('textarea', { class: 'code', readonly: true, rows: 10, wrap: 'off', spellcheck: 'false', 'aria-label': words.again });
  const told = h('p', { class: 'help', role: 'status' });
  code.value = asked.curl;
  const copy = (kind, label) => h('button', {
    type: 'button', class: 'plain', 'data-copies': kind,
    onclick: async () => {
      code.value = asked[kind];
      told.textContent = await isCopied(code) ? words.copied : words.selected;
    },
  }, label);
  return section(
    words.again,
    h('div', { class: 'buttons' }, copy('curl', words.copy_curl), copy('python', words.copy_python), told),
    code,
    asked.left_out.length ? h('p', { class: 'help' }, fill(words.left_out, { files: asked.left_out.join(', ') })) : null,
  );
}

/** Copy the words of a field; where the browser does not allow it they are selected, for the keyboard to copy. */
async function isCopied(field) {
  try {
    await navigator.clipboard.writeText(field.value);
    return true;
  } catch {
    field.focus();
    field.select();
    return false;
  }
}
