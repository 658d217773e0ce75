import type { LedgerEntry } from '@tributary/proto';

/** What an agent held for a round, as it was written down before it was sent. */
export interface Contribution {
  readonly agentId: string;
  readonly jobId: string;
  readonly round: number;
  readonly attempt: number;
  readonly baseDigest: string;
  readonly uploadId: string;
  /** Upload whose name the delta's file bears. */
  readonly delta: string;
  readonly encoding?: 'ring';
  readonly clipNorm: number;
  readonly weightCap: number;
  readonly norm: number;
  readonly trainExamples: number;
}

/** An update that the coordinator told an agent was accepted, and where. */
export interface Receipt {
  readonly uploadId: string;
  readonly seq: number;
}

/** Everything that a case left behind. */
export interface Facts {
  readonly entries: readonly LedgerEntry[];
  /** Root of the tree over them, as the coordinator signed it. */
  readonly rootHash: Uint8Array;
  /** Ids of the jobs that had to complete. */
  readonly jobs: readonly string[];
  readonly contributions: readonly Contribution[];
  readonly receipts: readonly Receipt[];
  /** Unscaled deltas by the upload that they were first held for. */
  readonly deltas: ReadonlyMap<string, Float32Array>;
  /** Weights by digest: those of the start of each job, and whatever the coordinator still keeps. */
  readonly models: ReadonlyMap<string, Float32Array>;
  /** Processes that ended by themselves, and lines of logs that no fault explains. */
  readonly complaints: readonly string[];
}

/** One breach of the contract. */
export interface Breach {
  /** `missed`: the fault did not happen. */
  readonly kind: 'lost' | 'doubled' | 'model' | 'ledger' | 'unfinished' | 'process' | 'missed';
  readonly detail: string;
}

export const breach = (kind: Breach['kind'], detail: string): Breach => ({ kind, detail });

type Round = { readonly jobId: string; readonly round: number; readonly attempt: number };

/** Names one attempt at one round. */
export const attemptOf = ({ jobId, round, attempt }: Round): string =>
  `${jobId} round ${String(round)} attempt ${String(attempt)}`;
