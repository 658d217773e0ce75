import { median } from '../bench/bench-case.js';
import { evidenceText } from './judge/evidence.js';
import type { FaultKind } from './kinds/kind.js';
import type { CaseResult, SuiteResult } from './runner.js';

/** The last line of a run. */
export interface Totals {
  readonly cases: number;
  readonly survived: number;
  /** Updates, or rounds, that were lost or counted twice. */
  readonly lost: number;
  readonly doubled: number;
  readonly maxRecoverySeconds: number;
}

export function totalsOf(results: readonly CaseResult[]): Totals {
  const breaches = results.flatMap((result) => result.breaches);
  return {
    cases: results.length,
    survived: results.filter((result) => result.breaches.length === 0).length,
    lost: breaches.filter(({ kind }) => kind === 'lost').length,
    doubled: breaches.filter(({ kind }) => kind === 'doubled').length,
    maxRecoverySeconds: Math.max(0, ...results.flatMap((result) => result.recoverySeconds)),
  };
}

const oneDigit = (value: number): string => value.toFixed(1);

/** What became of a case: one line, and for one that failed what broke, where it lies and how to repeat it. */
export function caseText(result: CaseResult): string {
  const { kind, variant, job, seed, breaches, evidence, recoverySeconds, seconds, folder } = result;
  const name = `${kind} ${variant} (${job}, seed ${String(seed)})`;
  if (breaches.length === 0)
    return [
      `  survived  ${name}: ${seconds.toFixed(1)} s; ${evidenceText(evidence)}`,
      ...(recoverySeconds.length === 0 ? [] : [`back in ${recoverySeconds.map(oneDigit).join(', ')} s`]),
    ].join('; ');
  return [
    `  FAILED    ${name}: ${seconds.toFixed(1)} s`,
    ...(evidence.length === 0 ? [] : [`            happened: ${evidenceText(evidence)}`]),
    ...breaches.map((one) => `            ${one.kind}: ${one.detail.replaceAll('\n', '\n              ')}`),
    `            directory: ${folder ?? ''}`,
    `            repeat: npm run chaos -- --only ${kind} --variant ${variant} --job ${job} --seed ${String(seed)} --cases 1`,
  ].join('\n');
}

interface Note {
  readonly kind: string;
  readonly notRun?: string;
  readonly summary?: string;
}

/** What the table says beside its figures: why a kind did not run, and what all of its cases did together. */
export function notesOf({ results, missing }: SuiteResult, kinds: readonly FaultKind[]): readonly Note[] {
  return kinds.flatMap(({ name, summary }): readonly Note[] => {
    const notRun = missing.get(name);
    if (notRun !== undefined) return [{ kind: name, notRun }];
    const text = results.some(({ kind }) => kind === name) ? (summary?.() ?? '') : '';
    return text === '' ? [] : [{ kind: name, summary: text }];
  });
}

/** A table: one row for each kind of fault. */
export function tableText({ results, missing }: SuiteResult, kinds: readonly FaultKind[]): string {
  const rows = kinds.map(({ name, about, summary }) => {
    const reason = missing.get(name);
    const own = results.filter((result) => result.kind === name);
    if (reason !== undefined) return [name, '-', '-', '-', '-', '-', '-', `not run: ${reason}`];
    const back = own.flatMap(({ recoverySeconds }) => recoverySeconds);
    const { cases, survived, lost, doubled, maxRecoverySeconds } = totalsOf(own);
    const said =
      cases === 0 ? 'not reached' : [about, summary?.() ?? ''].filter((text) => text !== '').join('; ');
    return [
      name,
      ...[cases, survived, lost, doubled].map(String),
      oneDigit(back.length === 0 ? 0 : median(back)),
      oneDigit(maxRecoverySeconds),
      said,
    ];
  });
  const all = [['fault', 'cases', 'survived', 'lost', 'doubled', 'back s', 'at most s', ''], ...rows];
  const widths =
    all[0]?.map((_title, column) => Math.max(...all.map((row) => row[column]?.length ?? 0))) ?? [];
  return all
    .map((row) =>
      row.map((cell, column) => (column === 7 ? cell : cell.padEnd(widths[column] ?? 0))).join('  '),
    )
    .join('\n');
}
