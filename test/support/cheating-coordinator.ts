import {
  digestOf,
  encodeBase64,
  encodeCohort,
  encodeRoundRoster,
  encodeSurvivors,
  openCohort,
  openDeliveries,
  openRoundRoster,
  parseFederatedJob,
  requirePlan,
  ringLength,
  SECURE_STAGES,
  SECURE_WIRE_VERSION,
  stageDigest,
  stageTranscriptDigest,
  tailLength,
  tailShapeOf,
  TributaryError,
  type Digest,
  type EntryBody,
  type FederatedJobInput,
  type RoundMember,
  type RoundRosterExpectation,
  type SecureStage,
  type StagePayload,
  type StageReport,
} from '@tributary/proto';
import type { FleetClient } from '@tributary/edge-agent/internal/ports.js';
import type { StageMessage, StageResult } from '@tributary/edge-agent/internal/stage-ports.js';

import type { HonestSite, MaskedUpdate } from './honest-site.js';
import { jobDocument } from './job-document.js';
import { Loot } from './loot.js';
import type { ScriptedLog, ScriptedRound } from './scripted-log.js';

const GRAPH_SEED = new Uint8Array(32);

const SPEC: Partial<FederatedJobInput['spec']> = {
  minSites: 3,
  update: { clipNorm: 1 },
  privacy: {},
};
const document = parseFederatedJob({ ...jobDocument(), spec: { ...jobDocument().spec, ...SPEC } });
const NOTHING = new Uint8Array();

/** A message with who said it. */
export interface Said extends StageMessage {
  readonly agentId: string;
}

/** One attempt at a round as the coordinator leads it. */
export interface PlayedRound {
  readonly ref: ScriptedRound;
  readonly sites: readonly HonestSite[];
  readonly expected: RoundRosterExpectation;
  /** Entries that close stages. */
  readonly closings: number[];
  readonly said: Said[];
  readonly updates: MaskedUpdate[];
}

export interface PlayedRoundOptions {
  readonly attempt?: number;
  readonly job?: string;
  readonly sites?: readonly HonestSite[];
  readonly baseDigest?: Digest;
}

/** What a site did with an order: its answer left, or the code with which it refused. */
export type Outcome = string;
export const ANSWERED = 'answered';

/**
 * A coordinator that relays honestly, but for `bend`, through which every answer to a site goes. It writes what it likes
 * into its ledger, and keeps whatever it is told.
 */
export class CheatingCoordinator {
  readonly log: ScriptedLog;
  sites: readonly HonestSite[];
  /** Replaces what follows from a stage for one site. */
  bend: (answer: StageResult, stage: string, to: HonestSite) => StageResult = (answer) => answer;

  constructor(log: ScriptedLog, sites: readonly HonestSite[]) {
    this.log = log;
    this.sites = sites;
  }

  open(options: PlayedRoundOptions = {}, log = this.log): PlayedRound {
    const { attempt = 0, job = 'loans', sites = this.sites, baseDigest } = options;
    const cohort = sites.map(({ site, agentId }) => ({ site, agentId }));
    const tail = tailLength(
      tailShapeOf(
        document.spec.evaluation,
        cohort.map(({ site }) => site),
      ),
    );
    const plan = requirePlan({ ...document.spec.privacy, agents: sites.length, minimum: 3 });
    const alter = (body: EntryBody<'round.opened'>): EntryBody<'round.opened'> => ({
      ...body,
      mode: 'secure',
      stages: SECURE_STAGES.map((name) => ({ name, deadlineMs: 60_000, minimum: 3 })),
      vectorLength: ringLength({ parameters: body.vectorLength - tail, tail }),
      baseDigest: baseDigest ?? body.baseDigest,
      selectionSeed: encodeBase64(GRAPH_SEED),
    });
    const ref = log.openRound({ job, attempt, spec: SPEC, cohort, alter });
    const { jobId, round } = ref;
    const expected = {
      round: { wire: SECURE_WIRE_VERSION, logId: log.logId, jobId, round, attempt },
      baseDigest: baseDigest ?? ref.baseDigest,
      plan,
      isMember: () => true,
    };
    return { ref, sites, expected, closings: [], said: [], updates: [] };
  }

  /** Leads honestly through these stages, each answered by all of `sites`. */
  async lead(round: PlayedRound, to: SecureStage, sites = round.sites): Promise<void> {
    for (const stage of SECURE_STAGES) {
      if (!this.#isClosed(round, stage)) {
        const outcomes = await this.ask(round, stage, sites);
        const refused = [...outcomes].find(([, outcome]) => outcome !== ANSWERED);
        if (refused !== undefined) throw new Error(`${refused.join(' refused: ')} in stage ${stage}`);
        this.close(round, stage);
      }
      if (stage === to) return;
    }
  }

  /** Orders each of `sites` into the open stage, out of `log`, and says what they did. */
  async ask(
    round: PlayedRound,
    stage: SecureStage,
    sites = round.sites,
    log = this.log,
  ): Promise<ReadonlyMap<string, Outcome>> {
    const outcomes = new Map<string, Outcome>();
    for (const site of sites) {
      try {
        const order = await log.order(`${site.site} ${String(log.entries.length)}`, [
          ...round.ref.seqs,
          ...round.closings,
        ]);
        const maskable = await site.follow(this.#clientOf(round, site, log), order);
        if (maskable !== (stage === 'mask')) throw new Error(`${site.site} is not in stage ${stage}`);
        if (maskable) round.updates.push(await site.update(round.expected));
        outcomes.set(site.site, ANSWERED);
      } catch (error) {
        if (!(error instanceof TributaryError) || error.code === 'INTERNAL') throw error;
        outcomes.set(site.site, error.code);
      }
    }
    return outcomes;
  }

  /** Writes that the stage is closed: with what was said in it, or with these reports. */
  close(
    round: PlayedRound,
    stage: SecureStage,
    reports: readonly StageReport[] = this.reports(round, stage),
    log = this.log,
  ): void {
    const { jobId, round: number, attempt } = round.ref;
    const seq = log.append({
      type: 'stage.closed',
      actor: 'coordinator',
      subject: `job/${jobId}`,
      body: {
        ...{ jobId, round: number, attempt, stage },
        participants: reports.map(({ site }) => site).sort(),
        transcriptDigest: stageTranscriptDigest(round.ref, stage, reports),
      },
    });
    round.closings.push(seq);
  }

  /** The same round under another closing of its last stage: the ledger has both, and each site is shown one. */
  otherwise(round: PlayedRound, stage: SecureStage, reports: readonly StageReport[]): PlayedRound {
    const other = { ...round, closings: round.closings.slice(0, SECURE_STAGES.indexOf(stage)) };
    this.close(other, stage, reports);
    return other;
  }

  /** Who said what, as an honest ledger has it. */
  reports(round: PlayedRound, stage: SecureStage): readonly StageReport[] {
    if (stage === 'mask')
      return round.updates.map(({ agentId, words }) => ({
        site: siteOf(round, agentId),
        digest: stageDigest(new Uint8Array(words.buffer)),
      }));
    return this.saidIn(round, stage).map(({ agentId, payload }) => ({
      site: siteOf(round, agentId),
      digest: stageDigest(payload),
    }));
  }

  /** The first message of each agent in a stage. */
  saidIn(round: PlayedRound, stage: SecureStage): readonly Said[] {
    const first = new Map<string, Said>();
    for (const said of round.said)
      if (said.stage === stage && !first.has(said.agentId)) first.set(said.agentId, said);
    return [...first.values()];
  }

  /** Who signed that survivor set. */
  agreedOn(round: PlayedRound, set: Uint8Array): readonly Said[] {
    const digest = digestOf(set);
    return round.said.filter(({ stage, payload }) => {
      const text = new TextDecoder().decode(payload);
      return stage === 'agree' && (JSON.parse(text) as StagePayload<'agree'>).survivorsDigest === digest;
    });
  }

  membersOf(round: PlayedRound): readonly RoundMember[] {
    return this.saidIn(round, 'advertise').map(({ agentId, payload, signature }) => ({
      agentId,
      site: siteOf(round, agentId),
      identityKey: encodeBase64(keyOfAgent(round, agentId)),
      advertisement: JSON.parse(new TextDecoder().decode(payload)) as StagePayload<'advertise'>,
      signature: encodeBase64(signature),
    }));
  }

  roster(round: PlayedRound, members = this.membersOf(round)): Uint8Array {
    return encodeRoundRoster(round.expected, GRAPH_SEED, members);
  }

  /** The set of those who dealt shares, or of these. */
  cohort(round: PlayedRound, said = this.saidIn(round, 'share')): Uint8Array {
    const roster = openRoundRoster(this.roster(round), round.expected);
    return encodeCohort(roster, new Map(said.map((one) => [one.agentId, one])));
  }

  survivors(round: PlayedRound, agentIds = round.updates.map(({ agentId }) => agentId)): Uint8Array {
    const roster = openRoundRoster(this.roster(round), round.expected);
    return encodeSurvivors(openCohort(this.cohort(round), roster), agentIds);
  }

  /** Everything that the coordinator holds of these attempts at a round, put together. */
  loot(round: PlayedRound): Loot {
    return new Loot(round, openRoundRoster(this.roster(round), round.expected));
  }

  /** What it would hold if this site gave it both shares of everybody. */
  async bribe(round: PlayedRound, loot: Loot, site: HonestSite): Promise<void> {
    const { jobId, round: number, attempt } = round.ref;
    const { roster, secrets, deliveries } = await site.bothShares(
      `${jobId}/${number}/${attempt}`,
      round.expected,
    );
    const shares = deliveries.map(({ agentId, payload, signature, attachment }) => ({
      ...{ dealer: agentId, payload, signature, entry: attachment },
    }));
    const { held } = openDeliveries(roster, site.agentId, shares, secrets.sealSecret);
    for (const { dealer, keyShare, seedShare } of held) {
      loot.take(dealer, 'key', keyShare);
      loot.take(dealer, 'seed', seedShare);
    }
  }

  #isClosed({ closings }: PlayedRound, stage: SecureStage): boolean {
    return closings.length > SECURE_STAGES.indexOf(stage);
  }

  #clientOf(round: PlayedRound, to: HonestSite, log: ScriptedLog): FleetClient {
    const never = (): never => {
      throw new Error('a secure stage calls nothing else');
    };
    return {
      connect: never,
      fetchBlob: never,
      uploadStatus: never,
      submitUpdate: never,
      submitStage: (message) => {
        round.said.push({ ...message, agentId: to.agentId });
        return Promise.resolve();
      },
      stageResult: ({ stage }) => Promise.resolve(this.bend(this.#result(round, stage, to), stage, to)),
      consistencyProof: (first, second) => log.consistency(first, second),
      treeHead: never,
      close: () => undefined,
    };
  }

  #result(round: PlayedRound, stage: string, to: HonestSite): StageResult {
    switch (stage) {
      case 'advertise':
        return { set: this.roster(round), records: [] };
      case 'share':
        return {
          set: this.cohort(round),
          records: this.saidIn(round, 'share').flatMap(({ attachments, ...said }) => {
            const attachment = attachments.get(to.agentId);
            return attachment === undefined ? [] : [{ ...said, attachment }];
          }),
        };
      case 'mask':
        return { set: this.survivors(round), records: [] };
      default:
        return {
          set: NOTHING,
          records: this.saidIn(round, 'agree').map((said) => ({ ...said, attachment: NOTHING })),
        };
    }
  }
}

function siteOf({ sites }: PlayedRound, agentId: string): string {
  const found = sites.find((site) => site.agentId === agentId);
  if (found === undefined) throw new Error('an agent of the cohort');
  return found.site;
}

function keyOfAgent({ sites }: PlayedRound, agentId: string): Uint8Array {
  const found = sites.find((site) => site.agentId === agentId);
  if (found === undefined) throw new Error('an agent of the cohort');
  return found.identity.publicKey;
}
