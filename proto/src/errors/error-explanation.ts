import { nearest } from '../documents/nearest.js';
import { ERROR_GUIDANCE } from './error-guidance.js';
import { ERROR_CODES, ERROR_TABLE, isErrorCode, type ErrorCode } from './error-table.js';
import { TributaryError } from './tributary-error.js';

/** What a person needs who meets a code: its section of ERRORS.md, without the heading. */
export function explanationLines(code: ErrorCode): readonly string[] {
  const { grpc, http, exit, retryable, documentation } = ERROR_TABLE[code];
  const { causes, steps } = ERROR_GUIDANCE[code];
  return [
    `${documentation} Exit code ${String(exit)}, gRPC ${grpc}, HTTP ${String(http)}; ${
      retryable ? 'the same may succeed later' : 'the same call fails again until something is changed'
    }.`,
    '',
    'Likely causes:',
    '',
    ...causes.map((cause) => `- ${cause}`),
    '',
    'What to do:',
    '',
    ...steps.map((step, index) => `${String(index + 1)}. ${step}`),
  ];
}

/** What `explain` prints for a code in any case, or for an exit code; throws USAGE where there is none such. */
export function explainError(word: string): string {
  const wanted = word.toUpperCase();
  const code = isErrorCode(wanted) ? wanted : byExitCode(word);
  if (code !== undefined) return `${[code, '', ...explanationLines(code)].join('\n')}\n`;
  const near = nearest(wanted, ERROR_CODES);
  throw new TributaryError('USAGE', `${word}: neither an error code nor an exit code`, {
    hint: near === undefined ? `codes: ${ERROR_CODES.join(', ')}` : `did you mean ${near}?`,
  });
}

const byExitCode = (word: string): ErrorCode | undefined =>
  ERROR_CODES.find((code) => String(ERROR_TABLE[code].exit) === word);
