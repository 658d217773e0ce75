import { entry, type ErrorEntry } from './error-entry.js';

/** 80-84: membership. */
export const MEMBERSHIP_ERRORS = {
  ROSTER_MISSING: entry(
    'FAILED_PRECONDITION',
    403,
    80,
    false,
    "The site's policy pins a federation root, but the order proves no roster; publish one with `tributary federation roster publish`.",
  ),
  ROSTER_INVALID: entry(
    'PERMISSION_DENIED',
    403,
    81,
    false,
    'The roster, root or identity is malformed, of another root, or not signed by enough of its keys; the message says which.',
  ),
  ROSTER_EXPIRED: entry(
    'FAILED_PRECONDITION',
    403,
    82,
    false,
    'The roster has expired; renew, sign and publish it with `tributary federation roster`.',
  ),
  ROSTER_ROLLBACK: entry(
    'DATA_LOSS',
    409,
    83,
    false,
    'An older roster or root than one seen before was shown, or another of the same version: ask the operator why.',
  ),
  NOT_IN_ROSTER: entry(
    'PERMISSION_DENIED',
    403,
    84,
    false,
    'A site of the round is not in the roster that the federation root signed; the round is refused.',
  ),
} as const satisfies Record<string, ErrorEntry>;
