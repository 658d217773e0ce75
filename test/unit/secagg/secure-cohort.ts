import {
  dealBundle,
  drawRoundSecrets,
  encodeCohort,
  encodeRoundRoster,
  encodeSurvivors,
  encodeBase64,
  openCohort,
  openDeliveries,
  openRoundRoster,
  openSurvivors,
  ownMasks,
  recoverMasks,
  requirePlan,
  RingEncoder,
  ringScale,
  RingSum,
  signingKeyFromSeed,
  signStage,
  signSurvivors,
  signUnmasking,
  verifyShareBundle,
  verifySurvivorSet,
  verifyUnmaskAnswer,
  x25519PublicKey,
  type Digest,
  type OpenCohort,
  type OpenRoundRoster,
  type OpenSurvivors,
  type RingShape,
  type RoundRosterExpectation,
  type RoundMember,
  type RoundSecrets,
  type SecureAggregationDemand,
  type SecureRound,
  type ShareBundle,
  type SignedStage,
  type SigningKey,
  type UnmaskAnswer,
} from '@tributary/proto';

import { deliveryOf } from '../../support/deliveries.js';
import { bytesToWords } from '@tributary/proto/internal/secagg/ring-words.js';

import { SeededRandom } from '../../support/seeded-random.js';

export const ROUND: SecureRound = {
  wire: '1.2',
  logId: 'ab'.repeat(32),
  jobId: `job-${'1'.repeat(32)}`,
  round: 3,
  attempt: 0,
};
export const BASE: Digest = `sha256:${'5'.repeat(64)}`;
export const OTHER_BASE: Digest = `sha256:${'6'.repeat(64)}`;
export const LAYOUT: Digest = `sha256:${'7'.repeat(64)}`;

/** One site of a secure round, its secrets in the open. */
export interface Party {
  readonly agentId: string;
  readonly site: string;
  readonly key: SigningKey;
  readonly secrets: RoundSecrets;
  readonly advertisement: SignedStage;
  readonly member: RoundMember;
}

export function createParty(index: number, random: SeededRandom, baseDigest: Digest = BASE): Party {
  const agentId = `agt-${random.bytes(14).toString('hex')}${index.toString(16).padStart(4, '0')}`;
  const key = signingKeyFromSeed(random.bytes(32));
  const secrets = drawRoundSecrets((length) => new Uint8Array(random.bytes(length)));
  const payload = {
    formatVersion: 1,
    baseDigest,
    maskKey: encodeBase64(x25519PublicKey(secrets.maskSecret)),
    sealKey: encodeBase64(x25519PublicKey(secrets.sealSecret)),
    treeHead: {
      treeSize: 7,
      rootHash: 'cd'.repeat(32),
      time: '2026-01-02T03:04:05.678Z',
      signature: encodeBase64(new Uint8Array(64)),
    },
  } as const;
  const advertisement = signStage(ROUND, 'advertise', agentId, payload, key);
  const site = `site-${String(index)}`;
  const member = {
    agentId,
    site,
    identityKey: encodeBase64(key.publicKey),
    advertisement: payload,
    signature: encodeBase64(advertisement.signature),
  };
  return { agentId, site, key, secrets, advertisement, member };
}

/** A cohort of sites and what a coordinator needs to lead it through a round. */
export interface World {
  readonly parties: readonly Party[];
  readonly expected: RoundRosterExpectation;
  readonly rosterBytes: Uint8Array;
  readonly roster: OpenRoundRoster;
}

/** Sites of which all have advertised, except those with an index in `absent`. */
export function createWorld(
  demand: SecureAggregationDemand,
  seed: number,
  absent: ReadonlySet<number> = new Set(),
): World {
  const random = new SeededRandom(seed);
  const invited = Array.from({ length: demand.agents }, (_, index) => createParty(index, random));
  const parties = invited
    .filter((_, index) => !absent.has(index))
    .sort((a, b) => (a.agentId < b.agentId ? -1 : 1));
  const keys = new Set(invited.map(({ member }) => member.identityKey));
  const expected: RoundRosterExpectation = {
    round: ROUND,
    baseDigest: BASE,
    plan: requirePlan(demand),
    isMember: ({ identityKey }) => keys.has(identityKey),
  };
  const rosterBytes = encodeRoundRoster(
    expected,
    new Uint8Array(random.bytes(32)),
    parties.map(({ member }) => member),
  );
  return { parties, expected, rosterBytes, roster: openRoundRoster(rosterBytes, expected) };
}

export type Bundles = ReadonlyMap<string, ShareBundle>;

/** The bundles of everybody but those in `absent`, and the cohort that they make. */
export async function dealAll(
  { parties, roster }: World,
  absent: ReadonlySet<string> = new Set(),
): Promise<{ bundles: Bundles; cohort: OpenCohort; cohortBytes: Uint8Array }> {
  const bundles = new Map<string, ShareBundle>();
  for (const { agentId, secrets, key } of parties) {
    if (!absent.has(agentId)) bundles.set(agentId, await dealBundle(roster, agentId, secrets, key));
  }
  const cohortBytes = encodeCohort(roster, bundles);
  return { bundles, cohortBytes, cohort: openCohort(cohortBytes, roster) };
}

/** The masked vector of one site, and its plain words. */
export interface Vector {
  readonly masked: Uint8Array;
  readonly plain: Uint32Array;
}

export interface VectorInput {
  readonly delta: Float32Array;
  readonly tail: Float32Array;
  readonly clipped?: boolean;
}

/** Encodes with and without masks; pieces of `step` parameters at a time. */
export function encodeVector(
  party: Party,
  cohort: Pick<OpenCohort, 'binding' | 'peersOf'>,
  agents: number,
  clipNorm: number,
  { delta, tail, clipped = false }: VectorInput,
  step = 1_000,
): Vector {
  const masks = ownMasks(cohort.binding, party.agentId, party.secrets, cohort.peersOf(party.agentId));
  const encode = (used: typeof masks): Uint8Array => {
    const encoder = new RingEncoder({
      shape: { parameters: delta.length, tail: tail.length },
      scale: ringScale(agents, clipNorm),
      rounding: { seed: party.secrets.roundingSeed },
      masks: used,
    });
    const parts: Uint8Array[] = [];
    for (let start = 0; start < delta.length; start += step)
      parts.push(encoder.push(delta.subarray(start, start + step)));
    return Buffer.concat([...parts, encoder.finish(tail, clipped)]);
  };
  const plain = encode([]);
  return {
    masked: encode(masks),
    plain: bytesToWords(plain, new Uint32Array(plain.length / 4)),
  };
}

/** Everything after the vectors: agreement, answers of all survivors but those in `silent`, recovery. */
export async function unmask(
  world: World,
  bundles: Bundles,
  cohort: OpenCohort,
  vectors: ReadonlyMap<string, Vector>,
  silent: ReadonlySet<string> = new Set(),
): Promise<{ sum: RingSum; survivors: OpenSurvivors; answers: readonly UnmaskAnswer[] }> {
  const { roster, parties } = world;
  const survivors = openSurvivors(encodeSurvivors(cohort, [...vectors.keys()]), roster, cohort);
  const present = parties.filter(({ agentId }) => vectors.has(agentId) && !silent.has(agentId));
  const agreements = present.map(({ agentId, key }) => ({
    agentId,
    message: signSurvivors(ROUND, agentId, cohort, survivors, key),
  }));
  const commitments = new Map(
    [...bundles].map(([dealer, bundle]) => [dealer, verifyShareBundle(roster, dealer, bundle)]),
  );
  const answers = present.map((party) => {
    verifySurvivorSet(roster, cohort, survivors, agreements, party.agentId);
    const { held } = openDeliveries(
      roster,
      party.agentId,
      deliveriesTo(world, bundles, party.agentId),
      party.secrets.sealSecret,
    );
    const answer = signUnmasking(roster, cohort, survivors, party.agentId, held, party.key);
    return verifyUnmaskAnswer(roster, survivors, commitments, party.agentId, answer);
  });
  const refused = new Map(present.map(({ agentId }) => [agentId, []]));
  const recovery = await recoverMasks({ roster, cohort, survivors, commitments, refused, answers });
  if (recovery.type === 'Lost') throw recovery.error;
  const sum = sumOf(shapeOf(vectors), vectors);
  sum.unmask(recovery.masks);
  return { sum, survivors, answers };
}

/** What the coordinator routes to one holder. */
export function deliveriesTo({ roster }: World, bundles: Bundles, holder: string) {
  return [...bundles]
    .filter(([dealer]) => roster.graph.holdersOf(dealer).includes(holder))
    .map(([dealer, bundle]) => deliveryOf(roster, dealer, bundle, holder));
}

export const TAIL = 4;

function shapeOf(vectors: ReadonlyMap<string, Vector>): RingShape {
  const [first] = vectors.values();
  return { parameters: (first?.plain.length ?? 0) - 5 - 3 * TAIL, tail: TAIL };
}

/** The masked sum, added in pieces of odd sizes. */
export function sumOf(shape: RingShape, vectors: ReadonlyMap<string, Vector>): RingSum {
  const sum = new RingSum(shape);
  for (const { masked } of vectors.values()) {
    for (let start = 0; start < masked.length; start += 4_004)
      sum.add(start / 4, masked.subarray(start, start + 4_004));
  }
  return sum;
}

/** The sum of the plain words modulo 2^32. */
export function plainSum(vectors: Iterable<Vector>): Uint32Array {
  let sum: Uint32Array | undefined;
  for (const { plain } of vectors) {
    sum ??= new Uint32Array(plain.length);
    for (let index = 0; index < plain.length; index += 1)
      sum[index] = (sum[index] ?? 0) + (plain[index] ?? 0);
  }
  return sum ?? new Uint32Array(0);
}

/** An update of `length` parameters whose norm is at most weight * clipNorm. */
export function randomInput(random: SeededRandom, length: number, clipNorm: number): VectorInput {
  const weight = (1 + random.below(100)) / 100;
  const delta = Float32Array.from({ length }, () => random.uint32() / 2 ** 31 - 1);
  const norm = Math.sqrt(delta.reduce((sum, value) => sum + value * value, 0)) || 1;
  const factor = (weight * clipNorm * 0.999_999) / norm;
  return {
    delta: delta.map((value) => value * factor),
    tail: Float32Array.of(weight, weight * random.below(64), weight, weight * (random.below(128) - 64)),
    clipped: random.chance(0.5),
  };
}
