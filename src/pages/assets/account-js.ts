/**
 * The script of the pages; all but passkeys work without it. It keeps nothing, and sends what the forms would send: to
 * the JSON routes beside the pages.
 */
export const ACCOUNT_JS = `'use strict';
(() => {
  const one = (selector, root = document) => root.querySelector(selector);
  const all = (selector) => [...document.querySelectorAll(selector)];

  // A mailed link brings its token behind '#', which no server has seen: into the form, and out of the address bar.
  const linked = one('[data-from-fragment]');
  if (linked && location.hash.length > 1) {
    linked.value = decodeURIComponent(location.hash.slice(1));
    const field = linked.closest('.lk-field');
    if (field) field.hidden = true;
    history.replaceState(null, '', location.pathname + location.search);
    const next = linked.form && [...linked.form.elements].find((element) => element !== linked && element.type === 'password');
    if (next) next.focus();
  }

  // What only a script can do is shown by it.
  // With the JSON methods of WebAuthn Level 3; a browser without them shows the other ways to sign in.
  const hasPasskeys = window.PublicKeyCredential?.parseRequestOptionsFromJSON !== undefined;
  if (hasPasskeys) {
    for (const part of all('[data-needs-passkeys]')) part.hidden = false;
    for (const part of all('[data-without-passkeys]')) part.hidden = true;
  }
  if (navigator.clipboard) for (const part of all('[data-copy]')) part.hidden = false;

  const status = (text) => { const place = one('#lk-status'); if (place) { place.textContent = text; place.hidden = text === ''; } };

  for (const button of all('[data-copy]')) {
    button.addEventListener('click', async () => {
      await navigator.clipboard.writeText(one(button.dataset.copy).innerText);
      status(button.dataset.copied);
    });
  }

  // Each form has its own box; they say the same.
  const boxes = all('[name="remember"]');
  for (const box of boxes) {
    box.addEventListener('change', () => { for (const other of boxes) other.checked = box.checked; });
  }

  const ask = async (path, body) => {
    const answer = await fetch(path, {
      method: 'POST',
      credentials: 'same-origin',
      headers: { 'Content-Type': 'application/json', Accept: 'application/json' },
      body: JSON.stringify(body ?? {}),
    });
    const answered = await answer.json();
    if (!answer.ok) throw Object.assign(new Error(answered.code), { code: answered.code });
    return answered;
  };

  const get = async (options, more) =>
    (await navigator.credentials.get({ publicKey: PublicKeyCredential.parseRequestOptionsFromJSON(options), ...more })).toJSON();
  const create = async (options) =>
    (await navigator.credentials.create({ publicKey: PublicKeyCredential.parseCreationOptionsFromJSON(options) })).toJSON();

  const go = (path) => location.assign(path);
  const ceremonies = {
    login: async ({ next }, more) => {
      const response = await get(await ask('../passkey-login/options'), more);
      // If there is something to choose.
      const remember = boxes[0]?.checked;
      const { status: state } = await ask('../passkey-login', { response, remember });
      go(state === 'authenticated' ? next : 'sign-in');
    },
    create: async ({ next }, form) => {
      const response = await create(await ask('../passkeys/options'));
      await ask('../passkeys', { name: form.elements.name.value, response });
      go(next);
    },
    second: async ({ next, token }) => {
      const response = await get(await ask('../2fa/passkey/options', { token }));
      await ask('../2fa/verify', { token, method: 'passkey', response });
      go(next);
    },
    step: async ({ next }) => {
      const response = await get(await ask('../step-up/passkey/options'));
      await ask('../step-up', { method: 'passkey', response });
      go(next);
    },
  };
  const running = { abort: null };
  for (const form of all('form[data-passkey]')) {
    form.addEventListener('submit', async (event) => {
      event.preventDefault();
      running.abort?.abort();
      status('');
      try {
        await ceremonies[form.dataset.passkey](form.dataset, form.dataset.passkey === 'create' ? form : undefined);
      } catch (error) {
        if (error.code === 'STEP_UP_REQUIRED') return go('step-up?next=passkeys');
        if (error.code === 'UNAUTHENTICATED') return go('sign-in?next=passkeys');
        status(form.dataset.failed);
      }
    });
  }

  // The passkeys of this site among the suggestions of the first field. Not before it is used: every challenge counts.
  const suggested = one('[data-passkey-suggestions]');
  if (suggested && hasPasskeys && PublicKeyCredential.isConditionalMediationAvailable) {
    suggested.addEventListener('focus', async () => {
      if (!(await PublicKeyCredential.isConditionalMediationAvailable())) return;
      running.abort = new AbortController();
      try {
        await ceremonies.login(suggested.dataset, { mediation: 'conditional', signal: running.abort.signal });
      } catch {
        // The form is still there.
      }
    }, { once: true });
  }

  const wrong = one('[aria-invalid="true"]');
  if (wrong) wrong.focus();
})();
`;
