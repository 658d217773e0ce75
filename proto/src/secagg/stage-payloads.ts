import { z } from 'zod';

import { isName } from '../ids.js';
import { LIMITS } from '../limits.js';
import { base64Schema, digestSchema } from '../text-schemas.js';
import type { SpokenStage } from './secure-round.js';
import { SHARE_BYTES } from './shamir.js';

/** Newest version of the payloads of stages, rosters, cohorts and survivor sets. */
export const SECAGG_VERSION = 1;

export const agentIdSchema = z.string().regex(/^agt-[0-9a-f]{32}$/, 'not an agent id');
export const siteSchema = z.string().refine(isName, 'not a name');
export const version = z.literal(SECAGG_VERSION);
const holders = LIMITS.neighbours + 1;

/** The newest tree head that an agent holds: peers demand that theirs is consistent with it. */
const treeHead = z.strictObject({
  treeSize: z.int().nonnegative(),
  /** 64 hex digits. */
  rootHash: z.string().regex(/^[0-9a-f]{64}$/),
  time: z.string().regex(/^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}\.\d{3}Z$/),
  signature: base64Schema(64),
});

const dealtShare = z.strictObject({ owner: agentIdSchema, share: base64Schema(SHARE_BYTES) });

/** What each stage says, in the order of the stages; in `mask` there is an upload instead. Byte fields are standard base64. */
export const STAGE_PAYLOADS = {
  /** Fresh keys of an agent. */
  advertise: z.strictObject({
    formatVersion: version,
    baseDigest: digestSchema,
    /** X25519: of the pair masks. */
    maskKey: base64Schema(32),
    /** X25519: of sealed shares. */
    sealKey: base64Schema(32),
    treeHead,
  }),
  /** Commitments of a dealer. The entries themselves travel beside it, each to its holder alone. */
  share: z.strictObject({
    formatVersion: version,
    rosterDigest: digestSchema,
    /** `seedHash` of the self-mask seed. */
    seedHash: base64Schema(32),
    /** SHA-256 of the entry of each holder, in the order of `holdersOf`. */
    entries: z.array(base64Schema(32)).min(2).max(holders),
  }),
  /** One for each cohort: whoever signs two survivor sets helps to unmask a single site. */
  agree: z.strictObject({
    formatVersion: version,
    cohortDigest: digestSchema,
    survivorsDigest: digestSchema,
    /** Dealers whose shares the signer cannot use, ascending; absent where there are none. */
    refused: z.array(agentIdSchema).min(1).max(holders).optional(),
  }),
  /** Seed shares of survivors, key shares of those who dropped out after sharing; owners ascending. */
  unmask: z.strictObject({
    formatVersion: version,
    survivorsDigest: digestSchema,
    seeds: z.array(dealtShare).max(holders),
    keys: z.array(dealtShare).max(holders),
  }),
} as const satisfies Record<SpokenStage, z.ZodType>;

export type StagePayload<S extends SpokenStage> = z.infer<(typeof STAGE_PAYLOADS)[S]>;
