import { isLocalPath } from '../common/local-path.js';
import { PageTexts } from '../pages/page-texts.js';
import { FlowSettings } from './every-flow-settings.js';
import { isRecord, type OptionChecker } from './option-checker.js';

/**
 * What stands around the content of a page, from `<body>` to `</body>` without these two: it gets the content as HTML and
 * the name of the page, such as `sign-in`. The policy of the pages stays: no inline script, no inline style, nothing from
 * another host.
 */
export type PageLayout = (content: string, page: string) => string;

/** The pages for people, below `routes.path` and `p/`, for the flows that are named beside it. */
export class PageSettings extends FlowSettings {
  /** The path of a stylesheet of your own, such as `/brand.css`, after that of the pages. Default: none. */
  stylesheet: string | undefined = undefined;
  /** Wraps the content of every page, for a header and a footer of yours. Default: none. */
  layout: PageLayout | undefined = undefined;
  /** Texts of your own or in another language; the others stay English. Default: none. */
  texts: Partial<PageTexts> = {};
}

/** Filled in: every text is there. */
export function checkPages(
  check: OptionChecker,
  label: string,
  { stylesheet, layout, texts }: Readonly<PageSettings>,
  { hasRoutes }: { readonly hasRoutes: boolean },
): Pick<PageSettings, 'texts'> {
  check.that(hasRoutes, `${label} needs routes: { path: 'auth' }: the pages are mounted below it.`);
  check.that(
    stylesheet === undefined || isLocalPath(stylesheet),
    `${label}.stylesheet must be a path of this application such as '/brand.css': the pages load nothing from elsewhere.`,
  );
  check.that(
    layout === undefined || typeof layout === 'function',
    `${label}.layout must be a function that takes the content as HTML and returns the HTML of the body.`,
  );
  const english = new PageTexts();
  if (!check.record(`${label}.texts`, texts)) return { texts: Object.freeze(english) };
  const written: [string, unknown][] = Object.entries(texts);
  check.keys(`${label}.texts.`, texts, Object.keys(english));
  for (const [name, text] of written) {
    check.that(
      text === undefined || (typeof text === 'string' && text.trim() !== ''),
      `${label}.texts.${name} must be a text.`,
    );
  }
  const given = isRecord(texts) ? written.filter(([, text]) => text !== undefined) : [];
  return { texts: Object.freeze(Object.assign(english, Object.fromEntries(given))) };
}
