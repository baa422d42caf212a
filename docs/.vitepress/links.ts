import { posix } from 'node:path';

const REPOSITORY = 'https://github.com/nestjs-latchkey/nestjs-latchkey';
const IN_DOCS = new RegExp(`^${REPOSITORY}/(?:blob|tree)/main/docs/`);

/**
 * A link of a page below docs/ as it has to be on the site. On GitHub the pages link files of the repository, such as
 * `../src`; there those are links to GitHub, and a README.md is the page of its folder.
 */
export function siteLink(page: string, link: string): string {
  if (IN_DOCS.test(link)) return siteLink(page, posix.relative(posix.dirname(page), link.replace(IN_DOCS, '')));
  if (/^(?:[a-z]+:|#|\/)/i.test(link)) return link;
  const [file, hash] = link.split('#') as [string, string?];
  const target = posix.join('docs', posix.dirname(page), file);
  const anchor = hash === undefined ? '' : `#${hash}`;
  if (target.startsWith('docs/')) return file.replace(/(^|\/)README\.md$/, '$1index.md') + anchor;
  const isFile = posix.basename(target).includes('.') || target === 'LICENSE';
  return `${REPOSITORY}/${isFile ? 'blob' : 'tree'}/main/${target}${anchor}`;
}

/** The anchor of a heading as GitHub makes it, so that a link to one leads there on both. */
export function slugOf(heading: string): string {
  return heading
    .toLowerCase()
    .replaceAll(/[^\p{L}\p{N} _-]/gu, '')
    .replaceAll(' ', '-');
}
