import {
  digestOf,
  drawRoundSecrets,
  formatId,
  ownMasks,
  RingEncoder,
  ringScale,
  RingSum,
  tailLength,
  x25519PublicKey,
  type Mask,
  type MaskBinding,
  type OpenedSum,
  type RingScale,
  type RingShape,
} from '@tributary/proto';
import { opposite, selfMask } from '@tributary/proto/internal/secagg/mask-keys.js';
import { bytesToWords } from '@tributary/proto/internal/secagg/ring-words.js';

import { SeededRandom } from '../support/seeded-random.js';
import { TAIL, type SentUpdate } from './attack-site.js';

/** The sites of one secure round of the attack bench; the secrets come from a seed, so that a run can be repeated. */
export class MaskedRound {
  readonly #shape: RingShape;
  readonly #scale: RingScale;
  readonly #binding: MaskBinding;
  readonly #random: SeededRandom;
  /** Sets masks apart from rounding: a sum is then rounded alike with masks and without. */
  readonly #maskSeed: number;

  /** `parameters` of the model, `sites` in the cohort, deltas clipped to `clipNorm`. */
  constructor(parameters: number, sites: number, clipNorm: number, seed: number) {
    this.#shape = { parameters, tail: tailLength(TAIL) };
    this.#scale = ringScale(sites, clipNorm);
    this.#random = new SeededRandom(seed);
    this.#maskSeed = this.#random.uint32();
    const digest = digestOf(this.#random.bytes(32));
    this.#binding = {
      round: {
        wire: '1.2',
        logId: 'ab'.repeat(32),
        jobId: formatId('job', this.#random.bytes(16)),
        round: 1,
        attempt: 0,
      },
      baseDigest: digest,
      cohortDigest: digest,
    };
  }

  /** The words of the first site of the cohort, read as if nothing masked them: parameters in units of the delta. */
  first(updates: readonly SentUpdate[], masked: boolean): Float64Array {
    const [first] = updates;
    if (first === undefined) throw new RangeError('a round without sites');
    const masks = masked ? this.#masks(updates.length).masks[0] : [];
    const bytes = this.#encoder(masks ?? []).push(deltaOf(first, this.#shape));
    const words = bytesToWords(bytes, new Uint32Array(this.#shape.parameters));
    return Float64Array.from(words, (word) => (word | 0) / this.#scale.scale);
  }

  /**
   * The opened sum of all sites. `masked`: every vector goes through its masks, and the self masks are taken off the sum;
   * the words of the sum are the same without.
   */
  sum(updates: readonly SentUpdate[], masked: boolean): OpenedSum {
    const sum = new RingSum(this.#shape);
    const { masks, recovered } = masked ? this.#masks(updates.length) : { masks: [], recovered: [] };
    for (const [site, update] of updates.entries()) {
      const encoder = this.#encoder(masks[site] ?? []);
      sum.add(0, encoder.push(deltaOf(update, this.#shape)));
      sum.add(this.#shape.parameters, encoder.finish(tailOf(update, this.#shape), false));
    }
    sum.unmask(recovered);
    return sum.open(this.#scale, updates.length);
  }

  #encoder(masks: readonly Mask[]): RingEncoder {
    const seed = new Uint8Array(this.#random.bytes(32));
    return new RingEncoder({ shape: this.#shape, scale: this.#scale, rounding: { seed }, masks });
  }

  /** The masks of every site, and what takes them off the sum where nobody drops out. */
  #masks(sites: number): {
    readonly masks: readonly (readonly Mask[])[];
    readonly recovered: readonly Mask[];
  } {
    const random = new SeededRandom(this.#maskSeed);
    const parties = Array.from({ length: sites }, () => {
      const secrets = drawRoundSecrets((length) => new Uint8Array(random.bytes(length)));
      return {
        agentId: formatId('agt', random.bytes(16)),
        maskKey: x25519PublicKey(secrets.maskSecret),
        secrets,
      };
    });
    return {
      masks: parties.map((own) =>
        ownMasks(
          this.#binding,
          own.agentId,
          own.secrets,
          parties.filter((peer) => peer !== own),
        ),
      ),
      recovered: parties.map(({ agentId, secrets }) =>
        opposite(selfMask(this.#binding, agentId, secrets.seed)),
      ),
    };
  }
}

const deltaOf = ({ vector }: SentUpdate, { parameters }: RingShape): Float32Array =>
  vector.subarray(0, parameters);
const tailOf = ({ vector }: SentUpdate, { parameters }: RingShape): Float32Array =>
  vector.subarray(parameters);
