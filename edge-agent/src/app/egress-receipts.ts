import { encodeBase64, transcript, type Digest, type JsonObject, type SigningKey } from '@tributary/proto';
import { z } from 'zod';

import type { DecisionHead, EgressNote } from '../domain/decision.js';
import { sumOf, type JobEgress } from '../domain/egress.js';
import type { StateStore } from '../ports.js';
import type { EgressCounter } from './egress-counter.js';
import { decodeRecord, encodeRecord } from './records.js';

const RECEIPTS = 'receipt/';

const bytesSchema = z.strictObject({
  update: z.string(),
  control: z.string(),
  transport: z.string(),
  total: z.string(),
});

const receiptSchema = z.strictObject({
  formatVersion: z.literal(1),
  site: z.string(),
  agentId: z.string(),
  logId: z.string(),
  jobId: z.string(),
  job: z.string(),
  jobDigest: z.string(),
  /** False: the job goes on. */
  complete: z.boolean(),
  /** Updates that began to leave, each attempt to send one counted. */
  updates: z.int().nonnegative(),
  /** As the wire had them; decimal numbers. */
  bytes: bytesSchema,
  /** RFC 3339: when the first and the last of them left. */
  first: z.string(),
  last: z.string(),
  /** Everything that has left since the join, at the end of the job. */
  meter: z.string(),
  /** Of the site's own log, before the line that holds the receipt. */
  log: z.strictObject({ count: z.int(), digest: z.string() }),
});

/** What left the site for one job. */
export type EgressReceipt = z.output<typeof receiptSchema>;

const signedSchema = z.strictObject({
  receipt: receiptSchema,
  /** Base64 of the identity key, and of its signature over the `egress-receipt` transcript. */
  key: z.string(),
  signature: z.string(),
});

export type SignedReceipt = z.output<typeof signedSchema>;

/** The bytes that a receipt's signature covers. */
export const receiptTranscript = (receipt: EgressReceipt): Uint8Array =>
  transcript('egress-receipt', { receipt: receipt satisfies JsonObject });

export interface EgressReceiptsParts {
  readonly store: StateStore;
  readonly egress: EgressCounter;
  readonly identity: SigningKey;
  readonly place: { readonly site: string; readonly agentId: string; readonly logId: string };
  readonly head: () => DecisionHead;
  readonly noted: (note: Omit<EgressNote, 'time'>) => Promise<void>;
}

/** Which job a receipt is about. */
export interface ReceiptJob {
  readonly jobId: string;
  readonly job: string;
  readonly jobDigest: Digest;
}

/** Signed statements of what left the site for a job. */
export class EgressReceipts {
  readonly #parts: EgressReceiptsParts;

  constructor(parts: EgressReceiptsParts) {
    this.#parts = parts;
  }

  /**
   * The job has ended: its receipt is signed and kept, once only, and written to the log. Repeated where it was not done:
   * a line that nobody was told of may then stand there twice.
   */
  async settle(job: ReceiptJob): Promise<void> {
    const { egress, store, noted } = this.#parts;
    const counted = egress.jobs().get(job.jobId);
    if (counted === undefined) return;
    const key = RECEIPTS + job.jobId;
    const kept = await store.get(key);
    const signed =
      kept === undefined ? this.#sign(job, counted, true) : decodeRecord(key, kept, signedSchema);
    if (kept === undefined) await store.put({ [key]: encodeRecord({ ...signed }) });
    const { receipt, signature } = signed;
    await noted({ type: 'Egress', jobId: job.jobId, job: job.job, receipt, signature });
    egress.end(job.jobId);
    await egress.flush();
  }

  /** The receipt of a job: the final one, or what has left so far; undefined where nothing is known of it. */
  async of(job: ReceiptJob): Promise<SignedReceipt | undefined> {
    const key = RECEIPTS + job.jobId;
    const kept = await this.#parts.store.get(key);
    if (kept !== undefined) return decodeRecord(key, kept, signedSchema);
    const counted = this.#parts.egress.jobs().get(job.jobId);
    return counted === undefined ? undefined : this.#sign(job, counted, false);
  }

  #sign(job: ReceiptJob, counted: JobEgress, complete: boolean): SignedReceipt {
    const { identity, place, egress, head } = this.#parts;
    const { count, digest } = head();
    const receipt: EgressReceipt = {
      formatVersion: 1,
      ...place,
      ...job,
      complete,
      updates: counted.updates,
      bytes: {
        update: String(counted.update),
        control: String(counted.control),
        transport: String(counted.transport),
        total: String(sumOf(counted)),
      },
      first: new Date(counted.firstAt).toISOString(),
      last: new Date(counted.lastAt).toISOString(),
      meter: String(sumOf(egress.egress)),
      log: { count, digest },
    };
    const signature = encodeBase64(identity.sign(receiptTranscript(receipt)));
    return { receipt, key: encodeBase64(identity.publicKey), signature };
  }
}
