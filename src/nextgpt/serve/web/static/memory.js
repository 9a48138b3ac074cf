// What the browser keeps: which conversations there are, which one is open, settings and theme. No contents.

const NAME = 'nextgpt';
const MOST = 200;

function read() {
  try {
    return JSON.parse(localStorage.getItem(NAME)) ?? {};
  } catch {
    return {};
  }
}

function write(change) {
  try {
    localStorage.setItem(NAME, JSON.stringify({ ...read(), ...change }));
  } catch {
    // A browser that keeps nothing still chats.
  }
}

export const memory = {
  get open() { return read().open ?? null; },
  set open(room) { write({ open: room }); },
  get theme() { return read().theme ?? null; },
  set theme(name) { write({ theme: name }); },
  get wishes() { return read().wishes ?? {}; },
  set wishes(wishes) { write({ wishes }); },
  get rooms() { return read().rooms ?? []; },

  /** Put a conversation at the head of the list; its title stays what it was. */
  note(room, title) {
    const known = this.rooms.find((entry) => entry.room === room);
    const others = this.rooms.filter((entry) => entry.room !== room);
    write({ rooms: [known ?? { room, title }, ...others].slice(0, MOST) });
  },

  /** Call a conversation by another name, which it keeps. */
  rename(room, title) {
    write({ rooms: this.rooms.map((entry) => (entry.room === room ? { ...entry, title } : entry)) });
  },

  forget(room) {
    write({ rooms: this.rooms.filter((entry) => entry.room !== room) });
  },
};
