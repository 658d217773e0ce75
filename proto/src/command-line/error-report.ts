import { ERROR_TABLE } from '../errors/error-table.js';
import type { TributaryError } from '../errors/tributary-error.js';

/** What a command prints on standard error before it ends: code and cause, what to try, where the rest stands. */
export function errorReport(error: TributaryError, program: string): string {
  const { code, message, hint } = error;
  return [
    `error: ${code}: ${message}`,
    `  try: ${hint ?? ERROR_TABLE[code].documentation}`,
    `  see: ${program} explain ${code} (ERRORS.md#${code.toLowerCase()})`,
    '',
  ].join('\n');
}
