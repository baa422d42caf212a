import { readFileSync } from 'node:fs';

export interface SidebarItem {
  text: string;
  link?: string;
  items?: SidebarItem[];
  /** There, so that it can be opened and closed. */
  collapsed?: boolean;
}

/**
 * The sidebar is the list of docs/README.md: a heading is a group, the first link of a list item a page, and its other
 * links the pages below that.
 */
export function sidebarOf(index: string): SidebarItem[] {
  const groups = index.split(/^## /m).slice(1);
  return groups
    .map((group) => {
      const [text, ...lines] = group.split('\n');
      const items = lines.filter((line) => line.startsWith('- [')).map(itemOf);
      return { text: text!, items };
    })
    .filter(({ items }) => items.length > 0);
}

function itemOf(line: string): SidebarItem {
  const [first, ...others] = [...line.matchAll(/\[([^\]]+)\]\(([^)#\s]+\.md)\)/g)].map(([, text, link]) => ({
    text: text!,
    link: pathOf(link!),
  }));
  return others.length === 0 ? first! : { ...first!, items: others, collapsed: true };
}

/** The address of a page. */
function pathOf(page: string): string {
  return `/${page.replace(/(?:README|index)\.md$/, '').replace(/\.md$/, '')}`;
}

/** The sidebar of what typedoc writes: its entries. All names are on their pages, and the search has them. */
export function apiSidebarOf(entries: readonly string[]): SidebarItem[] {
  return entries.map((entry) => ({ text: entry, link: `/api/${entry}/` }));
}

/** Every address that a sidebar leads to. */
export function linksOf(items: readonly SidebarItem[]): string[] {
  return items.flatMap(({ link, items: below = [] }) => [...(link === undefined ? [] : [link]), ...linksOf(below)]);
}

export function readSidebar(): SidebarItem[] {
  return sidebarOf(readFileSync(new URL('../README.md', import.meta.url), 'utf8'));
}
