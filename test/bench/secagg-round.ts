import { randomBytes } from 'node:crypto';

import {
  dealBundle,
  drawRoundSecrets,
  encodeBase64,
  encodeCohort,
  encodeRoundRoster,
  encodeSurvivors,
  formatId,
  openCohort,
  openDeliveries,
  openRoundRoster,
  openSurvivors,
  ownMasks,
  recoverMasks,
  requirePlan,
  RingEncoder,
  ringLength,
  ringScale,
  RingSum,
  signingKeyFromSeed,
  signStage,
  signSurvivors,
  signUnmasking,
  verifyAdvertisement,
  verifyAgreement,
  verifyShareBundle,
  verifySurvivorSet,
  verifyUnmaskAnswer,
  x25519PublicKey,
  type Agreement,
  type Digest,
  type HeldShares,
  type OpenedSum,
  type OpenRoundRoster,
  type RingShape,
  type RoundRosterExpectation,
  type RoundMember,
  type ShareBundle,
  type ShareDelivery,
  type SignedStage,
  type UnmaskAnswer,
} from '@tributary/proto';

import { deliveryOf } from '../support/deliveries.js';

/** Parameters of a chunk: 1 MiB on the wire. */
const CHUNK = 262_144;
const CLIP_NORM = 10;
const TAIL = Float32Array.of(0.5, 0.25, 0.5, 0.4, 0.3);
const BASE: Digest = `sha256:${'5'.repeat(64)}`;
const TREE_HEAD = {
  treeSize: 1_000,
  rootHash: 'cd'.repeat(32),
  time: '2026-01-02T03:04:05.678Z',
  signature: encodeBase64(new Uint8Array(64)),
};

export interface SecureRoundOptions {
  readonly agents: number;
  readonly parameters: number;
  /** Agents that share and then send no vector: what costs the coordinator most. */
  readonly dropouts: number;
  /** The delta of an agent, in its own memory until it is asked for the next one. */
  readonly deltaOf: (agent: number) => Float32Array;
}

/** Milliseconds of a role, wall and CPU. All roles run one after the other in one thread. */
export interface RoleTime {
  wall: number;
  cpu: number;
}

export interface SecureRoundResult {
  readonly agents: RoleTime;
  readonly coordinator: RoleTime;
  /** Bytes of everything that one agent that stays sends, frames of the transport left out. */
  readonly bytesSent: number;
  /** Words of keystream that all roles expanded as masks. */
  readonly maskWords: number;
  readonly opened: OpenedSum;
}

/** What each agent keeps for itself; nothing is shared between agents or with the coordinator but messages. */
interface Agent {
  readonly agentId: string;
  readonly key: ReturnType<typeof signingKeyFromSeed>;
  readonly secrets: ReturnType<typeof drawRoundSecrets>;
  roster?: OpenRoundRoster;
  held?: readonly HeldShares[];
  sent: number;
}

/** One secure round with every step of the protocol; messages are passed as bytes, nothing is stored or sent. */
export async function secureRound(options: SecureRoundOptions): Promise<SecureRoundResult> {
  const { agents: count, parameters, dropouts, deltaOf } = options;
  const agentTime: RoleTime = { wall: 0, cpu: 0 };
  const coordinatorTime: RoleTime = { wall: 0, cpu: 0 };
  const agentDoes = <T>(work: () => T | Promise<T>): Promise<T> => measured(agentTime, work);
  const coordinatorDoes = <T>(work: () => T | Promise<T>): Promise<T> => measured(coordinatorTime, work);
  const plan = requirePlan({ agents: count, dropouts });
  const round = {
    wire: '1.2',
    logId: 'ab'.repeat(32),
    jobId: formatId('job', randomBytes(16)),
    round: 1,
    attempt: 0,
  };
  const agents = Array.from({ length: count }, () => createAgent());
  const identities = new Map(agents.map(({ agentId, key }) => [agentId, key.publicKey]));
  const expected: RoundRosterExpectation = {
    round,
    baseDigest: BASE,
    plan,
    isMember: ({ agentId, identityKey }) => {
      const known = identities.get(agentId);
      return known !== undefined && encodeBase64(known) === identityKey;
    },
  };

  const members: RoundMember[] = [];
  for (const agent of agents) {
    const { payload, message } = await agentDoes(() => advertise(round, agent));
    members.push(
      await coordinatorDoes(() => {
        verifyAdvertisement(
          round,
          BASE,
          { agentId: agent.agentId, identityKey: agent.key.publicKey },
          message,
        );
        const site = `site-${agent.agentId.slice(4)}`;
        const identityKey = encodeBase64(agent.key.publicKey);
        return {
          agentId: agent.agentId,
          site,
          identityKey,
          advertisement: payload,
          signature: encodeBase64(message.signature),
        };
      }),
    );
  }
  const rosterBytes = await coordinatorDoes(() => encodeRoundRoster(expected, randomBytes(32), members));
  const roster = await coordinatorDoes(() => openRoundRoster(rosterBytes, expected));

  const bundles = new Map<string, ShareBundle>();
  for (const agent of agents) {
    const bundle = await agentDoes(async () => {
      agent.roster = openRoundRoster(rosterBytes, expected);
      return dealBundle(agent.roster, agent.agentId, agent.secrets, agent.key);
    });
    agent.sent += sizeOf(bundle) + bundle.entries.reduce((bytes, entry) => bytes + entry.length, 0);
    bundles.set(agent.agentId, bundle);
  }
  const commitments = await coordinatorDoes(
    () =>
      new Map([...bundles].map(([dealer, bundle]) => [dealer, verifyShareBundle(roster, dealer, bundle)])),
  );
  const cohortBytes = await coordinatorDoes(() => encodeCohort(roster, bundles));
  const cohort = await coordinatorDoes(() => openCohort(cohortBytes, roster));

  const shape: RingShape = { parameters, tail: TAIL.length };
  const scale = ringScale(count, CLIP_NORM);
  const sum = new RingSum(shape);
  const buffer = new Uint8Array(4 * CHUNK);
  const staying = agents.slice(dropouts);
  for (const [index, agent] of staying.entries()) {
    const own = rosterOf(agent);
    const deliveries = await coordinatorDoes(() => deliveriesTo(roster, bundles, agent.agentId));
    const encoder = await agentDoes(() => startVector(agent, own, deliveries, cohortBytes, shape, scale));
    const delta = deltaOf(index);
    for (let start = 0; start < parameters; start += CHUNK) {
      const chunk = await agentDoes(() => encoder.push(delta.subarray(start, start + CHUNK), buffer));
      await coordinatorDoes(() => sum.add(start, chunk));
      agent.sent += chunk.length;
    }
    const rest = await agentDoes(() => encoder.finish(TAIL, false));
    await coordinatorDoes(() => sum.add(parameters, rest));
    agent.sent += rest.length;
  }

  const survivorsBytes = encodeSurvivors(
    cohort,
    staying.map(({ agentId }) => agentId),
  );
  const survivors = await coordinatorDoes(() => openSurvivors(survivorsBytes, roster, cohort));
  const agreements: Agreement[] = [];
  for (const agent of staying) {
    const message = await agentDoes(() => {
      const set = openSurvivors(survivorsBytes, rosterOf(agent), cohort, { self: agent.agentId });
      return signSurvivors(round, agent.agentId, cohort, set, agent.key);
    });
    await coordinatorDoes(() =>
      verifyAgreement(round, cohort, survivors, roster.member(agent.agentId), message),
    );
    agent.sent += sizeOf(message);
    agreements.push({ agentId: agent.agentId, message });
  }
  const answers: UnmaskAnswer[] = [];
  for (const agent of staying) {
    const message = await agentDoes(() => {
      const own = rosterOf(agent);
      const set = openSurvivors(survivorsBytes, own, cohort, { self: agent.agentId });
      verifySurvivorSet(own, cohort, set, agreements.slice(0, plan.threshold), agent.agentId);
      return signUnmasking(own, cohort, set, agent.agentId, agent.held ?? [], agent.key);
    });
    agent.sent += sizeOf(message);
    answers.push(
      await coordinatorDoes(() => verifyUnmaskAnswer(roster, survivors, commitments, agent.agentId, message)),
    );
  }
  const refused = new Map(staying.map(({ agentId }) => [agentId, []]));
  const recovery = await coordinatorDoes(() =>
    recoverMasks({ roster, cohort, survivors, commitments, refused, answers }),
  );
  if (recovery.type === 'Lost') throw recovery.error;
  const { masks } = recovery;
  const opened = await coordinatorDoes(() => {
    sum.unmask(masks);
    const result = sum.open(scale, staying.length);
    readAll(result, parameters);
    return result;
  });
  return {
    agents: agentTime,
    coordinator: coordinatorTime,
    bytesSent: Math.max(...staying.map(({ sent }) => sent)),
    maskWords: ringLength(shape) * (staying.length * count + masks.length),
    opened,
  };
}

function createAgent(): Agent {
  return {
    agentId: formatId('agt', randomBytes(16)),
    key: signingKeyFromSeed(randomBytes(32)),
    secrets: drawRoundSecrets((length) => new Uint8Array(randomBytes(length))),
    sent: 0,
  };
}

function advertise(round: RoundRosterExpectation['round'], agent: Agent) {
  const payload = {
    formatVersion: 1,
    baseDigest: BASE,
    maskKey: encodeBase64(x25519PublicKey(agent.secrets.maskSecret)),
    sealKey: encodeBase64(x25519PublicKey(agent.secrets.sealSecret)),
    treeHead: TREE_HEAD,
  } as const;
  const message = signStage(round, 'advertise', agent.agentId, payload, agent.key);
  agent.sent += sizeOf(message);
  return { payload, message };
}

function deliveriesTo(roster: OpenRoundRoster, bundles: ReadonlyMap<string, ShareBundle>, holder: string) {
  return [...bundles]
    .filter(([dealer]) => roster.graph.holdersOf(dealer).includes(holder))
    .map(([dealer, bundle]) => deliveryOf(roster, dealer, bundle, holder));
}

/** Opens what was dealt to the agent, verifies the cohort against it and derives its masks. */
function startVector(
  agent: Agent,
  roster: OpenRoundRoster,
  deliveries: readonly ShareDelivery[],
  cohortBytes: Uint8Array,
  shape: RingShape,
  scale: ReturnType<typeof ringScale>,
): RingEncoder {
  const { held } = openDeliveries(roster, agent.agentId, deliveries, agent.secrets.sealSecret);
  agent.held = held;
  const cohort = openCohort(cohortBytes, roster);
  const masks = ownMasks(cohort.binding, agent.agentId, agent.secrets, cohort.peersOf(agent.agentId));
  return new RingEncoder({ shape, scale, rounding: { seed: agent.secrets.roundingSeed }, masks });
}

function rosterOf({ roster }: Agent): OpenRoundRoster {
  if (roster === undefined) throw new Error('an agent acts before it has a roster');
  return roster;
}

/** The sums as float64, piece by piece: what the new model is made of. */
function readAll(sum: OpenedSum, parameters: number): void {
  const piece = new Float64Array(CHUNK);
  for (let start = 0; start < parameters; start += CHUNK)
    sum.readSums(start, piece.subarray(0, Math.min(CHUNK, parameters - start)));
}

const sizeOf = ({ payload, signature }: SignedStage): number => payload.length + signature.length;

/** Adds what `work` takes to `time`. */
export async function measured<T>(time: RoleTime, work: () => T | Promise<T>): Promise<T> {
  const cpu = process.cpuUsage();
  const wall = performance.now();
  const result = await work();
  time.wall += performance.now() - wall;
  const used = process.cpuUsage(cpu);
  time.cpu += (used.user + used.system) / 1_000;
  return result;
}
