import { entry, type ErrorEntry } from './error-entry.js';

/** 54-59: rounds with secure aggregation. */
export const SECURE_ROUND_ERRORS = {
  SECAGG_IMPOSSIBLE: entry(
    'FAILED_PRECONDITION',
    422,
    54,
    false,
    'Secure aggregation cannot protect a round of that many sites, colluders and dropouts; the message says what to change.',
  ),
  SECAGG_MESSAGE_INVALID: entry(
    'PERMISSION_DENIED',
    403,
    55,
    false,
    'A message of secure aggregation contradicts what its sender or its peers signed; the message names who sent it.',
  ),
  SECAGG_STAGE_PASSED: entry(
    'FAILED_PRECONDITION',
    409,
    56,
    false,
    'The site has answered this stage of secure aggregation already, to another request; it answers each stage once.',
  ),
  SECAGG_TOO_FEW: entry(
    'FAILED_PRECONDITION',
    409,
    57,
    true,
    'Fewer sites are left in a secure round than its threshold, its colluders or a site demand; the round is tried again.',
  ),
  SECAGG_SUM_INVALID: entry(
    'DATA_LOSS',
    502,
    58,
    true,
    'The unmasked sum is not one of honest updates: sites saw different models or cohorts, or one sent what it may not.',
  ),
  SECAGG_DIFFERENCING: entry(
    'FAILED_PRECONDITION',
    409,
    59,
    false,
    'The difference of two sums over the same model would show fewer sites than a site accepts in a sum; it gives the first alone.',
  ),
} as const satisfies Record<string, ErrorEntry>;
