import {
  openCohort,
  openRoundRoster,
  RingEncoder,
  sha256,
  type MaskBinding,
  type Roster,
  type RoundRosterExpectation,
  type SigningKey,
} from '@tributary/proto';
import { bytesToWords } from '@tributary/proto/internal/secagg/ring-words.js';
import { SecureRecords } from '@tributary/edge-agent/internal/app/secure/secure-records.js';
import type { SecureTask } from '@tributary/edge-agent/internal/app/secure/round-sets.js';
import { SecureRounds } from '@tributary/edge-agent/internal/app/secure/secure-rounds.js';
import type { Witness } from '@tributary/edge-agent/internal/app/witness.js';
import { MemoryStateStore } from '@tributary/edge-agent/internal/adapters/store/memory-state-store.js';
import { verifyOrder } from '@tributary/edge-agent/internal/domain/order.js';
import { roundKey, type RoundRef } from '@tributary/edge-agent/internal/domain/round-key.js';
import type { RawOrder } from '@tributary/edge-agent/internal/coordinator-messages.js';
import type { FleetClient } from '@tributary/edge-agent/internal/ports.js';

import { openWitness } from './open-witness.js';
import { keyOf, memberOf } from './roster.js';
import type { ScriptedLog } from './scripted-log.js';
import { SeededRandom } from './seeded-random.js';

/** A masked update as it left a site, and what nobody else may ever see. */
export interface MaskedUpdate {
  readonly agentId: string;
  readonly binding: MaskBinding;
  /** Those with whom it is masked. */
  readonly peers: readonly string[];
  readonly words: Uint32Array;
  readonly plain: Uint32Array;
}

export interface HonestSiteOptions {
  /** Sites that the federation root vouches for; nobody is asked for a root where absent. */
  readonly roster?: Roster;
  /** Draws another set of secrets: that of a twin. */
  readonly seed?: number;
  readonly store?: MemoryStateStore;
}

/** The secure rounds of a real agent over memory, without a connection and without rows. */
export class HonestSite {
  readonly site: string;
  readonly agentId: string;
  readonly identity: SigningKey;
  readonly store: MemoryStateStore;
  readonly #log: ScriptedLog;
  readonly #witness: Witness;
  readonly #records: SecureRecords;
  readonly #secure: SecureRounds;
  readonly #roster: Roster | undefined;
  #task: SecureTask | undefined;

  private constructor(
    site: string,
    log: ScriptedLog,
    witness: Witness,
    { roster, seed = 0, store = new MemoryStateStore() }: HonestSiteOptions,
  ) {
    this.site = site;
    this.agentId = memberOf(site).agentId;
    this.identity = keyOf(`agent of ${site}`);
    this.store = store;
    this.#log = log;
    this.#witness = witness;
    this.#roster = roster;
    this.#records = new SecureRecords(store);
    const random = new SeededRandom(Buffer.from(sha256(Buffer.from(site))).readUInt32BE() + seed);
    this.#secure = new SecureRounds({
      records: this.#records,
      agentId: this.agentId,
      logId: log.logId,
      identity: this.identity,
      witness,
      random: { bytes: (length) => new Uint8Array(random.bytes(length)) },
      clock: { now: () => 0 },
      log: { info: () => undefined, warn: () => undefined },
    });
  }

  static async open(site: string, log: ScriptedLog, options: HonestSiteOptions = {}): Promise<HonestSite> {
    const store = options.store ?? new MemoryStateStore();
    const witness = await openWitness(store, { logId: log.logId, logKey: log.key.publicKey });
    return new HonestSite(site, log, witness, { ...options, store });
  }

  /** The same agent on a copy of its state: a restored backup, or a twin. */
  async copy(seed = 0): Promise<HonestSite> {
    const store = new MemoryStateStore();
    for await (const { key, value } of this.store.list('')) await store.put({ [key]: value });
    return HonestSite.open(this.site, this.#log, {
      store,
      seed,
      ...(this.#roster && { roster: this.#roster }),
    });
  }

  /** Takes an order as the agent does; resolves with whether it may mask. */
  async follow(client: FleetClient, order: RawOrder): Promise<boolean> {
    await this.#witness.observe(order.treeHead, (first, second) => client.consistencyProof(first, second));
    const { agentId, site } = this;
    const round = verifyOrder(
      { agentId, site, logId: this.#log.logId, logKey: this.#log.key.publicKey },
      order,
    );
    if (round.kind !== 'Opened') throw new Error('an order that opens a round');
    const trusted = this.#roster === undefined ? {} : { roster: this.#roster };
    this.#task = { round, minimum: 3, ...trusted };
    return this.#secure.follow(client, this.#task);
  }

  /** Takes an order that settles a round. */
  settle(ref: RoundRef): Promise<void> {
    return this.#secure.settled(ref);
  }

  /** Its update of the round that it follows: of this site, and the same for each attempt on a base. */
  async update(expected: RoundRosterExpectation, name = 'update'): Promise<MaskedUpdate> {
    const task = this.#task;
    if (task === undefined) throw new Error('the site follows no round');
    const { round } = task;
    const key = roundKey(round.opened);
    const masking = await this.#secure.masking(task, name);
    const [rosterSet, cohortSet] = [
      await this.#records.set(key, 'roster'),
      await this.#records.set(key, 'cohort'),
    ];
    if (rosterSet === undefined || cohortSet === undefined) throw new Error('the site knows no cohort');
    const cohort = openCohort(cohortSet, openRoundRoster(rosterSet, expected));
    const random = new SeededRandom(Buffer.from(sha256(Buffer.from(this.agentId))).readUInt32BE());
    const delta = Float32Array.from(
      { length: round.layout.length },
      () => (random.uint32() / 2 ** 32 - 0.5) / 20,
    );
    const encode = (masks: typeof masking.masks): Uint32Array => {
      const encoder = new RingEncoder({
        shape: { parameters: delta.length, tail: masking.tail },
        scale: masking.scale,
        rounding: masking.rounding,
        masks,
      });
      const bytes = Buffer.concat([
        encoder.push(delta),
        encoder.finish(
          Float32Array.from({ length: masking.tail }, (_, index) => (index === 0 ? 1 : 0)),
          false,
        ),
      ]);
      return bytesToWords(bytes, new Uint32Array(bytes.length / 4));
    };
    return {
      agentId: this.agentId,
      binding: cohort.binding,
      peers: cohort.peersOf(this.agentId).map(({ agentId }) => agentId),
      words: encode(masking.masks),
      plain: encode([]),
    };
  }

  /** What it would give away of its peers if it were not honest: both shares of each. */
  async bothShares(key: ReturnType<typeof roundKey>, expected: RoundRosterExpectation) {
    const [set, secrets] = [await this.#records.set(key, 'roster'), await this.#records.secrets(key)];
    if (set === undefined || secrets === undefined) throw new Error('the site takes no part');
    return {
      roster: openRoundRoster(set, expected),
      secrets,
      deliveries: await this.#records.deliveries(key),
    };
  }
}
