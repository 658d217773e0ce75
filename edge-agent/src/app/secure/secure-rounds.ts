import {
  dealBundle,
  decodeBase64,
  drawRoundSecrets,
  encodeBase64,
  encodeHex,
  openCohort,
  openDeliveries,
  openRoundRoster,
  openSurvivors,
  ownMasks,
  requirePlan,
  canonicalize,
  stageDigest,
  ringScale,
  roundVectors,
  SECAGG_VERSION,
  SECURE_STAGES,
  SECURE_WIRE_VERSION,
  signStage,
  signSurvivors,
  signUnmasking,
  tailLength,
  TributaryError,
  verifySurvivorSet,
  x25519PublicKey,
  type HeldShares,
  type Mask,
  type OpenCohort,
  type OpenRoundRoster,
  type RingScale,
  type Roster,
  type Rounding,
  type RoundSecrets,
  type SecureRound,
  type SecureStage,
  type ShareDelivery,
  type SigningKey,
} from '@tributary/proto';

import { requireNoDifference, sumBase } from '../../domain/differencing.js';
import type { OpenedRound } from '../../domain/order.js';
import { roundKey, roundRef, supersedes, type RoundKey, type RoundRef } from '../../domain/round-key.js';
import { requireGraph, requireParticipants, requireTranscript } from '../../domain/stage-claims.js';
import type { FleetClient, Random } from '../../ports.js';
import type { StageRecord, StageRef } from '../../stage-ports.js';
import type { Log } from '../log.js';
import type { Witness } from '../witness.js';
import type { SecureRecords, StageAnswer } from './secure-records.js';

export interface SecureRoundsParts {
  readonly records: SecureRecords;
  readonly agentId: string;
  readonly logId: string;
  readonly identity: SigningKey;
  readonly witness: Witness;
  readonly random: Random;
  readonly log: Pick<Log, 'info' | 'warn'>;
}

/** A round with secure aggregation that the site has allowed. */
export interface SecureTask {
  readonly round: OpenedRound;
  /** Fewest sites that the site's policy accepts in a sum. */
  readonly minimum: number;
  /** Whose identities count, where the policy pins a root; without it the coordinator says who is who. */
  readonly roster?: Roster;
}

/** How the site's update of a round is masked. */
export interface Masking {
  readonly scale: RingScale;
  readonly rounding: Rounding;
  readonly masks: readonly Mask[];
  /** Of the delta and of the tail. */
  readonly tail: number;
}

/**
 * The site's part in rounds of secure aggregation (SecAgg: Bonawitz et al., CCS 2017). Each step answers what the
 * coordinator announced, once: the same again gets the stored answer, anything else is refused.
 */
export class SecureRounds {
  readonly #parts: SecureRoundsParts;
  readonly #tasks = new Map<RoundKey, SecureTask>();

  constructor(parts: SecureRoundsParts) {
    this.#parts = parts;
  }

  /**
   * Takes the step after the stages that are closed; resolves with whether the site may mask its update now. Rejects with
   * SECAGG_MESSAGE_INVALID, SECAGG_TOO_FEW, SECAGG_DIFFERENCING and SECAGG_STAGE_PASSED, after which the site is out of the round, and with
   * what the connection meets.
   */
  async follow(client: FleetClient, task: SecureTask): Promise<boolean> {
    this.#tasks.set(roundKey(task.round.opened), task);
    switch (SECURE_STAGES[task.round.closed.length]) {
      case 'advertise':
        await this.#advertise(client, task);
        return false;
      case 'share':
        await this.#share(client, task);
        return false;
      case 'mask':
        await this.#meet(client, task);
        return true;
      case 'agree':
        await this.#agree(client, task);
        return false;
      case 'unmask':
        await this.#unmask(client, task);
        return false;
      default:
        return false;
    }
  }

  /** How to mask `delta`, by its name in the outbox, once the cohort is known. Rejects with SECAGG_STAGE_PASSED before that, and for a second delta. */
  async masking(key: RoundKey, delta: string): Promise<Masking> {
    const { records, agentId } = this.#parts;
    const task = this.#tasks.get(key);
    if (task === undefined) throw passed('the order of the round was not verified by this process');
    const [secrets, roster] = [await this.#secrets(key), await this.#roster(task)];
    const set = await records.set(key, 'cohort');
    if (set === undefined) throw passed('the cohort of the round is not known');
    const cohort = openCohort(set, roster);
    await records.keepDelta(key, delta);
    const { tail, bounds } = vectorsOf(task.round);
    return {
      scale: ringScale(roster.roster.plan.agents, bounds.clipNorm),
      rounding: { seed: secrets.roundingSeed },
      masks: ownMasks(cohort.binding, agentId, secrets, cohort.peersOf(agentId)),
      tail: tailLength(tail),
    };
  }

  /** Forgets the secrets of a round that is settled, and of those that it supersedes. */
  async settled(ref: RoundRef): Promise<void> {
    const { records } = this.#parts;
    for (const key of await records.rounds()) {
      const round = roundRef(key);
      if (key !== roundKey(ref) && !supersedes(ref, round)) continue;
      this.#tasks.delete(key);
      await records.discard(key);
    }
  }

  async #advertise(client: FleetClient, { round }: SecureTask): Promise<void> {
    const { records, random, witness } = this.#parts;
    const key = roundKey(round.opened);
    if ((await records.secrets(key)) === undefined)
      await records.begin(
        key,
        drawRoundSecrets((length) => random.bytes(length)),
      );
    const { maskSecret, sealSecret } = await this.#secrets(key);
    const { head } = witness;
    if (head === undefined) throw new TributaryError('INTERNAL', 'an order came without a tree head');
    const request = new TextEncoder().encode(round.opened.baseDigest);
    const answer = await records.answer(key, 'advertise', request, () =>
      Promise.resolve(
        this.#signed(round, 'advertise', {
          formatVersion: SECAGG_VERSION,
          baseDigest: round.opened.baseDigest,
          maskKey: encodeBase64(x25519PublicKey(maskSecret)),
          sealKey: encodeBase64(x25519PublicKey(sealSecret)),
          treeHead: {
            treeSize: head.treeSize,
            rootHash: encodeHex(head.rootHash),
            time: head.time,
            signature: encodeBase64(head.signature),
          },
        }),
      ),
    );
    await client.submitStage({ ...stageRef(round, 'advertise'), ...answer });
  }

  async #share(client: FleetClient, task: SecureTask): Promise<void> {
    const { round } = task;
    const { records, agentId, identity } = this.#parts;
    const key = roundKey(round.opened);
    const secrets = await this.#secrets(key);
    const { set } = await client.stageResult(stageRef(round, 'advertise'));
    const roster = await this.#openRoundRoster(task, set);
    const { members } = roster.roster;
    const advertised = members.map(({ site, advertisement }) => ({
      site,
      digest: stageDigest(canonicalize(advertisement)),
    }));
    requireTranscript(round, 'advertise', advertised);
    await this.#requireOneLog(client, roster);
    await records.keepSet(key, 'roster', set);
    const answer = await records.answer(key, 'share', set, async () => {
      const { entries, payload, signature } = await dealBundle(roster, agentId, secrets, identity);
      const holders = roster.graph.holdersOf(agentId);
      const attachments = new Map(
        holders.map((holder, index) => [holder, entries[index] ?? new Uint8Array()]),
      );
      return { payload, signature, attachments };
    });
    await client.submitStage({ ...stageRef(round, 'share'), ...answer });
  }

  /** Takes the shares of the others, and the cohort that masks. */
  async #meet(client: FleetClient, task: SecureTask): Promise<void> {
    const { round } = task;
    const { records, agentId, log } = this.#parts;
    const key = roundKey(round.opened);
    if ((await records.set(key, 'cohort')) !== undefined) return;
    const [roster, { sealSecret }] = [await this.#roster(task), await this.#secrets(key)];
    const shares = await records.answered(key, 'share');
    if (shares === undefined) throw passed('the site dealt no shares');
    const { set, records: delivered } = await client.stageResult(stageRef(round, 'share'));
    const { held, culprits } = openDeliveries(roster, agentId, delivered.map(deliveryOf), sealSecret);
    for (const { agentId: dealer, problem } of culprits)
      log.warn({ jobId: round.jobId, round: round.opened.round, dealer, problem }, 'shares were refused');
    const good = new Set(held.map(({ dealer }) => dealer));
    const kept = delivered.filter((record) => good.has(record.agentId));
    const cohort = openCohort(set, roster, {
      agentId,
      shares,
      // What a dealer signed counts, whether or not it sealed the right thing for this site.
      delivered: delivered.map(({ agentId: dealer, payload }) => ({ dealer, payload })),
    });
    requireTranscript(
      round,
      'share',
      cohort.cohort.members.map(({ agentId: dealer, sharesDigest }) => ({
        site: roster.member(dealer).site,
        digest: sharesDigest,
      })),
    );
    await records.keepDeliveries(key, kept);
    await records.keepSet(key, 'cohort', set);
  }

  async #agree(client: FleetClient, task: SecureTask): Promise<void> {
    const { round, minimum } = task;
    const { records, agentId, identity } = this.#parts;
    const key = roundKey(round.opened);
    const [roster, cohort] = [await this.#roster(task), await this.#cohort(task)];
    const { set } = await client.stageResult(stageRef(round, 'mask'));
    const survivors = openSurvivors(set, roster, cohort, { self: agentId, minimum });
    const sites = survivors.survivors.map((survivor) => roster.member(survivor).site);
    requireParticipants(round, 'mask', sites);
    await records.keepSet(key, 'survivors', set);
    requireNoDifference(await records.sums(sumBase(round)), sites, minimum, roster.roster.plan.colluders);
    const answer = await records.answer(key, 'agree', set, () => {
      const { payload, signature } = signSurvivors(roster.round, agentId, cohort, survivors, identity);
      return Promise.resolve({ payload, signature, attachments: new Map() });
    });
    await client.submitStage({ ...stageRef(round, 'agree'), ...answer });
  }

  async #unmask(client: FleetClient, task: SecureTask): Promise<void> {
    const { round, minimum } = task;
    const { records, agentId, identity } = this.#parts;
    const key = roundKey(round.opened);
    const [roster, cohort] = [await this.#roster(task), await this.#cohort(task)];
    const set = await records.set(key, 'survivors');
    if (set === undefined) throw passed('the site agreed to no survivors');
    const survivors = openSurvivors(set, roster, cohort, { self: agentId });
    const { records: agreed } = await client.stageResult(stageRef(round, 'agree'));
    const agreements = agreed.map(({ agentId: signer, payload, signature }) => ({
      agentId: signer,
      message: { payload, signature },
    }));
    requireTranscript(
      round,
      'agree',
      agreed.map(({ agentId: signer, payload }) => ({
        site: roster.member(signer).site,
        digest: stageDigest(payload),
      })),
    );
    verifySurvivorSet(roster, cohort, survivors, agreements, agentId);
    const answer = await records.answer(key, 'unmask', set, async () => {
      const sites = survivors.survivors.map((survivor) => roster.member(survivor).site);
      // Looked at again: two attempts may both have come as far as this.
      requireNoDifference(await records.sums(sumBase(round)), sites, minimum, roster.roster.plan.colluders);
      const held = await this.#held(roster, key);
      await records.keepSum(sumBase(round), sites);
      const { payload, signature } = signUnmasking(roster, cohort, survivors, agentId, held, identity);
      return { payload, signature, attachments: new Map() };
    });
    await client.submitStage({ ...stageRef(round, 'unmask'), ...answer });
  }

  async #held(roster: OpenRoundRoster, key: RoundKey): Promise<readonly HeldShares[]> {
    const { records, agentId } = this.#parts;
    const { sealSecret } = await this.#secrets(key);
    const deliveries = (await records.deliveries(key)).map(deliveryOf);
    return openDeliveries(roster, agentId, deliveries, sealSecret).held;
  }

  async #secrets(key: RoundKey): Promise<RoundSecrets> {
    const secrets = await this.#parts.records.secrets(key);
    if (secrets !== undefined) return secrets;
    // A restored state, or one that another process began: what it said then is not known here.
    throw passed('the site holds nothing of this round');
  }

  async #roster(task: SecureTask): Promise<OpenRoundRoster> {
    const set = await this.#parts.records.set(roundKey(task.round.opened), 'roster');
    if (set === undefined) throw passed('the site has seen no roster of this round');
    return this.#openRoundRoster(task, set);
  }

  async #cohort(task: SecureTask): Promise<OpenCohort> {
    const set = await this.#parts.records.set(roundKey(task.round.opened), 'cohort');
    if (set === undefined) throw passed('the site has seen no cohort of this round');
    return openCohort(set, await this.#roster(task));
  }

  async #openRoundRoster({ round, roster }: SecureTask, set: Uint8Array): Promise<OpenRoundRoster> {
    const { records, agentId } = this.#parts;
    const advertisement = await records.answered(roundKey(round.opened), 'advertise');
    if (advertisement === undefined) throw passed('the site has advertised no keys');
    const { cohort, baseDigest } = round.opened;
    const { minSites, privacy } = round.job.spec;
    const open = openRoundRoster(set, {
      round: this.#secureRound(round),
      baseDigest,
      plan: requirePlan({ ...privacy, agents: cohort.length, minimum: minSites }),
      isMember: ({ agentId: member, site, identityKey }) =>
        cohort.some((one) => one.agentId === member && one.site === site) &&
        (roster === undefined || isKnown(roster, member, identityKey)),
      self: { agentId, advertisement },
    });
    requireGraph(round, open.roster.graphSeed);
    return open;
  }

  /** Members that were shown another history of the log would mask with others than they believe. */
  async #requireOneLog(client: FleetClient, { roster }: OpenRoundRoster): Promise<void> {
    const { witness, logId } = this.#parts;
    const heads = new Map(
      roster.members.map(({ advertisement: { treeHead } }) => [
        `${String(treeHead.treeSize)}/${treeHead.rootHash}`,
        treeHead,
      ]),
    );
    for (const { treeSize, rootHash, time, signature } of heads.values()) {
      const head = {
        logId,
        treeSize,
        rootHash: new Uint8Array(Buffer.from(rootHash, 'hex')),
        time,
        signature: decodeBase64(signature, 'signature', 64),
      };
      await witness.observe(head, (first, second) => client.consistencyProof(first, second));
    }
  }

  #signed<S extends SecureStage>(
    round: OpenedRound,
    stage: S,
    payload: Parameters<typeof signStage<S>>[3],
  ): StageAnswer {
    const { agentId, identity } = this.#parts;
    const signed = signStage(this.#secureRound(round), stage, agentId, payload, identity);
    return { ...signed, attachments: new Map() };
  }

  #secureRound({ opened: { jobId, round, attempt } }: OpenedRound): SecureRound {
    return { wire: SECURE_WIRE_VERSION, logId: this.#parts.logId, jobId, round, attempt };
  }
}

/** Whether the federation root vouches for that key of that agent. */
function isKnown(roster: Roster, agentId: string, identityKey: string): boolean {
  return roster.member(agentId)?.identityKey === identityKey;
}

const stageRef = ({ opened: { jobId, round, attempt } }: OpenedRound, stage: SecureStage): StageRef => ({
  jobId,
  round,
  attempt,
  stage,
});

const deliveryOf = ({ agentId, payload, signature, attachment }: StageRecord): ShareDelivery => ({
  dealer: agentId,
  payload,
  signature,
  entry: attachment,
});

function vectorsOf({ job, opened }: OpenedRound) {
  const sites = opened.cohort.map(({ site }) => site);
  return roundVectors(job.spec, sites, opened.kind);
}

const passed = (problem: string): TributaryError =>
  new TributaryError('SECAGG_STAGE_PASSED', `secure aggregation: ${problem}`);
