import type { SeededRandom } from '../../support/seeded-random.js';
import type { Evidence } from '../judge/evidence.js';
import type { JobType, Template } from '../template.js';
import type { World, WorldOptions } from '../world.js';

/** What a case is given. */
export interface CaseParts {
  readonly random: SeededRandom;
  readonly job: JobType;
  /** One of the variants of its kind. */
  readonly variant: string;
  /** A world of its own, over the template unless another is named. */
  readonly open: (
    options?: Partial<Pick<WorldOptions, 'rounds' | 'epochs' | 'template' | 'job' | 'spec'>>,
  ) => Promise<World>;
}

/** What a kind may need to prepare. */
export interface KindParts {
  readonly template: Template;
  /** An empty folder of its own. */
  readonly folder: string;
  readonly random: SeededRandom;
  /** Cases that may follow. */
  readonly cases: number;
  /** The only variant, of a case that is repeated. */
  readonly variant?: string | undefined;
  /** Whether what happens again and again is to be broken each time, rather than once. */
  readonly every: boolean;
}

/** One kind of fault. */
export interface FaultKind {
  readonly name: string;
  /** What it does, for the table. */
  readonly about: string;
  /** Why it cannot run on this machine or as this user. */
  readonly missing?: () => string | undefined;
  /** Called once, before its first case. */
  readonly prepare?: (parts: KindParts) => Promise<void>;
  /** What its cases differ in; the first ones are those of a short run. */
  readonly variants: () => readonly string[];
  /**
   * Puts a world through the fault, until its jobs have ended. The judge looks at it afterwards. Resolves with what shows
   * that the fault happened: without, the case has failed.
   */
  readonly run: (parts: CaseParts) => Promise<readonly Evidence[]>;
  /** Called once, after its last case, and where `prepare` failed. */
  readonly clear?: () => Promise<void>;
  /** What the table says of all its cases together. */
  readonly summary?: () => string;
}
