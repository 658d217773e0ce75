import { readFile } from 'node:fs/promises';
import { join } from 'node:path';

/** A test that a page names. */
export interface NamedTest {
  /** From the root of the repository. */
  readonly file: string;
  readonly title: string;
}

/** A sentence of a page, and the tests that check it. */
export interface Clause {
  readonly sentence: string;
  readonly tests: readonly NamedTest[];
}

/** The clauses of a page: list items that begin bold, each with its tests as items below. */
export function clausesOf(page: string): readonly Clause[] {
  const clauses: { sentence: string; tests: NamedTest[] }[] = [];
  for (const line of page.split('\n')) {
    const sentence = /^- \*\*(.+)/.exec(line)?.[1];
    if (sentence !== undefined) clauses.push({ sentence, tests: [] });
    const named = /^ {2}- `([^`]+)`: (.+)$/.exec(line);
    if (named !== null) clauses.at(-1)?.tests.push({ file: named[1] ?? '', title: named[2] ?? '' });
  }
  return clauses;
}

/** Folders whose tests some script runs; suites of test/contract are run by the tests beside them. */
const RUN = /^test\/(contract\/[a-z-]+|(unit|contract|integration|e2e|chaos|system)\/.*\.test)\.ts$/;

/** What is wrong with the clauses: a sentence without a test or with one twice, a file that nobody runs, a title that is not there. */
export async function problemsOf(clauses: readonly Clause[], root: string): Promise<readonly string[]> {
  const problems: string[] = [];
  for (const { sentence, tests } of clauses) {
    if (tests.length === 0) problems.push(`no test: ${sentence}`);
    for (const [index, { file, title }] of tests.entries()) {
      if (tests.findIndex((other) => other.file === file && other.title === title) < index)
        problems.push(`twice: ${file}: ${title}`);
      if (!RUN.test(file)) problems.push(`nobody runs ${file}`);
      const source = await readFile(join(root, file), 'utf8').catch(() => undefined);
      if (source === undefined) problems.push(`no file ${file}`);
      else if (!titlesOf(source).some((pattern) => pattern.test(title)))
        problems.push(`no test in ${file}: ${title}`);
    }
  }
  return problems;
}

/** Titles of the tests of a source, as patterns: what a template inserts may be anything. Skipped tests have none. */
function titlesOf(source: string): readonly RegExp[] {
  const calls = source.matchAll(/\bit\(\s*(['"`])((?:\\.|(?!\1)[^\\])*)\1/g);
  return Array.from(calls, ([, , title = '']) => {
    const parts = title.replaceAll(/\\(.)/g, '$1').split(/\$\{(?:[^{}]|\{[^{}]*\})*\}/);
    return new RegExp(`^${parts.map(escaped).join('.+')}$`);
  });
}

const escaped = (text: string): string => text.replaceAll(/[.*+?^${}()|[\]\\]/g, '\\$&');
