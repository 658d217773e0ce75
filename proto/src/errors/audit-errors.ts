import { entry, type ErrorEntry } from './error-entry.js';

/** 85-88: the audit trail. */
export const AUDIT_ERRORS = {
  LEDGER_FORKED: entry(
    'DATA_LOSS',
    409,
    85,
    false,
    'The coordinator signed two histories that contradict each other; both signed heads are kept as evidence.',
  ),
  LEDGER_SHORTENED: entry(
    'DATA_LOSS',
    409,
    86,
    false,
    'The ledger is shorter than one that its coordinator signed before: restored from an older backup, or cut off.',
  ),
  EXPORT_CORRUPT: entry(
    'DATA_LOSS',
    400,
    87,
    false,
    'A line of an export of the ledger is missing, altered or in the wrong place; the message names line and entry.',
  ),
  WITNESSES_TOO_FEW: entry(
    'FAILED_PRECONDITION',
    409,
    88,
    false,
    'Fewer sites than asked for have signed that they saw this ledger.',
  ),
} as const satisfies Record<string, ErrorEntry>;
