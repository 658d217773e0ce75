import { LIMITS } from '@tributary/proto';
import type {
  GetConsistencyProofRequest__Output,
  GetEntriesRequest__Output,
  GetInclusionProofRequest__Output,
} from '@tributary/proto/grpc';

import { invalid, requireSafeInteger } from './fields.js';

/** Entries `start` (inclusive) to `end` (exclusive) that a caller asks for, within the ledger's size. */
export function fromGetEntries(
  request: GetEntriesRequest__Output,
  size: number,
): { readonly start: number; readonly end: number } {
  const start = requireSafeInteger(request.start, 'start');
  if (start > size) throw invalid('start', `at most ${String(size)}, the size of the ledger`);
  const limit = request.limit === 0 ? LIMITS.entriesPerCall : Math.min(request.limit, LIMITS.entriesPerCall);
  return { start, end: Math.min(size, start + limit) };
}

export function fromInclusion(request: GetInclusionProofRequest__Output): {
  readonly seq: number;
  readonly size: number;
} {
  return {
    seq: requireSafeInteger(request.seq, 'seq'),
    size: requireSafeInteger(request.treeSize, 'treeSize'),
  };
}

export function fromConsistency(request: GetConsistencyProofRequest__Output): {
  readonly first: number;
  readonly second: number;
} {
  return {
    first: requireSafeInteger(request.first, 'first'),
    second: requireSafeInteger(request.second, 'second'),
  };
}
