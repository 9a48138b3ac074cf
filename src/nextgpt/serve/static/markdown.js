// Markdown of the model as elements. Markup stays text, images are not fetched, links lead to http, https and mailto alone.

import { el } from './dom.js';

const FENCE = /^ {0,3}(`{3,}|~{3,})\s*([\w+-]*)/;
const HEADING = /^ {0,3}(#{1,6})\s+(.*?)\s*#*\s*$/;
const RULE = /^ {0,3}([-*_])[ \t]*(?:\1[ \t]*){2,}$/;
const QUOTE = /^ {0,3}>\s?/;
const ITEM = /^( {0,3})([-*+]|\d{1,9}[.)])(?:\s+|$)/;
const TABLE_RULE = /^ {0,3}\|?\s*:?-+:?\s*(\|\s*:?-+:?\s*)*\|?\s*$/;
const MAX_DEPTH = 8;

/** Render text into `root`. Blocks whose source has not changed keep their elements, and what is selected in them. */
export function renderMarkdown(root, text) {
  const found = blocks(text.replace(/\r\n?/g, '\n').split('\n'));
  found.forEach((block, index) => {
    const existing = root.children[index];
    if (existing?.source === block.source) return;
    const element = block.build(0);
    element.source = block.source;
    if (existing) existing.replaceWith(element);
    else root.append(element);
  });
  while (root.children.length > found.length) root.lastElementChild.remove();
}

/** Split lines into blocks: {source, build(depth)}. */
function blocks(lines) {
  const found = [];
  let start = 0;
  while (start < lines.length) {
    if (!lines[start].trim()) {
      start += 1;
      continue;
    }
    const [end, build] = blockAt(lines, start);
    found.push({ source: lines.slice(start, end).join('\n'), build });
    start = end;
  }
  return found;
}

function blockAt(lines, start) {
  const line = lines[start];
  const fence = FENCE.exec(line);
  if (fence) return fenced(lines, start, fence);
  const heading = HEADING.exec(line);
  if (heading)
    return [
      start + 1,
      () => el(`h${Math.min(6, heading[1].length + 2)}`, { dir: 'auto' }, inline(heading[2])),
    ];
  if (RULE.test(line)) return [start + 1, () => el('hr')];
  if (QUOTE.test(line)) return quoted(lines, start);
  if (ITEM.test(line)) return listed(lines, start);
  if (line.includes('|') && TABLE_RULE.test(lines[start + 1] ?? '') && lines[start + 1].includes('-'))
    return tabled(lines, start);
  let end = start + 1;
  while (end < lines.length && lines[end].trim() && !startsBlock(lines[end])) end += 1;
  return [end, () => el('p', { dir: 'auto' }, withBreaks(lines.slice(start, end)))];
}

function startsBlock(line) {
  return FENCE.test(line) || HEADING.test(line) || RULE.test(line) || QUOTE.test(line) || ITEM.test(line);
}

function fenced(lines, start, [, fence, language]) {
  let end = start + 1;
  const closing = new RegExp(`^ {0,3}\\${fence[0]}{${fence.length},}\\s*$`);
  while (end < lines.length && !closing.test(lines[end])) end += 1;
  const code = lines.slice(start + 1, end).join('\n');
  return [
    Math.min(end + 1, lines.length),
    () => el('pre', { tabindex: 0, dir: 'ltr', 'data-language': language || false }, el('code', {}, code)),
  ];
}

function quoted(lines, start) {
  let end = start + 1;
  while (end < lines.length && lines[end].trim() && (QUOTE.test(lines[end]) || !startsBlock(lines[end])))
    end += 1;
  return [
    end,
    (depth) =>
      nested(
        'blockquote',
        lines.slice(start, end).map((line) => line.replace(QUOTE, '')),
        depth,
      ),
  ];
}

function nested(tag, lines, depth) {
  if (depth >= MAX_DEPTH) return el(tag, { dir: 'auto' }, lines.join('\n'));
  return el(
    tag,
    { dir: 'auto' },
    blocks(lines).map((block) => block.build(depth + 1)),
  );
}

function listed(lines, start) {
  const [opening, , marker] = ITEM.exec(lines[start]);
  const margin = new RegExp(`^(\\t| {1,${opening.length}})`);
  const isOrdered = /\d/.test(marker);
  const items = [];
  let end = start;
  while (end < lines.length) {
    const item = ITEM.exec(lines[end]);
    if (
      item &&
      item[1].length < opening.length &&
      /\d/.test(item[2]) === isOrdered &&
      !RULE.test(lines[end])
    ) {
      items.push([lines[end].slice(item[0].length)]);
    } else if (/^\s{2,}\S/.test(lines[end])) {
      items.at(-1).push(lines[end].replace(margin, ''));
    } else if (!lines[end].trim() && /^(\s{2,}\S|\s*$)/.test(lines[end + 1] ?? 'x')) {
      items.at(-1).push('');
    } else if (
      !lines[end].trim() &&
      ITEM.test(lines[end + 1] ?? '') &&
      /\d/.test(ITEM.exec(lines[end + 1])[2]) === isOrdered
    ) {
      // A blank line between items.
    } else if (!lines[end].trim() || startsBlock(lines[end])) {
      break;
    } else {
      items.at(-1).push(lines[end]);
    }
    end += 1;
  }
  const first = isOrdered ? Number.parseInt(marker, 10) : 1;
  return [
    end,
    (depth) =>
      el(
        isOrdered ? 'ol' : 'ul',
        { start: first === 1 ? false : first },
        items.map((item) => listItem(item, depth)),
      ),
  ];
}

/** Build an item; words alone stand in it without a paragraph. */
function listItem(lines, depth) {
  const item = nested('li', lines, depth);
  const [only] = item.children;
  if (only?.tagName === 'P') only.replaceWith(...only.childNodes);
  return item;
}

function tabled(lines, start) {
  let end = start + 2;
  while (end < lines.length && lines[end].includes('|')) end += 1;
  const aligned = cells(lines[start + 1]).map((rule) =>
    rule.endsWith(':') ? (rule.startsWith(':') ? 'center' : 'end') : false,
  );
  const row = (line, tag) =>
    el(
      'tr',
      {},
      cells(line).map((cell, index) => el(tag, { dir: 'auto', class: aligned[index] }, inline(cell))),
    );
  return [
    end,
    () =>
      el(
        'div',
        { class: 'table', tabindex: 0 },
        el(
          'table',
          {},
          el('thead', {}, row(lines[start], 'th')),
          el(
            'tbody',
            {},
            lines.slice(start + 2, end).map((line) => row(line, 'td')),
          ),
        ),
      ),
  ];
}

function cells(line) {
  return line
    .trim()
    .replace(/^\||\|$/g, '')
    .split(/(?<!\\)\|/)
    .map((cell) => cell.trim().replaceAll('\\|', '|'));
}

function withBreaks(lines) {
  return lines.flatMap((line, index) => (index ? [el('br'), ...inline(line.trim())] : inline(line.trim())));
}

// The earliest of these that matches is taken; each gets its match and the depth.
const SPANS = [
  [/\\([!-/:-@[-`{-~])/, ([, character]) => character],
  [/(?<!`)(`+)(?!`)(.+?)(?<!`)\1(?!`)/, ([, , code]) => el('code', {}, code.replace(/^ (.*\S.*) $/, '$1'))],
  [
    /!?\[([^\]]*)\]\(\s*<?((?:[^\s()<>]|\([^\s()]*\))+)>?(?:\s+["'][^)]*["'])?\s*\)/,
    ([source, label, url], depth) => link(url, inline(label, depth + 1), source),
  ],
  [
    /<(https?:\/\/[^\s<>]+|[\w.+-]+@[\w-]+\.[\w.-]+)>/,
    ([source, url]) => link(url.includes('://') ? url : `mailto:${url}`, [url], source),
  ],
  [/\bhttps?:\/\/[^\s<>"'`]*[^\s<>"'`.,:;!?)\]*_]/, ([url]) => link(url, [url], url)],
  [/\*\*(?=\S)(.+?)(?<=\S)\*\*/, ([, text], depth) => el('strong', {}, inline(text, depth + 1))],
  [/(?<!\w)__(?=\S)(.+?)(?<=\S)__(?!\w)/, ([, text], depth) => el('strong', {}, inline(text, depth + 1))],
  [/\*(?=[^\s*])(.+?)(?<=[^\s*])\*(?!\*)/, ([, text], depth) => el('em', {}, inline(text, depth + 1))],
  [/(?<!\w)_(?=[^\s_])(.+?)(?<=[^\s_])_(?!\w)/, ([, text], depth) => el('em', {}, inline(text, depth + 1))],
  [/~~(?=\S)(.+?)(?<=\S)~~/, ([, text], depth) => el('del', {}, inline(text, depth + 1))],
];

/** Render the inside of a block: a list of elements and strings. */
function inline(text, depth = 0) {
  if (depth > MAX_DEPTH) return [text];
  const found = [];
  let rest = text;
  while (rest) {
    let first = null;
    for (const [pattern, build] of SPANS) {
      const match = pattern.exec(rest);
      if (match && (!first || match.index < first.match.index)) first = { match, build };
    }
    if (!first) break;
    found.push(rest.slice(0, first.match.index), first.build(first.match, depth));
    rest = rest.slice(first.match.index + first.match[0].length);
  }
  return [...found, rest].filter((piece) => piece !== '');
}

/** Build a link that opens beside the page and tells its target nothing; other schemes stay text. */
function link(url, label, source) {
  let target;
  try {
    target = new URL(url);
  } catch {
    return source;
  }
  if (!['http:', 'https:', 'mailto:'].includes(target.protocol)) return source;
  return el(
    'a',
    { href: target.href, target: '_blank', rel: 'noopener noreferrer' },
    label.length ? label : url,
  );
}
