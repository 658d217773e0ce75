import { TributaryError } from '../errors/tributary-error.js';
import type { ErrorCode } from '../errors/error-table.js';

export type Path = readonly (string | number)[];

/** One thing that is wrong with a document: where, what, and how to mend it. */
export interface Problem {
  readonly path: Path;
  readonly what: string;
  readonly fix: string;
}

/** Problems that one error lists; the rest are counted. */
const LISTED = 20;
/** Characters of a foreign text that a message repeats. */
const QUOTED = 63;

const IDENTIFIER = /^[A-Za-z_][A-Za-z0-9_-]*$/;

/** `spec.features[3].name`; members that are no plain words are quoted. */
export function pathText(path: Path): string {
  const text = path.map((step, index) => {
    if (typeof step === 'number') return `[${String(step)}]`;
    if (!IDENTIFIER.test(step)) return `[${quote(step)}]`;
    return index === 0 ? step : `.${step}`;
  });
  return text.join('') || '(document)';
}

/** A text from outside, quoted, shortened, and free of control characters. */
export function quote(text: string): string {
  return JSON.stringify(text.length > QUOTED ? `${text.slice(0, QUOTED)}…` : text);
}

/** The error that lists every problem, one per line as `path: what; fix`. */
export function problemError(code: ErrorCode, problems: readonly Problem[]): TributaryError {
  const lines = problems.slice(0, LISTED).map(({ path, what, fix }) => `${pathText(path)}: ${what}; ${fix}`);
  if (problems.length > LISTED) lines.push(`and ${String(problems.length - LISTED)} more`);
  const [first] = problems;
  return new TributaryError(code, lines.join('\n'), {
    fields: { problems: problems.length, ...(first && { path: pathText(first.path) }) },
  });
}
