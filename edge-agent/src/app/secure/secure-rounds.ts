import {
  dealBundle,
  decodeBase64,
  drawRoundSecrets,
  encodeBase64,
  encodeHex,
  openCohort,
  openDeliveries,
  openSurvivors,
  ownMasks,
  canonicalize,
  stageDigest,
  ringScale,
  roundVectors,
  provesBadDealing,
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
  type Rounding,
  type SecureStage,
  type SpokenStage,
  type ShareDelivery,
  type SigningKey,
} from '@tributary/proto';

import { requireCompany, sumBase } from '../../domain/differencing.js';
import { isCounted } from '../../domain/membership.js';
import type { OpenedRound } from '../../domain/order.js';
import { roundKey, type RoundKey, type RoundRef } from '../../domain/round-key.js';
import { requireParticipants, requireTranscript } from '../../domain/stage-claims.js';
import { isForgettable } from '../../domain/secure-retention.js';
import type { Clock, FleetClient, Random } from '../../ports.js';
import type { StageRecord, StageRef } from '../../stage-ports.js';
import type { Log } from '../log.js';
import type { Witness } from '../witness.js';
import { dealersOf, passed, RoundSets, type SecureTask } from './round-sets.js';
import type { SecureRecords, StageAnswer } from './secure-records.js';

export interface SecureRoundsParts {
  readonly records: SecureRecords;
  readonly agentId: string;
  readonly logId: string;
  readonly identity: SigningKey;
  readonly witness: Witness;
  readonly random: Random;
  readonly clock: Pick<Clock, 'now'>;
  readonly log: Pick<Log, 'info' | 'warn'>;
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
  readonly #sets: RoundSets;

  constructor(parts: SecureRoundsParts) {
    this.#parts = parts;
    this.#sets = new RoundSets(parts);
  }

  /** At start: forgets rounds that nobody asks for any more, as `isForgettable` says. */
  async sweep(hasEnded: (jobId: string) => boolean): Promise<void> {
    await this.#forget(await this.#parts.records.rounds(), hasEnded);
  }

  /**
   * Takes the step after the stages that are closed; resolves with whether the site may mask its update now. Rejects with
   * SECAGG_MESSAGE_INVALID, SECAGG_TOO_FEW, SECAGG_DIFFERENCING and SECAGG_STAGE_PASSED, after which the site is out of
   * the round, and with what the connection meets.
   */
  async follow(client: FleetClient, task: SecureTask): Promise<boolean> {
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

  /**
   * How to mask `delta`, by its name in the outbox, once the cohort is known. Rejects with SECAGG_STAGE_PASSED before that,
   * where this process has verified no order of the round, and for a second delta.
   */
  async masking(task: SecureTask | undefined, delta: string): Promise<Masking> {
    const { records, agentId } = this.#parts;
    if (task === undefined) throw passed('the order of the round was not verified by this process');
    const key = roundKey(task.round.opened);
    const [secrets, roster] = [await this.#sets.secrets(key), await this.#sets.roster(task)];
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

  /** Forgets a round that is settled, and those before it. */
  async settled(ref: RoundRef): Promise<void> {
    await this.#parts.records.discard(roundKey(ref));
    await this.#forget([ref], () => false);
  }

  async #forget(newest: readonly RoundRef[], hasEnded: (jobId: string) => boolean): Promise<void> {
    const { records, clock } = this.#parts;
    for (const held of await records.rounds())
      if (isForgettable(held, { newest, hasEnded, now: clock.now() })) await records.discard(roundKey(held));
  }

  async #advertise(client: FleetClient, { round }: SecureTask): Promise<void> {
    const { records, random, witness, clock } = this.#parts;
    const key = roundKey(round.opened);
    await this.#forget([round.opened], () => false);
    if ((await records.secrets(key)) === undefined)
      await records.begin(
        key,
        drawRoundSecrets((length) => random.bytes(length)),
        clock.now(),
      );
    const { maskSecret, sealSecret } = await this.#sets.secrets(key);
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
    const secrets = await this.#sets.secrets(key);
    const { set } = await client.stageResult(stageRef(round, 'advertise'));
    const roster = await this.#sets.openRoster(task, set);
    const { members } = roster.roster;
    const advertised = members.map(({ site, advertisement }) => ({
      site,
      digest: stageDigest(canonicalize(advertisement)),
    }));
    requireTranscript(round, 'advertise', advertised);
    const answer = await records.answer(key, 'share', set, async () => {
      await this.#requireOneLog(client, roster);
      await records.keepSet(key, 'roster', set);
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
    const [roster, { sealSecret }] = [await this.#sets.roster(task), await this.#sets.secrets(key)];
    const shares = await records.answered(key, 'share');
    if (shares === undefined) throw passed('the site dealt no shares');
    const { set, records: delivered } = await client.stageResult(stageRef(round, 'share'));
    const { held, refused } = openDeliveries(roster, agentId, delivered.map(deliveryOf), sealSecret);
    for (const { dealer, problem } of refused)
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
    const { round } = task;
    const { records, agentId, identity } = this.#parts;
    const key = roundKey(round.opened);
    const [roster, cohort] = [await this.#sets.roster(task), await this.#sets.cohort(task)];
    const { set, records: proofs } = await client.stageResult(stageRef(round, 'mask'));
    const survivors = openSurvivors(set, roster, cohort, { self: agentId });
    const sites = survivors.survivors.map((survivor) => roster.member(survivor).site);
    requireParticipants(round, 'mask', sites);
    await records.keepSet(key, 'survivors', set);
    for (const proof of proofs) await this.#convict(round, proof);
    await this.#requireCompany(task, roster, sites);
    const answer = await records.answer(key, 'agree', set, async () => {
      const refused = await this.#refused(roster, cohort, key);
      const signed = signSurvivors(roster.round, agentId, cohort, survivors, identity, refused);
      return { ...signed, attachments: new Map() };
    });
    await client.submitStage({ ...stageRef(round, 'agree'), ...answer });
  }

  async #unmask(client: FleetClient, task: SecureTask): Promise<void> {
    const { round } = task;
    const { records, agentId, identity } = this.#parts;
    const key = roundKey(round.opened);
    const [roster, cohort] = [await this.#sets.roster(task), await this.#sets.cohort(task)];
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
      await this.#requireCompany(task, roster, sites);
      const held = await this.#held(roster, key);
      await records.keepDealers(round.jobId, dealersOf(roster));
      await records.keepSum(sumBase(round), { sites, colluders: roster.roster.plan.colluders });
      const { payload, signature } = signUnmasking(roster, cohort, survivors, agentId, held, identity);
      return { payload, signature, attachments: new Map() };
    });
    await client.submitStage({ ...stageRef(round, 'unmask'), ...answer });
  }

  /** Enough sites that count in the sum, and between it and each other one over the same model. */
  async #requireCompany(
    { round, minimum, federation }: SecureTask,
    { roster: { plan } }: OpenRoundRoster,
    sites: readonly string[],
  ): Promise<void> {
    const { records, agentId } = this.#parts;
    const own = round.opened.cohort.find((member) => member.agentId === agentId)?.site ?? '';
    // In training and statistics the site that is held out adds nothing, so that it hides nobody.
    const held = round.opened.kind === 'Evaluation' ? undefined : round.job.spec.evaluation.holdOutSite;
    const counts = (site: string): boolean =>
      site !== held && (federation === undefined || isCounted(federation, site, own));
    const { colluders } = plan;
    const least = Math.max(minimum, held === undefined ? 0 : colluders + 2);
    const base = sumBase(round);
    const company = { minimum: least, colluders, counts, convicted: await records.convicted(base) };
    requireCompany(sites, await records.sums(base), company);
  }

  /** Takes it down where the coordinator proves that a dealer made the attempt before impossible. */
  async #convict(
    round: OpenedRound,
    { agentId, payload, signature, attachment }: StageRecord,
  ): Promise<void> {
    const { records, logId } = this.#parts;
    const known = await records.dealers(round.jobId);
    const dealer = known?.dealers.find((one) => one.agentId === agentId);
    if (known === undefined || dealer === undefined || known.round !== round.opened.round) return;
    const { attempt, rosterDigest, threshold } = known;
    const { jobId, round: number } = round.opened;
    const bound = { wire: SECURE_WIRE_VERSION, logId, jobId, round: number, attempt };
    const of = { ...dealer, round: bound, rosterDigest, threshold };
    // One of an earlier attempt proves nothing of this one, and stops nothing.
    const noProof = (error: unknown): boolean => {
      if (error instanceof TributaryError && error.code === 'SECAGG_MESSAGE_INVALID') return false;
      throw error;
    };
    if (await provesBadDealing(of, { payload, signature }, attachment).catch(noProof))
      await records.convict(sumBase(round), dealer.site);
  }

  /** Dealers of the cohort whose shares for this site are of no use: what was good in them was kept. */
  async #refused(roster: OpenRoundRoster, cohort: OpenCohort, key: RoundKey): Promise<readonly string[]> {
    const good = new Set((await this.#parts.records.deliveries(key)).map(({ agentId }) => agentId));
    return roster.graph
      .holdersOf(this.#parts.agentId)
      .filter((dealer) => cohort.has(dealer) && !good.has(dealer));
  }

  async #held(roster: OpenRoundRoster, key: RoundKey): Promise<readonly HeldShares[]> {
    const { records, agentId } = this.#parts;
    const { sealSecret } = await this.#sets.secrets(key);
    const deliveries = (await records.deliveries(key)).map(deliveryOf);
    return openDeliveries(roster, agentId, deliveries, sealSecret).held;
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
    const observed = [...heads.values()].map(({ treeSize, rootHash, time, signature }) => ({
      logId,
      treeSize,
      rootHash: new Uint8Array(Buffer.from(rootHash, 'hex')),
      time,
      signature: decodeBase64(signature, 'signature', 64),
    }));
    await witness.observeAll(observed, (first, second) => client.consistencyProof(first, second));
  }

  #signed<S extends SpokenStage>(
    round: OpenedRound,
    stage: S,
    payload: Parameters<typeof signStage<S>>[3],
  ): StageAnswer {
    const { agentId, identity } = this.#parts;
    const signed = signStage(this.#sets.secureRound(round), stage, agentId, payload, identity);
    return { ...signed, attachments: new Map() };
  }
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
