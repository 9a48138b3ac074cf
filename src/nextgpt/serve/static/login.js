// Where the server wants a key: a dialog in which it is entered.

import { el, openDialog } from './dom.js';
import { keys } from './storage.js';
import { t } from './strings.js';

/** Ask for a key and keep it. Resolves to the key, or to null where the dialog was closed. */
export function askKey(isWrong) {
  return new Promise((resolve) => {
    let entered = null;
    const field = el('input', {
      id: 'key',
      type: 'password',
      autocomplete: 'current-password',
      required: true,
      'aria-describedby': 'key-help',
    });
    const remember = el('input', { id: 'remember', type: 'checkbox' });
    const dialog = el(
      'dialog',
      { class: 'sheet login', 'aria-labelledby': 'login-title', onclose: () => resolve(entered) },
      el(
        'form',
        {
          onsubmit: (event) => {
            event.preventDefault();
            entered = field.value.trim();
            if (!entered) return;
            keys.set(entered, { isRemembered: remember.checked });
            dialog.close();
          },
        },
        el('h2', { id: 'login-title' }, t('login')),
        el('p', { class: 'help', id: 'key-help' }, t('keyHelp')),
        el('label', { for: 'key' }, t('key')),
        field,
        el('p', { role: 'alert', class: 'problem' }, isWrong ? t('keyWrong') : ''),
        el('label', { class: 'check' }, remember, t('keyRemember')),
        el('button', { type: 'submit', class: 'main' }, t('login')),
      ),
    );
    openDialog(dialog);
    field.focus();
  });
}
