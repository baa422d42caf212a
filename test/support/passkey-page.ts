import { Controller, Get, Header } from '@nestjs/common';
import { Public } from 'nestjs-latchkey';

/** The script of docs/passkeys.md, which is all that a page needs. */
export const PASSKEY_SCRIPT = `
  async function ask(method, path, body) {
    const answer = await fetch(path, {
      method,
      headers: { 'Content-Type': 'application/json' },
      body: method === 'GET' ? undefined : JSON.stringify(body ?? {}),
    });
    return { status: answer.status, body: await answer.json() };
  }

  async function addPasskey(name) {
    const { status, body } = await ask('POST', '/auth/passkeys/options');
    if (status !== 200) return { status, body };
    const publicKey = PublicKeyCredential.parseCreationOptionsFromJSON(body);
    const credential = await navigator.credentials.create({ publicKey });
    return ask('POST', '/auth/passkeys', { response: credential.toJSON(), name });
  }

  async function usePasskey(options) {
    const publicKey = PublicKeyCredential.parseRequestOptionsFromJSON(options);
    return (await navigator.credentials.get({ publicKey })).toJSON();
  }

  async function logInByPasskey() {
    const { body } = await ask('POST', '/auth/passkey-login/options');
    return ask('POST', '/auth/passkey-login', { response: await usePasskey(body) });
  }

  async function secondStepByPasskey(token) {
    const { body } = await ask('POST', '/auth/2fa/passkey/options', { token });
    return ask('POST', '/auth/2fa/verify', { token, method: 'passkey', response: await usePasskey(body) });
  }

  async function stepUpByPasskey() {
    const { body } = await ask('POST', '/auth/step-up/passkey/options');
    return ask('POST', '/auth/step-up', { method: 'passkey', response: await usePasskey(body) });
  }
`;

@Controller('page')
export class PasskeyPageController {
  @Public()
  @Get()
  @Header('Content-Type', 'text/html')
  page(): string {
    return `<!doctype html><title>Notes</title><script>${PASSKEY_SCRIPT}</script>`;
  }
}
