import { describe, expect, it } from '@jest/globals';
import { markup, textOf, type HtmlValue } from './html.js';

/** Of OWASP's cheat sheets and of what has gone wrong elsewhere. */
export const HOSTILE = [
  '<script>alert(1)</script>',
  '"><img src=x onerror=alert(1)>',
  "' onmouseover='alert(1)",
  '</title><svg/onload=alert(1)>',
  '<!--><script>alert(1)</script>-->',
  '<![CDATA[<script>alert(1)</script>]]>',
  '`${alert(1)}`',
  '&lt;script&gt;alert(1)&lt;/script&gt;',
  '&#60;script&#62;',
  '\u0000<script>alert(1)</script>',
  '<scr\u0000ipt>alert(1)</script>',
  '\ud83d<b>',
  '\u202etxt.exe\u202c<b>',
  'javascript:alert(1)//"onclick="x',
  '<math><mtext><table><mglyph><style><img src=x onerror=alert(1)>',
  '\u2028<b onclick=x>\u2029',
] as const;

describe('markup', () => {
  it.each(HOSTILE)('F87: %j opens no tag, ends no attribute and begins no entity', (text) => {
    const between = textOf(markup`<p>${text}</p>`);
    expect(between.slice(3, -4)).not.toMatch(/[<>"']|&(?!(?:amp|lt|gt|quot|#39);)/);
    const attribute = textOf(markup`<p title="${text}"></p>`);
    expect(attribute.slice(10, -6)).not.toMatch(/[<>"']/);
    // oxlint-disable-next-line no-control-regex
    expect(between).not.toMatch(/[\u0000\u202a-\u202e\u2028\u2029]|\p{Surrogate}/u);
  });

  it('F87: shows a text as it is', () => {
    expect(textOf(markup`${'Ada & Bob <3 "x"'}`)).toBe('Ada &amp; Bob &lt;3 &quot;x&quot;');
    expect(textOf(markup`${'Zoë 東京 👩‍💻'}`)).toBe('Zoë 東京 👩‍💻');
  });

  it('F87: leaves alone what it has made itself, and nothing that only looks like it', () => {
    const items = ['a', '<b>'].map((name) => markup`<li>${name}</li>`);
    expect(textOf(markup`<ul>${items}</ul>`)).toBe('<ul><li>a</li><li>&lt;b&gt;</li></ul>');
    const forged = JSON.parse('{"text":"<script>","toString":"<script>"}') as HtmlValue;
    expect(textOf(markup`${forged}`)).toBe('');
    expect(textOf(markup`${['<script>', [['<b>']]]}`)).toBe('&lt;script&gt;&lt;b&gt;');
  });

  it('writes nothing for what is not there', () => {
    expect(textOf(markup`a${null}${undefined}${false}${[]}${0}`)).toBe('a0');
  });
});
