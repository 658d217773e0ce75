import {
  canonicalize,
  decodeBase64,
  digestOf,
  encodeBase64,
  isJsonObject,
  LIMITS,
  parseCanonical,
  requireFormat,
  TributaryError,
  type Digest,
} from '@tributary/proto';
import { z } from 'zod';

import type { KeyVault } from '../ports.js';
import { roundName, type RoundRef } from './round-ref.js';

/** One member's message in a stage, as it was signed. */
export interface StageStatement {
  readonly agentId: string;
  /** Canonical JSON; the ledger names its digest. */
  readonly payload: Uint8Array;
  /** Ed25519 by the identity key over the `stage` transcript: 64 bytes. */
  readonly signature: Uint8Array;
  /** For one member each, by agent id; the payload names their digests. */
  readonly attachments: ReadonlyMap<string, Uint8Array>;
}

const FORMAT = 1;
const MOST_BYTES = 2 * (LIMITS.stagePayloadBytes + LIMITS.stageAttachments * LIMITS.stageAttachmentBytes);

const storedSchema = z.strictObject({
  formatVersion: z.literal(FORMAT),
  agentId: z.string(),
  payload: z.string(),
  signature: z.string(),
  attachments: z.record(z.string(), z.string()),
});

/**
 * What members said in the stages of open rounds, sealed on disk: an answer to `unmask` tells, with those of others, what
 * an update was masked with. Durable before the ledger names it, deleted when the round is settled.
 */
export class StageVault {
  readonly #vault: KeyVault;
  /** What was read or written: every member of a stage asks for all of it. */
  readonly #known = new Map<string, StageStatement>();

  constructor(vault: KeyVault) {
    this.#vault = vault;
  }

  /** Replaces what the ledger does not name. */
  async put(ref: RoundRef, stage: string, site: string, statement: StageStatement): Promise<void> {
    const { agentId, payload, signature, attachments } = statement;
    const stored = canonicalize({
      formatVersion: FORMAT,
      agentId,
      payload: encodeBase64(payload),
      signature: encodeBase64(signature),
      attachments: Object.fromEntries([...attachments].map(([to, data]) => [to, encodeBase64(data)])),
    });
    const name = nameOf(ref, stage, site);
    await this.#vault.put(name, stored);
    this.#known.set(name, statement);
  }

  /** The statement that the ledger names by `digest`. Rejects with STORE_CORRUPT where it is not there. */
  async get(ref: RoundRef, stage: string, site: string, digest: Digest): Promise<StageStatement> {
    const name = nameOf(ref, stage, site);
    const statement = this.#known.get(name) ?? decode(await this.#vault.get(name));
    if (statement !== undefined && digestOf(statement.payload) === digest) {
      this.#known.set(name, statement);
      return statement;
    }
    throw new TributaryError('STORE_CORRUPT', `the message of ${site} in stage ${stage} was lost`);
  }

  /** Forgets a round. */
  async discard(ref: RoundRef): Promise<void> {
    const prefix = prefixOf(roundName(ref));
    await this.#deleteWhere((name) => name.startsWith(prefix));
  }

  /** At start: forgets all rounds but `open` (names of rounds). */
  async retain(open: ReadonlySet<string>): Promise<void> {
    const kept = [...open].map(prefixOf);
    await this.#deleteWhere((name) => !kept.some((prefix) => name.startsWith(prefix)));
  }

  async #deleteWhere(isGone: (name: string) => boolean): Promise<void> {
    for (const name of await this.#vault.list()) {
      if (!name.startsWith(PREFIX) || !isGone(name)) continue;
      this.#known.delete(name);
      await this.#vault.delete(name);
    }
  }
}

const PREFIX = 'stage.';
const prefixOf = (round: string): string => `${PREFIX}${round}.`;
const nameOf = (ref: RoundRef, stage: string, site: string): string =>
  `${prefixOf(roundName(ref))}${stage}.${site}`;

function decode(bytes: Uint8Array | undefined): StageStatement | undefined {
  if (bytes === undefined) return undefined;
  const value = parseCanonical(bytes, MOST_BYTES);
  if (isJsonObject(value)) requireFormat(value['formatVersion'], 'the message of a stage', FORMAT);
  const parsed = storedSchema.safeParse(value);
  if (!parsed.success) return undefined;
  const { agentId, payload, signature, attachments } = parsed.data;
  return {
    agentId,
    payload: decodeBase64(payload, 'payload'),
    signature: decodeBase64(signature, 'signature', 64),
    attachments: new Map(
      Object.entries(attachments).map(([to, data]) => [to, decodeBase64(data, 'attachments')]),
    ),
  };
}
