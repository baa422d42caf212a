import { sha256Hex } from '../../crypto/hash.js';
import { ACCOUNT_CSS } from './account-css.js';
import { ACCOUNT_JS } from './account-js.js';

/** A file of the pages. Its address names what is in it, so that a browser may keep it for good. */
export interface Asset {
  readonly name: string;
  readonly type: string;
  readonly text: string;
  /** What is in it: the query of its address, and its ETag. */
  readonly version: string;
}

const asset = (name: string, type: string, text: string): Asset => ({
  name,
  type,
  text,
  version: sha256Hex(text).slice(0, 16),
});

export const STYLESHEET = asset('account.css', 'text/css; charset=utf-8', ACCOUNT_CSS);
export const SCRIPT = asset('account.js', 'text/javascript; charset=utf-8', ACCOUNT_JS);

/** Relative: a page stands beside them, whatever is in front of both. */
export const addressOf = ({ name, version }: Asset): string => `${name}?v=${version}`;
