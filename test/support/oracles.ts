import { readFileSync } from 'node:fs';
import { join } from 'node:path';

/** Why tests that need oracles did not run, for their titles. */
export const NO_ORACLES = 'TRIBUTARY_ORACLES is not set';

/** One file of the oracles as JSON, or undefined where TRIBUTARY_ORACLES is not set. */
export function readOracle(name: string): unknown {
  const folder = process.env['TRIBUTARY_ORACLES'];
  return folder === undefined || folder === ''
    ? undefined
    : JSON.parse(readFileSync(join(folder, name), 'utf8'));
}
