// Behind an answer, as a drawer: what it took, the signal tokens of the model, and the request that gives it again.

import { mediaOf, requestBody } from './conversation.js';
import { copyText, el, sheet } from './dom.js';
import { dataUriOf } from './media.js';
import { curlSnippet, pythonSnippet } from './snippets.js';
import { nameOf, strings, t } from './strings.js';
import { suffixOf } from './zip.js';

const SNIPPET_BYTES = 16 * 2 ** 10;

/** `details` is what reply.js keeps; `request` is {curl, python, omitted}. */
export function detailsDrawer(details, request) {
  const drawer = sheet(
    t('details'),
    t('close'),
    facts(details),
    llmOutput(details),
    timings(details),
    requestSection(request),
  );
  drawer.classList.add('drawer');
  return drawer;
}

/**
 * Write the request that was answered, as {curl, python, omitted}. Files that nobody types are `omitted`: their names
 * stand where their base64 goes.
 */
export async function requestSnippets(messages, details, model, storage, hasKey) {
  const omitted = new Set();
  const urls = new Map();
  for (const [index, part] of mediaOf(messages).entries()) {
    const blob = await storage.blob(part.id);
    const name = part.name || `${part.kind}-${index + 1}${suffixOf(part)}`;
    const isSmall = blob && blob.size <= SNIPPET_BYTES;
    if (!isSmall) omitted.add(name);
    urls.set(
      part.id,
      isSmall
        ? await dataUriOf(blob, part.type)
        : `data:${part.type};base64,<the base64 of ${name} goes here>`,
    );
  }
  const settings = { ...details.settings, seed: details.seed };
  const body = requestBody(messages, settings, model, (part) => urls.get(part.id));
  const base = `${location.origin}/v1`;
  return {
    curl: curlSnippet(body, base, hasKey),
    python: pythonSnippet(body, base, hasKey),
    omitted: [...omitted],
  };
}

function section(title, ...content) {
  return el('section', {}, el('h3', {}, title), content);
}

function facts(details) {
  const tokens = (count) => count && t('tokens', { count });
  const rows = [
    [t('seed'), String(details.seed)],
    [t('promptTokens'), tokens(details.usage?.prompt_tokens)],
    [t('answerTokens'), tokens(details.usage?.completion_tokens)],
    [t('finish'), strings.finishReasons[details.finish] ?? details.finish],
    [t('unfinished'), details.dropped.join(', ')],
  ];
  return el(
    'dl',
    {},
    rows.filter(([, value]) => value).map(([name, value]) => [el('dt', {}, name), el('dd', {}, value)]),
  );
}

/** Show the answer as the language model emitted it: text, and signal tokens where media stand. */
function llmOutput(details) {
  if (!details.llmOutput) return null;
  const spans = details.llmOutput.map(({ type, text }) =>
    type === 'text' ? text : el('mark', { title: nameOf(type) }, text),
  );
  return section(t('llmOutput'), el('p', { class: 'code', dir: 'auto' }, spans));
}

function timings(details) {
  const stages = Object.entries(details.timings_s);
  if (!stages.length) return null;
  const longest = Math.max(...stages.map(([, seconds]) => seconds));
  const row = ([stage, seconds]) => [
    el('dt', {}, strings.stages[stage] ?? nameOf(stage)),
    el(
      'dd',
      {},
      el('progress', { max: longest, value: seconds, 'aria-hidden': 'true' }),
      t('seconds', { seconds: seconds.toFixed(3) }),
    ),
  ];
  return section(t('timings'), el('dl', { class: 'stages' }, stages.map(row)));
}

function requestSection(request) {
  const code = el('textarea', {
    class: 'code',
    readonly: true,
    rows: 10,
    wrap: 'off',
    spellcheck: 'false',
    dir: 'ltr',
    'aria-label': t('request'),
  });
  const status = el('p', { class: 'help', role: 'status' });
  code.value = request.curl;
  const copy = (name, label) =>
    el(
      'button',
      {
        type: 'button',
        class: 'plain',
        'data-copies': name,
        onclick: async () => {
          code.value = request[name];
          if (await copyText(code.value)) {
            status.textContent = t('copied');
            return;
          }
          code.focus();
          code.select();
          status.textContent = t('selected');
        },
      },
      label,
    );
  return section(
    t('request'),
    el('div', { class: 'buttons' }, copy('curl', t('copyCurl')), copy('python', t('copyPython')), status),
    code,
    request.omitted.length
      ? el('p', { class: 'help' }, t('omittedFiles', { files: request.omitted.join(', ') }))
      : null,
  );
}
