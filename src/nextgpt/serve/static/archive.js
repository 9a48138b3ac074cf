// Conversations to and from ZIP files.

import { addMessage, newConversation, newId, pathOf } from './conversation.js';
import { probe } from './media.js';
import { readArchive, writeArchive } from './zip.js';

/** Return the shown messages of a conversation as {blob, name}. */
export async function exportConversation(conversation, storage) {
  const blob = await writeArchive(pathOf(conversation), (part) => storage.blob(part.id));
  const title = conversation.title.replace(/[^\p{L}\p{N}]+/gu, '-').replace(/^-|-$/g, '');
  return { blob, name: `nextgpt-${title.slice(0, 40) || 'conversation'}.zip` };
}

/** Read a conversation and store its media. Throws an error that can be shown. */
export async function importConversation(file, storage) {
  const conversation = newConversation();
  for (const { role, parts } of await readArchive(file)) {
    const stored = await Promise.all(parts.map((part) => storePart(part, conversation.id, storage)));
    addMessage(conversation, { role, parts: stored });
  }
  return conversation;
}

async function storePart({ blob, ...part }, conversation, storage) {
  if (part.kind === 'text') return part;
  const id = newId();
  await storage.putMedium(id, conversation, blob);
  return { id, name: part.name, type: part.type, size: blob.size, ...(await probe(part.kind, blob)) };
}
