import assert from 'node:assert/strict';

import {
  dealBundle,
  decodeBase64,
  encodeBase64,
  openRoundRoster,
  sha256,
  SECURE_WIRE_VERSION,
  signStage,
  type OpenRoundRoster,
  type SecureRound,
  type StagePayload,
} from '@tributary/proto';
import { encodeRecord } from '@tributary/edge-agent/internal/app/records.js';
import { roundKey, type RoundKey } from '@tributary/edge-agent/internal/domain/round-key.js';
import type { StageMessage } from '@tributary/edge-agent/internal/stage-ports.js';

import type { SecureSite } from './secure-site.js';
import type { SecureWorld } from './secure-world.js';

type Stage = 'share' | 'agree' | 'unmask';

/** Another payload and other attachments, which the site signs. */
type Forged<S extends Stage> = Pick<StageMessage, 'attachments'> & { readonly payload: StagePayload<S> };

/** Deals to the first `count` of its holders what nobody can open. */
export function dealsUnopenable(secure: SecureWorld, site: SecureSite, count: number): void {
  forges(secure, site, 'share', ({ payload, attachments }, roster) => {
    const holders = roster.graph.holdersOf(site.agent.agentId);
    const bad = holders.filter((holder) => holder !== site.agent.agentId).slice(0, count);
    const entries = holders.map((holder) => {
      const entry = attachments.get(holder) ?? assert.fail();
      return bad.includes(holder) ? entry.map((byte) => byte ^ 1) : entry;
    });
    return Promise.resolve(dealt(payload, holders, entries));
  });
}

/** Deals to the first `count` of its holders shares of other secrets than to the rest. */
export function dealsUncombinable(secure: SecureWorld, site: SecureSite, count: number): void {
  forges(secure, site, 'share', async ({ payload, attachments }, roster, { jobId, round, attempt }) => {
    const { agentId, identity } = site.agent;
    const secrets = (await site.records.secrets(roundKey({ jobId, round, attempt }))) ?? assert.fail();
    const other = { ...secrets, seed: new Uint8Array(32).fill(1), maskSecret: new Uint8Array(32).fill(2) };
    const { entries: others } = await dealBundle(roster, agentId, other, identity);
    const holders = roster.graph.holdersOf(agentId);
    const entries = holders.map((holder, index) =>
      index < count ? (others[index] ?? assert.fail()) : (attachments.get(holder) ?? assert.fail()),
    );
    return dealt(payload, holders, entries);
  });
}

/** Says of all others that their shares do not open. */
export function slanders(secure: SecureWorld, site: SecureSite): void {
  forges(secure, site, 'agree', ({ payload }, roster) => {
    const refused = roster.graph.neighboursOf(site.agent.agentId);
    return Promise.resolve({ payload: { ...payload, refused: [...refused] }, attachments: new Map() });
  });
}

/** Gives other shares than it holds. */
export function altersShares(secure: SecureWorld, site: SecureSite): void {
  const altered = <T extends { readonly share: string }>(given: T): T => ({
    ...given,
    share: encodeBase64(decodeBase64(given.share, 'share').map((byte) => byte ^ 1)),
  });
  forges(secure, site, 'unmask', ({ payload: { seeds, keys, ...rest } }) =>
    Promise.resolve({
      payload: { ...rest, seeds: seeds.map(altered), keys: keys.map(altered) },
      attachments: new Map(),
    }),
  );
}

/** Answers the last stage with nothing. */
export function unmasksNothing(secure: SecureWorld, site: SecureSite): void {
  forges(secure, site, 'unmask', ({ payload }) =>
    Promise.resolve({ payload: { ...payload, seeds: [], keys: [] }, attachments: new Map() }),
  );
}

function dealt(
  payload: StagePayload<'share'>,
  holders: readonly string[],
  entries: readonly Uint8Array[],
): Forged<'share'> {
  return {
    payload: { ...payload, entries: entries.map((entry) => encodeBase64(sha256(entry))) },
    attachments: new Map(holders.map((holder, index) => [holder, entries[index] ?? assert.fail()])),
  };
}

/** The site says in a stage what `forge` makes of its honest message, in every attempt, under a signature of its own. */
function forges<S extends Stage>(
  secure: SecureWorld,
  site: SecureSite,
  stage: S,
  forge: (honest: Forged<S>, roster: OpenRoundRoster, message: StageMessage) => Promise<Forged<S>>,
): void {
  const said = new Map<string, StageMessage>();
  site.bend = async (message) => {
    if (message.stage !== stage) return message;
    const key = roundKey(message);
    const known = said.get(key);
    if (known !== undefined) return known;
    const { jobId, round, attempt } = message;
    const { logId } = secure.world.federation;
    const bound = { wire: SECURE_WIRE_VERSION, logId, jobId, round, attempt };
    const set = (await site.records.set(key, 'roster')) ?? assert.fail();
    const payload = JSON.parse(Buffer.from(message.payload).toString()) as StagePayload<S>;
    const forged = await forge({ ...message, payload }, openAs(set, bound), message);
    const signed = signStage(bound, stage, site.agent.agentId, forged.payload, site.agent.identity);
    const bent = { ...message, ...signed, attachments: forged.attachments };
    said.set(key, bent);
    await remember(site, key, bent);
    return bent;
  };
}

/** It believes that it said so: else it would find itself misquoted, and leave. */
async function remember(site: SecureSite, key: RoundKey, message: StageMessage): Promise<void> {
  const { stage, payload, signature, attachments } = message;
  const honest = await site.records.answered(key, stage as Stage);
  const record = encodeRecord({
    request: honest?.request ?? assert.fail(),
    payload: encodeBase64(payload),
    signature: encodeBase64(signature),
    attachments: Object.fromEntries([...attachments].map(([to, data]) => [to, encodeBase64(data)])),
  });
  await site.store.put({ [`secure/${key}/${stage}`]: record });
}

function openAs(set: Uint8Array, round: SecureRound): OpenRoundRoster {
  const { baseDigest, plan } = JSON.parse(Buffer.from(set).toString()) as OpenRoundRoster['roster'];
  return openRoundRoster(set, { round, baseDigest, plan, isMember: () => true });
}
