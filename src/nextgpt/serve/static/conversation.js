// A conversation and what can be done to it. Pure: knows no page, no storage and no network.
//
// Messages form a tree, so that an edited message and a second answer keep what they replace:
//
//   user "Draw a cat" ─┬─ assistant (seed 0)
//                      └─ assistant (seed 7) ── user "Bigger"      <- leaf: the path to it is what is shown
//
// A message is {id, parent, role, parts, details?}. A part is {kind: 'text', text} or
// {kind, id, name, type, size, width?, height?, seconds?, peaks?}; its bytes are in storage under `id`.

const TITLE_LENGTH = 80;

/** Return an unguessable id. Works on pages without TLS too, where `crypto.randomUUID` is missing. */
export function newId() {
  return [...crypto.getRandomValues(new Uint8Array(16))]
    .map((byte) => byte.toString(16).padStart(2, '0'))
    .join('');
}

export function newConversation() {
  const now = Date.now();
  return { id: newId(), title: '', isNamed: false, createdAt: now, updatedAt: now, messages: [], leaf: null };
}

/** Append a message behind `parent` and make it the leaf. */
export function addMessage(conversation, message, parent = conversation.leaf) {
  const added = { id: newId(), ...message, parent };
  conversation.messages.push(added);
  conversation.leaf = added.id;
  conversation.updatedAt = Date.now();
  if (!conversation.isNamed) conversation.title = titleOf(pathOf(conversation)) || conversation.title;
  return added;
}

export function messageOf(conversation, id) {
  return conversation.messages.find((message) => message.id === id);
}

/** List the messages from the first one to `leaf`. */
export function pathOf(conversation, leaf = conversation.leaf) {
  const byId = new Map(conversation.messages.map((message) => [message.id, message]));
  const path = [];
  for (let message = byId.get(leaf); message; message = byId.get(message.parent)) path.unshift(message);
  return path;
}

/** List all versions of a message: those with the same parent and role. */
export function versionsOf(conversation, message) {
  return conversation.messages.filter(
    (other) => other.parent === message.parent && other.role === message.role,
  );
}

/** Make `message` part of the shown path, with the latest messages that follow it. */
export function selectVersion(conversation, message) {
  let leaf = message;
  for (;;) {
    const next = conversation.messages.findLast((other) => other.parent === leaf.id);
    if (!next) break;
    leaf = next;
  }
  conversation.leaf = leaf.id;
}

export function textOf(message) {
  return message.parts
    .filter((part) => part.kind === 'text')
    .map((part) => part.text)
    .join('\n');
}

export function mediaOf(messages) {
  return messages.flatMap((message) => message.parts).filter((part) => part.kind !== 'text');
}

function titleOf(path) {
  const first = path.find((message) => message.role === 'user');
  return ((first && (textOf(first).trim() || first.parts[0]?.name)) || '')
    .replace(/\s+/g, ' ')
    .slice(0, TITLE_LENGTH);
}

/** True where a search text stands in the title or in a message. */
export function matches(conversation, query) {
  const text = query.trim().toLowerCase();
  return [conversation.title, ...conversation.messages.map(textOf)].some((one) =>
    one.toLowerCase().includes(text),
  );
}

/** Count the media that a request of at most `maxMedia` has to leave out; the oldest go first. */
export function countOmitted(messages, maxMedia) {
  return Math.max(0, mediaOf(messages).filter(isSendable).length - maxMedia);
}

/**
 * Build the body of `POST /v1/chat/completions`.
 *
 * `model` is {id, outputs, limits}; `urlOf(part)` gives the URL of a medium, or null to leave it out.
 */
export function requestBody(messages, settings, model, urlOf) {
  let omitted = countOmitted(messages, model.limits.max_media);
  const content = (message) => {
    const parts = message.parts.flatMap((part) => {
      if (part.kind === 'text') return [{ type: 'text', text: part.text }];
      if (!isSendable(part) || omitted-- > 0) return [];
      return [{ type: `${part.kind}_url`, [`${part.kind}_url`]: { url: urlOf(part) } }];
    });
    return parts.length && parts.every((part) => part.type === 'text')
      ? parts.map((part) => part.text).join('')
      : parts;
  };
  const sent = messages
    .map((message) => ({ role: message.role, content: content(message) }))
    .filter(({ content: parts }) => parts.length);
  const body = {
    model: model.id,
    messages: settings.system.trim() ? [{ role: 'system', content: settings.system }, ...sent] : sent,
    seed: settings.seed,
    max_completion_tokens: settings.maxTokens,
  };
  if (settings.temperature > 0) body.temperature = settings.temperature;
  const modalities = model.outputs.filter((name) => settings.modalities.includes(name));
  if (modalities.length) body.modalities = modalities;
  const options = mediumOptions(settings);
  const media = model.outputs.filter((name) => name !== 'text');
  const nextgpt = {
    ...(Object.keys(options).length && Object.fromEntries(media.map((name) => [name, options]))),
    ...(model.vias?.includes(settings.via) && { via: settings.via }),
  };
  if (Object.keys(nextgpt).length) body.nextgpt = nextgpt;
  return body;
}

function isSendable(part) {
  return ['image', 'audio', 'video'].includes(part.kind);
}

function mediumOptions(settings) {
  return {
    ...(settings.steps > 0 && { num_inference_steps: settings.steps }),
    ...(settings.guidance > 0 && { guidance_scale: Math.max(1, settings.guidance) }),
  };
}
