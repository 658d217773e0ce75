import { leafHash } from '@tributary/proto';
import type { LedgerHandlers, LedgerRecord } from '@tributary/proto/grpc';

import type { Cosignatures } from '../../app/cosignatures.js';
import type { Federation, LedgerItem } from '../../app/federation.js';
import { mayAgentRead } from '../../domain/authorisation.js';
import type { Callers } from './caller.js';
import type { Calls, CallContext } from './calls.js';
import type { Concurrency } from './concurrency.js';
import { fromConsistency, fromGetEntries, fromInclusion } from './wire/ledger.js';
import { toCosignatureRecord } from './wire/cosignature.js';
import { toTreeHeadMessage } from './wire/tree-head.js';

/** What a caller may read. */
export interface LedgerReader {
  /** The body of an entry. */
  readonly reads: (item: LedgerItem) => boolean;
  /** What a site signed. */
  readonly sees: (site: string) => boolean;
}

export interface LedgerParts {
  readonly federation: Federation;
  readonly cosignatures: Pick<Cosignatures, 'list'>;
  readonly calls: Calls;
  /** Readings at the same time, of all services together. */
  readonly readings: Concurrency;
  /** What the caller behind a peer may read; throws where it may read nothing. Asked again for every entry. */
  readonly reader: (context: CallContext) => LedgerReader;
}

/** Agents and replicas read the entries that concern them; of the others they get the hash. */
export function agentLedger(callers: Callers, federation: Federation): LedgerParts['reader'] {
  return (context) => {
    const caller = callers.agent(context);
    return {
      reads: ({ entry }) => mayAgentRead(federation.state, caller, entry),
      sees: (site) => site === caller.site,
    };
  };
}

/** Contexts read everything: entries hold no secrets. */
export function operatorLedger(callers: Callers): LedgerParts['reader'] {
  return (context) => {
    callers.operator(context);
    return { reads: () => true, sees: () => true };
  };
}

/** The ledger as one port serves it: redaction follows from who calls. */
export function ledgerService({
  federation,
  cosignatures,
  calls,
  readings,
  reader,
}: LedgerParts): LedgerHandlers {
  return {
    GetEntries: calls.serverStream(
      'GetEntries',
      async (request, sink, context) => {
        reader(context);
        const { start, end } = fromGetEntries(request, federation.size());
        for await (const item of federation.entries(start, end))
          await sink.write(toRecord(item, reader(context).reads(item)));
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
    GetCosignatures: calls.serverStream(
      'GetCosignatures',
      async (_request, sink, context) => {
        const { sees } = reader(context);
        for (const signed of cosignatures.list(federation.size())) {
          if (sees(signed.site)) await sink.write(toCosignatureRecord(signed));
        }
      },
      { places: readings },
    ),
  };
}

/** The bytes, or where the caller may not read them the hash that stands for them in the tree. */
function toRecord({ entry, bytes }: LedgerItem, readable: boolean): LedgerRecord {
  const seq = String(entry.seq);
  return readable
    ? { seq, entry: bytes, redacted: false }
    : { seq, redacted: true, leafHash: leafHash(bytes) };
}
