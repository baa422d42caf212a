const CONTEXT = 3;

type Line = readonly [mark: ' ' | '-' | '+', text: string];

/** The change of a file as `diff -u` shows it; `before` is `undefined` for a new one. */
export function unifiedDiff(path: string, before: string | undefined, after: string): string {
  const lines = compared(linesOf(before ?? ''), linesOf(after));
  const isShown = lines.map((_, i) =>
    lines.slice(Math.max(0, i - CONTEXT), i + CONTEXT + 1).some(([mark]) => mark !== ' '),
  );
  const shown: string[] = [before === undefined ? '--- /dev/null' : `--- a/${path}`, `+++ b/${path}`];
  let [old, now] = [1, 1];
  lines.forEach(([mark, text], i) => {
    if (isShown[i] && !isShown[i - 1]) {
      const rest = isShown.indexOf(false, i);
      const hunk = lines.slice(i, rest < 0 ? undefined : rest);
      const count = (other: string) => hunk.filter(([one]) => one !== other).length;
      shown.push(`@@ -${before === undefined ? 0 : old},${count('+')} +${now},${count('-')} @@`);
    }
    if (isShown[i]) shown.push(mark + text);
    if (mark !== '+') old++;
    if (mark !== '-') now++;
  });
  return shown.join('\n');
}

const linesOf = (text: string): string[] => (text === '' ? [] : text.replace(/\r?\n$/, '').split(/\r?\n/));

/** By the longest common subsequence. */
function compared(before: readonly string[], after: readonly string[]): Line[] {
  const width = after.length + 1;
  const longest = new Uint32Array((before.length + 1) * width);
  for (let i = before.length - 1; i >= 0; i--) {
    for (let j = after.length - 1; j >= 0; j--) {
      longest[i * width + j] =
        before[i] === after[j]
          ? longest[(i + 1) * width + j + 1]! + 1
          : Math.max(longest[(i + 1) * width + j]!, longest[i * width + j + 1]!);
    }
  }
  const lines: Line[] = [];
  for (let i = 0, j = 0; i < before.length || j < after.length;) {
    if (i < before.length && j < after.length && before[i] === after[j]) {
      lines.push([' ', before[i++]!]);
      j++;
    } else if (
      i < before.length &&
      (j === after.length || longest[(i + 1) * width + j]! >= longest[i * width + j + 1]!)
    ) {
      lines.push(['-', before[i++]!]);
    } else lines.push(['+', after[j++]!]);
  }
  return lines;
}
