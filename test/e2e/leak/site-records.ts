import { readFile } from 'node:fs/promises';
import { join } from 'node:path';

import {
  bytesToFloat32,
  openBytes,
  openCohort,
  openRoundRoster,
  ownMasks,
  ringScale,
  tailLength,
  type Mask,
  type OpenRoundRoster,
  type RoundRoster,
} from '@tributary/proto';
import { bytesToWords } from '@tributary/proto/internal/secagg/ring-words.js';
import { MemoryOutbox } from '@tributary/edge-agent/internal/adapters/files/memory-outbox.js';
import { OutboxDirectory } from '@tributary/edge-agent/internal/adapters/files/outbox-directory.js';
import { loadSealingKey } from '@tributary/edge-agent/internal/adapters/files/sealing-key.js';
import { MemoryStateStore } from '@tributary/edge-agent/internal/adapters/store/memory-state-store.js';
import { systemRandom } from '@tributary/edge-agent/internal/adapters/system/random.js';
import { encodedVector } from '@tributary/edge-agent/internal/app/encoded-vector.js';
import { Outbox, OUTBOX_ITEMS, shapeOf, type OutboxItem } from '@tributary/edge-agent/internal/app/outbox.js';
import { SecureRecords } from '@tributary/edge-agent/internal/app/secure/secure-records.js';
import type { Masking } from '@tributary/edge-agent/internal/app/secure/secure-rounds.js';
import type { RoundKey } from '@tributary/edge-agent/internal/domain/round-key.js';

import type { LocalFederation } from '../../support/federation.js';
import { KeptFiles } from '../../support/kept-files.js';
import { loggedPuts } from '../../support/level-log.js';

/** An update as its site knows it, and nobody else may. */
export interface TrueUpdate {
  readonly site: string;
  readonly key: RoundKey;
  readonly item: OutboxItem;
  /** As trained. */
  readonly delta: Float32Array;
  /** Weighted and clipped, with its tail: loss, metrics and counts. */
  readonly vector: Float32Array;
  /** Of a secure round: rounded, without a mask, with one kind of masks, and with all, as it left. */
  readonly words?: Readonly<Record<'bare' | 'selfMasked' | 'pairMasked' | 'sent', Uint32Array>>;
}

/**
 * What a site writes down for itself, kept while its agent deletes it: the database's own log, and the deltas of its outbox.
 * Both are opened with the site's own sealing key.
 */
export class SiteRecords {
  readonly #site: string;
  readonly #data: string;
  readonly #kept: KeptFiles;

  private constructor(site: string, data: string, kept: KeptFiles) {
    this.#site = site;
    this.#data = data;
    this.#kept = kept;
  }

  static async start(federation: LocalFederation, site: string): Promise<SiteRecords> {
    const data = join(federation.siteFolder(site), 'data');
    const folders = [join(data, 'state'), join(data, 'outbox')];
    return new SiteRecords(
      site,
      data,
      await KeptFiles.start(folders, join(federation.folder, `kept-of-${site}`)),
    );
  }

  stop(): Promise<void> {
    return this.#kept.stop();
  }

  /** Every update that the site has trained, and measured. */
  async updates(): Promise<readonly TrueUpdate[]> {
    await this.#kept.now();
    const key = await loadSealingKey(join(this.#data, 'seal.key'), false);
    const store = await this.#everythingPut(key);
    const updates: TrueUpdate[] = [];
    for (const prefix of OUTBOX_ITEMS)
      for await (const { key: name } of store.list(prefix)) {
        const round = name.slice(prefix.length) as RoundKey;
        const item = await new Outbox(store, new MemoryOutbox(), systemRandom, '').item(round);
        updates.push(await this.#update(round, item, store, key));
      }
    return updates;
  }

  async #update(
    key: RoundKey,
    item: OutboxItem,
    store: MemoryStateStore,
    seal: Uint8Array,
  ): Promise<TrueUpdate> {
    const file = this.#kept.files.find(({ name }) => name === `${item.delta}.delta`);
    if (file === undefined) throw new Error(`the delta of ${key} at ${this.#site} was not kept`);
    const pieces = [];
    for await (const piece of OutboxDirectory.view(file.folder, seal).readSealed(file.name))
      pieces.push(piece.slice());
    const delta = bytesToFloat32(Buffer.concat(pieces)).slice();
    const vector = bytesToFloat32(await encoded(item, delta)).slice();
    const update = { site: this.#site, key, item, delta, vector };
    return item.encoding === 'ring' ? { ...update, words: await wordsOf(update, store) } : update;
  }

  /** The newest value of every key, those deleted since among them. */
  async #everythingPut(key: Uint8Array): Promise<MemoryStateStore> {
    const store = new MemoryStateStore();
    const logs = this.#kept.files.filter(({ name }) => name.endsWith('.log'));
    const inOrder = [...logs].sort((a, b) => Number.parseInt(a.name, 10) - Number.parseInt(b.name, 10));
    for (const { folder, name } of inOrder)
      for (const put of loggedPuts(await readFile(join(folder, name))))
        await store.put({ [put.key]: openBytes({ key, name: `state/${put.key}` }, put.value) });
    return store;
  }
}

async function wordsOf(
  { key, item, delta }: Pick<TrueUpdate, 'key' | 'item' | 'delta'>,
  store: MemoryStateStore,
): Promise<NonNullable<TrueUpdate['words']>> {
  const records = new SecureRecords(store);
  const [secrets, rosterSet, cohortSet] = [
    await records.secrets(key),
    await records.set(key, 'roster'),
    await records.set(key, 'cohort'),
  ];
  if (secrets === undefined || rosterSet === undefined || cohortSet === undefined)
    throw new Error(`the secrets of ${key} were not kept`);
  const { roster, open } = rosterOf(rosterSet);
  const cohort = openCohort(cohortSet, open);
  const masks = ownMasks(cohort.binding, item.agentId, secrets, cohort.peersOf(item.agentId));
  const encode = async (of: readonly Mask[]): Promise<Uint32Array> => {
    const masking = {
      scale: ringScale(roster.plan.agents, item.clipNorm),
      rounding: { seed: secrets.roundingSeed },
      masks: of,
      tail: tailLength(shapeOf(item)),
    };
    const bytes = await encoded(item, delta, masking);
    return bytesToWords(bytes, new Uint32Array(bytes.length / Uint32Array.BYTES_PER_ELEMENT));
  };
  return {
    bare: await encode([]),
    selfMasked: await encode(masks.slice(0, 1)),
    pairMasked: await encode(masks.slice(1)),
    sent: await encode(masks),
  };
}

/** The site has verified it: it expects what it says. */
function rosterOf(bytes: Uint8Array): { readonly roster: RoundRoster; readonly open: OpenRoundRoster } {
  const roster = JSON.parse(new TextDecoder().decode(bytes)) as RoundRoster;
  const { wire, logId, jobId, round, attempt, baseDigest, plan } = roster;
  const expected = { round: { wire, logId, jobId, round, attempt }, baseDigest, plan, isMember: () => true };
  return { roster, open: openRoundRoster(bytes, expected) };
}

async function encoded(item: OutboxItem, delta: Float32Array, masking?: Masking): Promise<Buffer> {
  // The pieces of a delta change while they are encoded.
  const pieces = (async function* () {
    yield await Promise.resolve(delta.slice());
  })();
  const parts: Uint8Array[] = [];
  for await (const part of encodedVector(item, pieces, masking)) parts.push(Buffer.from(part));
  return Buffer.concat(parts);
}
