import { expect, it } from '@jest/globals';
import { providerFetch } from './provider-fetch.js';

it.each([
  ['https://idp.example.com', 'http://127.0.0.1:6379/'],
  ['https://idp.example.com', 'http://localhost:8080/keys'],
  ['https://idp.example.com', 'http://idp.example.com/keys'],
  ['http://localhost:8080', 'http://idp.example.com/keys'],
  ['https://idp.example.com', 'file:///etc/passwd'],
])('F68: a provider at %s does not make us ask %s', async (issuer, url) => {
  await expect(providerFetch({ issuer }, url, {})).rejects.toMatchObject({ kind: 'failed' });
});

it('F68: one on this machine is asked there (negative control: nobody listens)', async () => {
  await expect(providerFetch({ issuer: 'http://localhost:1' }, 'http://127.0.0.1:1/', {})).rejects.toThrow(
    'fetch failed',
  );
});
