// What the browser keeps: conversations and their media in IndexedDB, settings in localStorage, the key where it is to be.

import { t } from './strings.js';

const NAME = 'nextgpt';
const ORPHAN_MS = 24 * 3600 * 1000;
const STORES = ['conversations', 'media'];

/** Conversations and the blobs of their media. Without IndexedDB everything ends with the page. */
export class Storage {
  constructor(database) {
    this.database = database;
    this.memory = { conversations: new Map(), media: new Map() };
    this.urls = new Map();
    this.channel = 'BroadcastChannel' in window ? new BroadcastChannel(NAME) : null;
  }

  static async open() {
    try {
      const request = indexedDB.open(NAME, 1);
      request.onupgradeneeded = () => {
        request.result.createObjectStore('conversations', { keyPath: 'id' });
        request.result
          .createObjectStore('media', { keyPath: 'id' })
          .createIndex('conversation', 'conversation');
      };
      const database = await settled(request);
      database.onversionchange = () => database.close();
      return new Storage(database);
    } catch {
      return new Storage(null);
    }
  }

  get isPersistent() {
    return this.database !== null;
  }

  /** Call back when another tab has changed a conversation. */
  onChange(callback) {
    this.channel?.addEventListener('message', ({ data }) => callback(data));
  }

  /** List all conversations, the latest first. */
  async list() {
    const found = this.database
      ? await settled(this.store('conversations').getAll())
      : [...this.memory.conversations.values()];
    return found.sort((a, b) => b.updatedAt - a.updatedAt);
  }

  async get(id) {
    return this.database ? settled(this.store('conversations').get(id)) : this.memory.conversations.get(id);
  }

  async put(conversation) {
    await this.write({ conversations: [conversation] });
    this.channel?.postMessage(conversation.id);
    navigator.storage?.persist?.().catch(() => null);
  }

  /** Keep the bytes of a medium. Throws an error that can be shown where there is no room. */
  async putMedium(id, conversation, blob) {
    try {
      await this.write({ media: [{ id, conversation, blob, createdAt: Date.now() }] });
    } catch {
      throw new Error(t('storageFull'));
    }
  }

  /** Return the blob of a medium, or undefined. */
  async blob(id) {
    const entry = this.database ? await settled(this.store('media').get(id)) : this.memory.media.get(id);
    return entry?.blob;
  }

  /** Return an object URL of a medium; one per medium, until `releaseUrls`. */
  async url(id) {
    if (!this.urls.has(id)) {
      const blob = await this.blob(id);
      if (!blob) return null;
      if (!this.urls.has(id)) this.urls.set(id, URL.createObjectURL(blob));
    }
    return this.urls.get(id);
  }

  releaseUrls() {
    for (const url of this.urls.values()) URL.revokeObjectURL(url);
    this.urls.clear();
  }

  /** Remove a conversation with its media. Returns what `restore` takes. */
  async remove(id) {
    const conversation = await this.get(id);
    const media = await this.mediaOf(id);
    if (this.database) {
      const transaction = this.database.transaction(STORES, 'readwrite');
      transaction.objectStore('conversations').delete(id);
      for (const medium of media) transaction.objectStore('media').delete(medium.id);
      await done(transaction);
    } else {
      this.memory.conversations.delete(id);
      for (const medium of media) this.memory.media.delete(medium.id);
    }
    this.channel?.postMessage(id);
    return { conversations: [conversation].filter(Boolean), media };
  }

  async restore(removed) {
    await this.write(removed);
    this.channel?.postMessage(removed.conversations[0]?.id);
  }

  /** Remove media that were attached a day ago and never sent. */
  async sweep(conversations) {
    if (!this.database) return;
    const kept = new Set(conversations.map((conversation) => conversation.id));
    const transaction = this.database.transaction('media', 'readwrite');
    const request = transaction.objectStore('media').openCursor();
    request.onsuccess = () => {
      const cursor = request.result;
      if (!cursor) return;
      if (!kept.has(cursor.value.conversation) && cursor.value.createdAt < Date.now() - ORPHAN_MS)
        cursor.delete();
      cursor.continue();
    };
    await done(transaction);
  }

  async mediaOf(conversation) {
    if (this.database) return settled(this.store('media').index('conversation').getAll(conversation));
    return [...this.memory.media.values()].filter((medium) => medium.conversation === conversation);
  }

  /** Write entries of both stores, all or none. */
  async write(entries) {
    if (!this.database) {
      for (const [name, values] of Object.entries(entries))
        values.forEach((value) => this.memory[name].set(value.id, value));
      return;
    }
    const transaction = this.database.transaction(STORES, 'readwrite');
    for (const [name, values] of Object.entries(entries))
      values.forEach((value) => transaction.objectStore(name).put(value));
    transaction.commit(); // at once, as the page may be closed
    await done(transaction);
  }

  store(name) {
    return this.database.transaction(name).objectStore(name);
  }
}

function settled(request) {
  return new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
    request.onblocked = () => reject(request.error);
  });
}

function done(transaction) {
  return new Promise((resolve, reject) => {
    transaction.oncomplete = resolve;
    transaction.onerror = () => reject(transaction.error);
    transaction.onabort = () => reject(transaction.error);
  });
}

function readPreferences() {
  try {
    return JSON.parse(localStorage.getItem(NAME)) ?? {};
  } catch {
    return {};
  }
}

/** Settings, theme and the last description of the model. */
export const preferences = {
  get(name) {
    return readPreferences()[name];
  },

  set(name, value) {
    try {
      localStorage.setItem(NAME, JSON.stringify({ ...readPreferences(), [name]: value }));
    } catch {
      // A browser that keeps nothing still chats.
    }
  },
};

let key = null;

/** The API key: until the tab closes, or longer where the reader asks for it. */
export const keys = {
  get() {
    try {
      key ??= sessionStorage.getItem(`${NAME}-key`) ?? localStorage.getItem(`${NAME}-key`);
    } catch {
      // Without storage the key lasts as long as the page.
    }
    return key;
  },

  set(value, { isRemembered }) {
    key = value;
    try {
      sessionStorage.setItem(`${NAME}-key`, value);
      if (isRemembered) localStorage.setItem(`${NAME}-key`, value);
      else localStorage.removeItem(`${NAME}-key`);
    } catch {
      // As above.
    }
  },
};
