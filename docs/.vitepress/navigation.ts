import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

export interface SidebarItem {
  text: string;
  link?: string;
  items?: SidebarItem[];
  collapsed?: boolean;
}

/** What typedoc calls its folders, in the order of the sidebar. */
const KINDS = {
  classes: 'Classes',
  functions: 'Functions',
  variables: 'Values',
  interfaces: 'Interfaces',
  'type-aliases': 'Types',
};

/**
 * The sidebar is the list of docs/README.md: a heading is a group, a list item a page. Further links before the first
 * comma-free text, as "Recipes: one, two", are pages below it.
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

/** The sidebar of what typedoc has written into a folder, which need not be there. */
export function apiSidebarOf(folder: string, entries: readonly string[]): SidebarItem[] {
  return entries.map((entry) => ({
    text: entry,
    link: `/api/${entry}/`,
    collapsed: true,
    items: Object.entries(KINDS).flatMap(([kind, text]) => {
      const files = join(folder, entry, kind);
      if (!existsSync(files)) return [];
      const names = readdirSync(files).map((file) => file.replace(/\.md$/, ''));
      return [{ text, items: names.toSorted().map((name) => ({ text: name, link: `/api/${entry}/${kind}/${name}` })) }];
    }),
  }));
}

/** Every address that a sidebar leads to. */
export function linksOf(items: readonly SidebarItem[]): string[] {
  return items.flatMap(({ link, items: below = [] }) => [...(link === undefined ? [] : [link]), ...linksOf(below)]);
}

export function readSidebar(): SidebarItem[] {
  return sidebarOf(readFileSync(new URL('../README.md', import.meta.url), 'utf8'));
}
