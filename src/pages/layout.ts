import type { PageSettings } from '../config/page-settings.js';
import { addressOf, SCRIPT, STYLESHEET } from './assets/assets.js';
import { markup, textOf, type Html } from './html.js';
import { PageTexts } from './page-texts.js';

/** A page without what stands around it. */
export interface PageContent {
  /** The last part of its path. */
  readonly name: string;
  readonly title: string;
  readonly content: Html;
  /** Where the browser goes on by itself. */
  readonly leadsTo?: string;
  /** For lists. */
  readonly isWide?: boolean;
}

/** The settings, every text filled in. */
export type PageDesign = Readonly<Omit<PageSettings, 'texts' | 'routes'> & { texts: Readonly<PageTexts> }>;

/** The whole document. */
export function documentOf({ name, title, content, leadsTo, isWide = false }: PageContent, design: PageDesign): string {
  const { texts, stylesheet, layout } = design;
  const main = markup`<main id="lk-main" class="lk-main${isWide ? ' lk-wide' : ''}" tabindex="-1">
    <h1>${title}</h1>
    ${content}
  </main>`;
  const head = markup`<html lang="${texts.lang}">
    <head>
      <meta charset="utf-8" />
      <meta name="viewport" content="width=device-width, initial-scale=1" />
      <meta name="color-scheme" content="light dark" />
      <meta name="robots" content="noindex" />
      ${leadsTo !== undefined && markup`<meta http-equiv="refresh" content="0;url=${leadsTo}" />`}
      <title>${title}</title>
      <link rel="icon" href="data:," />
      <link rel="stylesheet" href="${addressOf(STYLESHEET)}" />
      ${stylesheet !== undefined && markup`<link rel="stylesheet" href="${stylesheet}" />`}
      <script src="${addressOf(SCRIPT)}" defer></script>
    </head>`;
  const skip = markup`<a class="lk-skip" href="#lk-main">${texts.skip}</a>`;
  const body = layout === undefined ? textOf(main) : layout(textOf(main), name);
  return `<!doctype html>\n${textOf(head)}\n<body>\n${textOf(skip)}\n${body}\n</body>\n</html>\n`;
}
