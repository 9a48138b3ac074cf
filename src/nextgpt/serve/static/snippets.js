// A request as one types it: for curl and in Python. Pure.

const WIDTH = 88;
const KEY = 'NEXTGPT_API_KEY';

/** Write a command whose body no shell expands. */
export function curlSnippet(body, base, hasKey) {
  const key = hasKey ? `  -H "Authorization: Bearer $${KEY}" \\\n` : '';
  return `curl '${base}/chat/completions' \\\n  -H 'Content-Type: application/json' \\\n${key}  -d @- <<'JSON'\n${format(body)}\nJSON\n`;
}

/** Write a program for OpenAI's client. */
export function pythonSnippet({ nextgpt, ...body }, base, hasKey) {
  const given = nextgpt ? { ...body, extra_body: { nextgpt } } : body;
  const lines = Object.entries(given)
    .map(([name, value]) => `    ${name}=${format(value, '    ')},\n`)
    .join('');
  const [start, key] = hasKey ? ['import os\n\n', `os.environ["${KEY}"]`] : ['', '"none"'];
  return (
    `${start}import openai\n\nclient = openai.OpenAI(base_url=${JSON.stringify(base)}, api_key=${key})\n` +
    `completion = client.chat.completions.create(\n${lines})\nprint(completion.choices[0].message.content)\n`
  );
}

/** Format JSON, which is Python too where nothing is true, false or null: in one line if it fits, else one item per line. */
function format(value, indent = '') {
  const line = spaced(value);
  if (typeof value !== 'object' || value === null || indent.length + line.length <= WIDTH) return line;
  const inner = `${indent}  `;
  const isList = Array.isArray(value);
  const items = isList
    ? value.map((item) => format(item, inner))
    : Object.entries(value).map(([name, item]) => `${JSON.stringify(name)}: ${format(item, inner)}`);
  return `${isList ? '[' : '{'}\n${items.map((item) => inner + item).join(',\n')}\n${indent}${isList ? ']' : '}'}`;
}

function spaced(value) {
  if (Array.isArray(value)) return `[${value.map(spaced).join(', ')}]`;
  if (typeof value === 'object' && value !== null)
    return `{${Object.entries(value)
      .map(([name, item]) => `${JSON.stringify(name)}: ${spaced(item)}`)
      .join(', ')}}`;
  return JSON.stringify(value);
}
