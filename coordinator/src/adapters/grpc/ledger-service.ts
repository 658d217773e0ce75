import { leafHash } from '@tributary/proto';
import type { LedgerHandlers, LedgerRecord } from '@tributary/proto/grpc';

import type { Federation, LedgerItem } from '../../app/federation.js';
import { mayAgentRead } from '../../domain/authorisation.js';
import type { Callers } from './caller.js';
import type { Calls, CallContext } from './calls.js';
import type { Concurrency } from './concurrency.js';
import { fromConsistency, fromGetEntries, fromInclusion } from './wire/ledger.js';
import { toTreeHeadMessage } from './wire/tree-head.js';

/** Decides whether a caller may read the body of an entry. */
export type EntryReader = (item: LedgerItem) => boolean;

export interface LedgerParts {
  readonly federation: Federation;
  readonly calls: Calls;
  /** Readings at the same time, of all services together. */
  readonly readings: Concurrency;
  /** What the caller behind a peer may read; throws where it may read nothing. Asked again for every entry. */
  readonly reader: (context: CallContext) => EntryReader;
}

/** Agents and replicas read the entries that concern them; of the others they get the hash. */
export function agentLedger(callers: Callers, federation: Federation): LedgerParts['reader'] {
  return (context) => {
    const caller = callers.agent(context);
    return ({ entry }) => mayAgentRead(federation.state, caller, entry);
  };
}

/** Contexts read everything: entries hold no secrets. */
export function operatorLedger(callers: Callers): LedgerParts['reader'] {
  return (context) => {
    callers.operator(context);
    return () => true;
  };
}

/** The ledger as one port serves it: redaction follows from who calls. */
export function ledgerService({ federation, calls, readings, reader }: LedgerParts): LedgerHandlers {
  return {
    GetEntries: calls.serverStream(
      'GetEntries',
      async (request, sink, context) => {
        reader(context);
        const { start, end } = fromGetEntries(request, federation.size());
        for await (const item of federation.entries(start, end))
          await sink.write(toRecord(item, reader(context)(item)));
      },
      { places: readings },
    ),
    GetTreeHead: calls.unary('GetTreeHead', async (_request, context) => {
      reader(context);
      return toTreeHeadMessage(await federation.treeHead());
    }),
    GetInclusionProof: calls.unary('GetInclusionProof', async (request, context) => {
      reader(context);
      const { seq, size } = fromInclusion(request);
      const path = await federation.inclusionProof(seq, size);
      return { seq: String(seq), treeSize: String(size), path: [...path] };
    }),
    GetConsistencyProof: calls.unary('GetConsistencyProof', async (request, context) => {
      reader(context);
      const { first, second } = fromConsistency(request);
      const path = await federation.consistencyProof(first, second);
      return { first: String(first), second: String(second), path: [...path] };
    }),
  };
}

/** The bytes, or where the caller may not read them the hash that stands for them in the tree. */
function toRecord({ entry, bytes }: LedgerItem, readable: boolean): LedgerRecord {
  const seq = String(entry.seq);
  return readable
    ? { seq, entry: bytes, redacted: false }
    : { seq, redacted: true, leafHash: leafHash(bytes) };
}
