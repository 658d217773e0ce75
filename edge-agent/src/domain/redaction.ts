import { LIMITS, printable, TributaryError, type ErrorCode } from '@tributary/proto';

/** What may be said of an error outside the process. */
export interface RedactedError {
  readonly code: ErrorCode;
  /** At most LIMITS.detailLength characters. */
  readonly detail: string;
}

/**
 * The code and message of one of our errors; of any other error the code alone. Messages of our errors are built from
 * codes, names and numbers by rule of the house; those of libraries may quote what they failed on, so they stay inside.
 */
export function redact(error: unknown): RedactedError {
  if (!(error instanceof TributaryError))
    return { code: 'INTERNAL', detail: 'an unexpected error; the code of the agent needs a look' };
  if (error.code === 'INTERNAL')
    return { code: 'INTERNAL', detail: 'an unexpected error; the code of the agent needs a look' };
  return { code: error.code, detail: clip(error.message) };
}

/** `text` in at most LIMITS.detailLength characters, as a terminal may show it. */
export function clip(text: string): string {
  const said = printable(text).replace(/ {2,}/g, ' ').toWellFormed();
  return said.length <= LIMITS.detailLength
    ? said
    : `${said.slice(0, LIMITS.detailLength - 1).toWellFormed()}…`;
}
