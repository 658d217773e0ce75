import { ERROR_TABLE, type ErrorCode } from '@tributary/proto';

/** Envelopes written for one update before it is given up: a machine that corrupts three is broken. */
const MAX_ENVELOPES = 3;

/**
 * What follows a failed upload after `tries` failures in a row: send the same bytes again later, write a new envelope
 * (another content key and upload id), or wait for the ledger entry that records the refusal.
 */
export function afterUploadFailure(code: ErrorCode, tries: number): 'Retry' | 'Renew' | 'GiveUp' {
  if (code === 'UPDATE_CORRUPT' || code === 'UPLOAD_ID_REUSED')
    return tries < MAX_ENVELOPES ? 'Renew' : 'GiveUp';
  // CONFLICT: a newer stream of the same upload took over, or the round is suspended.
  return ERROR_TABLE[code].retryable || code === 'CONFLICT' ? 'Retry' : 'GiveUp';
}

/** Names of the two files of an update in the outbox. */
export const deltaFile = (uploadId: string): string => `${uploadId}.delta`;
export const envelopeFile = (uploadId: string): string => `${uploadId}.envelope`;
