import {
  decodeBase64,
  x25519PublicKey,
  type Mask,
  type OpenRoundRoster,
  type StagePayload,
} from '@tributary/proto';
import { opposite, pairMask, selfMask } from '@tributary/proto/internal/secagg/mask-keys.js';
import { combineShares, seedHash, type ShareKind } from '@tributary/proto/internal/secagg/shamir.js';

import type { PlayedRound } from './cheating-coordinator.js';
import type { MaskedUpdate } from './honest-site.js';
import { addMasks } from './masked-words.js';

/** Everything that a coordinator got out of a round, and what it makes of it: it breaks every rule that it can. */
export class Loot {
  readonly #round: PlayedRound;
  readonly #roster: OpenRoundRoster;
  readonly #shares = new Map<string, Map<string, Uint8Array>>();

  constructor(round: PlayedRound, roster: OpenRoundRoster) {
    this.#round = round;
    this.#roster = roster;
    for (const { stage, payload } of round.said) {
      if (stage !== 'unmask') continue;
      const answer = JSON.parse(new TextDecoder().decode(payload)) as StagePayload<'unmask'>;
      for (const { owner, share } of answer.seeds) this.take(owner, 'seed', decodeBase64(share, 'share'));
      for (const { owner, share } of answer.keys) this.take(owner, 'key', decodeBase64(share, 'share'));
    }
  }

  take(owner: string, kind: ShareKind, share: Uint8Array): void {
    const name = `${kind} of ${owner}`;
    const known = this.#shares.get(name) ?? new Map<string, Uint8Array>();
    this.#shares.set(name, known.set(Buffer.from(share).toString('hex'), share));
  }

  /** Agents whose seed, or mask key, it can put together. */
  async secrets(kind: ShareKind): Promise<ReadonlyMap<string, Uint8Array>> {
    const found = new Map<string, Uint8Array>();
    for (const { agentId } of this.#roster.roster.members) {
      const secret = await this.#secret(agentId, kind);
      if (secret !== undefined) found.set(agentId, secret);
    }
    return found;
  }

  /** Agents whose own update it reads: that comes out word for word. */
  async readable(): Promise<readonly string[]> {
    const [seeds, keys] = [await this.secrets('seed'), await this.secrets('key')];
    return this.#round.updates
      .filter((update) => {
        const masks = this.#masksOf(update, seeds, keys);
        if (masks === undefined) return false;
        const words = update.words.slice();
        addMasks(words, 0, masks.map(opposite));
        return words.every((word, index) => word === update.plain[index]);
      })
      .map(({ agentId }) => agentId);
  }

  /** The sum of these updates without the masks that an honest coordinator takes away: nobody's alone. */
  async sumOf(updates: readonly MaskedUpdate[]): Promise<Uint32Array> {
    const [seeds, keys] = [await this.secrets('seed'), await this.secrets('key')];
    const sum = new Uint32Array(updates[0]?.words.length ?? 0);
    const inside = new Set(updates.map(({ agentId }) => agentId));
    for (const { agentId, binding, peers, words } of updates) {
      words.forEach((word, index) => (sum[index] = (sum[index] ?? 0) + word));
      const seed = seeds.get(agentId);
      const masks = seed === undefined ? [] : [opposite(selfMask(binding, agentId, seed))];
      const own = this.#roster.member(agentId);
      for (const name of peers) {
        const key = keys.get(name);
        if (inside.has(name) || key === undefined) continue;
        masks.push(pairMask(binding, this.#roster.member(name), key, own));
      }
      addMasks(sum, 0, masks);
    }
    return sum;
  }

  /** All masks of one update, where it can make them all. */
  #masksOf(
    { agentId, binding, peers }: MaskedUpdate,
    seeds: ReadonlyMap<string, Uint8Array>,
    keys: ReadonlyMap<string, Uint8Array>,
  ): readonly Mask[] | undefined {
    const seed = seeds.get(agentId);
    if (seed === undefined) return undefined;
    const masks = [selfMask(binding, agentId, seed)];
    const own = this.#roster.member(agentId);
    for (const name of peers) {
      const peer = this.#roster.member(name);
      const [mine, theirs] = [keys.get(agentId), keys.get(name)];
      if (mine !== undefined) masks.push(pairMask(binding, own, mine, peer));
      else if (theirs !== undefined) masks.push(opposite(pairMask(binding, peer, theirs, own)));
      else return undefined;
    }
    return masks;
  }

  /** Shares of several dealings may be among them: every choice of t is tried. */
  async #secret(owner: string, kind: ShareKind): Promise<Uint8Array | undefined> {
    const shares = [...(this.#shares.get(`${kind} of ${owner}`)?.values() ?? [])];
    for (const chosen of choices(shares, this.#roster.roster.plan.threshold)) {
      const secret = await combineShares(chosen);
      if (secret !== undefined && this.#isOf(owner, kind, secret)) return secret;
    }
    return undefined;
  }

  #isOf(owner: string, kind: ShareKind, secret: Uint8Array): boolean {
    if (kind === 'key')
      return Buffer.compare(x25519PublicKey(secret), this.#roster.member(owner).maskKey) === 0;
    return this.#round.said.some(({ agentId, stage, payload }) => {
      if (agentId !== owner || stage !== 'share') return false;
      const committed = JSON.parse(new TextDecoder().decode(payload)) as StagePayload<'share'>;
      return Buffer.compare(decodeBase64(committed.seedHash, 'seedHash'), seedHash(secret)) === 0;
    });
  }
}

function choices<T>(items: readonly T[], count: number): readonly (readonly T[])[] {
  if (count === 0) return [[]];
  return items.flatMap((item, index) =>
    choices(items.slice(index + 1), count - 1).map((rest) => [item, ...rest]),
  );
}
