/** What a look at one thing came to. `Note` and `Skipped` stand in nobody's way; `Failed` does. */
export type CheckVerdict = 'Ok' | 'Note' | 'Failed' | 'Skipped';

/** One line of `tributary-agent check`. It holds no secret. */
export interface CheckLine {
  /** What was looked at: `clock`, `broker/site`. */
  readonly check: string;
  readonly verdict: CheckVerdict;
  /** What was found; where it failed, the cause. */
  readonly found: string;
  /** What to do about it. */
  readonly fix?: string;
}

export const okLine = (check: string, found: string): CheckLine => ({ check, verdict: 'Ok', found });
export const skippedLine = (check: string, found: string): CheckLine => ({
  check,
  verdict: 'Skipped',
  found,
});
export const noteLine = (check: string, found: string, fix: string): CheckLine => ({
  ...{ check, verdict: 'Note', found, fix },
});
export const failedLine = (check: string, found: string, fix: string): CheckLine => ({
  ...{ check, verdict: 'Failed', found, fix },
});

export const isFailed = ({ verdict }: CheckLine): boolean => verdict === 'Failed';

const MARKS: Readonly<Record<CheckVerdict, string>> = {
  Ok: 'ok',
  Note: 'note',
  Failed: 'FAIL',
  Skipped: 'skip',
};

/** The lines for people: mark, name, what was found, and below it what to do. */
export function checkLines(lines: readonly CheckLine[]): string {
  const width = Math.max(...lines.map(({ check }) => check.length));
  const indent = ' '.repeat(width + 7);
  return lines
    .flatMap(({ check, verdict, found, fix }) => [
      `${MARKS[verdict].padEnd(5)} ${check.padEnd(width)} ${found}`,
      ...(fix === undefined ? [] : [`${indent}fix: ${fix}`]),
    ])
    .concat('')
    .join('\n');
}
