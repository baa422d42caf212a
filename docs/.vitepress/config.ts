import { defineConfig } from 'vitepress';
import { siteLink, slugOf } from './links.js';
import { apiSidebarOf, readSidebar } from './navigation.js';

const ENTRIES = ['', '/engine', '/testing', '/redis', '/openapi'].map((entry) => `nestjs-latchkey${entry}`);

/** Built by `npm run docs`. It asks no other host for anything: no fonts, no search service, no icons. */
export default defineConfig({
  title: 'nestjs-latchkey',
  description: 'Sessions, purpose-keyed JWTs, single-use tokens and rate limits for NestJS on PostgreSQL.',
  lang: 'en',
  base: process.env['DOCS_BASE'] ?? '/',
  // docs/README.md is the list of pages on GitHub; here that is the sidebar.
  srcExclude: ['README.md'],
  rewrites: { 'recipes/README.md': 'recipes/index.md' },
  ignoreDeadLinks: false,
  head: [['link', { rel: 'icon', href: 'data:,' }]],
  markdown: {
    // Both reach WCAG AA on the background of a block.
    theme: { light: 'github-light-high-contrast', dark: 'github-dark-high-contrast' },
    anchor: { slugify: slugOf },
    config(md) {
      md.core.ruler.push('links', ({ tokens, env }) => {
        for (const link of tokens.flatMap(({ children }) => children ?? [])) {
          if (link.type === 'link_open') link.attrSet('href', siteLink(env.relativePath, link.attrGet('href') ?? ''));
        }
      });
      // A wide table scrolls by itself, also for those who have only a keyboard.
      md.renderer.rules['table_open'] = () =>
        '<div class="table" tabindex="0" role="group" aria-label="Table"><table>\n';
      md.renderer.rules['table_close'] = () => '</table></div>\n';
    },
  },
  themeConfig: {
    nav: [
      { text: 'Start', link: '/start' },
      { text: 'Guide', link: '/guards-and-users' },
      { text: 'API', link: '/api/' },
      { text: 'GitHub', link: 'https://github.com/nestjs-latchkey/nestjs-latchkey' },
    ],
    sidebar: {
      '/api/': apiSidebarOf(ENTRIES),
      '/': readSidebar(),
    },
    outline: [2, 3],
    search: {
      provider: 'local',
      options: {
        // A guide before the names that it uses.
        miniSearch: { searchOptions: { boostDocument: (id: string) => (id.includes('/api/') ? 0.2 : 1) } },
      },
    },
    docFooter: { prev: false, next: false },
  },
});
