// Requests to the page's own server, and the state of the page.

/** Send a request; throws an Error whose message can be shown. */
export async function call(path, body) {
  const options = body === undefined ? {} : { method: 'POST', headers: { 'Content-Type': 'application/json' }, body: JSON.stringify(body) };
  let response;
  try {
    response = await fetch(path, options);
  } catch {
    throw new Error('The server does not answer. Nothing that was confirmed is lost.');
  }
  const answer = await response.json().catch(() => null);
  if (!response.ok) throw new Error(answer?.error?.message ?? `The server answered with status ${response.status}.`);
  return answer;
}

/** Set the state that styles and tests read: `loading`, `ready`, `sending`, `done` or `failed`. */
export function setState(state) {
  document.body.dataset.state = state;
}

/** Return a parameter of the page's address. */
export function parameter(name) {
  return new URLSearchParams(location.search).get(name);
}

/** Change a parameter of the page's address without loading it again. */
export function setParameter(name, value) {
  history.replaceState(null, '', `?${new URLSearchParams({ [name]: value })}`);
}

/** Count the seconds that a task is visible. */
export function stopwatch() {
  let total = 0;
  let since = document.hidden ? null : performance.now();
  const change = () => {
    if (since !== null) total += performance.now() - since;
    since = document.hidden ? null : performance.now();
  };
  document.addEventListener('visibilitychange', change);
  return {
    stop() {
      change();
      document.removeEventListener('visibilitychange', change);
      return Math.round(total / 100) / 10;
    },
  };
}
