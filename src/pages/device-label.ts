import { deviceNameOf } from './device-name.js';
import type { PageTexts } from './page-texts.js';
import { withValues } from './with-values.js';

/** What a person calls the device of this user agent, in the language of the pages. */
export function deviceLabel(userAgent: string | null, texts: Readonly<PageTexts>): string {
  const { browser, system } = deviceNameOf(userAgent);
  if (browser === null || system === null) return browser ?? system ?? texts.unknownDevice;
  return withValues(texts.browserOnSystem, { browser, system });
}
