import { codeBlocks } from './docs.js';

export interface TranscriptStep {
  /** The shell line after `$ `. */
  readonly command: string;
  /** What the README says it prints; `…` stands for anything. */
  readonly output: string;
}

/** The steps of the README's curl transcript: its `console` blocks that call curl. */
export function transcript(readme: string): TranscriptStep[] {
  const blocks = codeBlocks(readme, 'console').filter((block) => block.includes('$ curl'));
  return blocks.flatMap((block) => block.split(/^\$ /m).slice(1).map(splitStep));
}

/** A command ends at the first line that does not end in a backslash. */
function splitStep(step: string): TranscriptStep {
  const lines = step.split('\n');
  const last = lines.findIndex((line) => !line.endsWith('\\'));
  return {
    command: lines.slice(0, last + 1).join('\n'),
    output: lines
      .slice(last + 1)
      .join('\n')
      .trim(),
  };
}

/** The commands alone, for the demo to print. */
export function curlLines(readme: string): string[] {
  return transcript(readme).map((step) => step.command);
}
