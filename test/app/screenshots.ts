import { ADA } from './demo-accounts.js';
import { startBrowser } from '../support/browser.js';

// The pictures of the pages, from a demo that runs: `npm start`, and beside it
// `node --import ./test/support/register.js test/app/screenshots.ts`.
const url = process.argv[2] ?? 'http://localhost:3000';
const browser = await startBrowser();
try {
  const page = await browser.newPage({ viewport: { width: 760, height: 600 }, colorScheme: 'light' });
  const take = (name: string) =>
    page.screenshot({ path: new URL(`../../docs/images/${name}.png`, import.meta.url).pathname, fullPage: true });
  await page.goto(`${url}/auth/p/sign-in`);
  await take('sign-in');
  await page.fill('#lk-email', ADA.email);
  await page.fill('#lk-password', ADA.password);
  await page.click('form[action=sign-in] button');
  await page.waitForURL(/account$/);
  await take('account');
} finally {
  await browser.close();
}
