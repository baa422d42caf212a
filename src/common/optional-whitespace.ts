const SPACE = 0x20;
const TAB = 0x09;

/**
 * Trims the optional white space of RFC 9110 5.6.3, which is space and tab and nothing else. `String.trim` would also
 * remove U+00A0, which a byte of a latin1 header may be, and so turn another cookie's name into ours.
 */
export function trimOptionalWhitespace(text: string): string {
  let start = 0;
  let end = text.length;
  while (start < end && isOptionalWhitespace(text.charCodeAt(start))) start++;
  while (end > start && isOptionalWhitespace(text.charCodeAt(end - 1))) end--;
  return start === 0 && end === text.length ? text : text.slice(start, end);
}

function isOptionalWhitespace(code: number): boolean {
  return code === SPACE || code === TAB;
}
