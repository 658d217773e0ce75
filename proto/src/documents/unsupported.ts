import type { DocumentKind } from './kinds.js';
import { quote, type Path, type Problem } from './problem.js';

/**
 * Parts that the design knows and this version does not serve. They are refused by name, so that nobody takes a
 * refusal for a misspelling, and no job runs with less protection than it asks for.
 */
interface UnservedPart {
  readonly kind: 'FederatedJob' | 'SitePolicy';
  /** Steps from the root; '*' stands for every item of a list. */
  readonly path: readonly string[];
  /** Refused values; without it, the mere presence of the field. */
  readonly values?: readonly (string | boolean)[];
  readonly fix: string;
}

const part = (
  kind: UnservedPart['kind'],
  path: string,
  fix: string,
  values?: UnservedPart['values'],
): UnservedPart => ({
  kind,
  path: path.split('.'),
  fix,
  ...(values && { values }),
});

const STRATEGIES = [
  'FedProx', 'FedAvgM', 'FedAdagrad', 'FedAdam', 'FedYogi', 'Scaffold', 'FedBN', 'FedPer', 'CoordinateMedian',
  'TrimmedMean', 'Krum', 'MultiKrum', 'Bulyan', 'GeometricMedian', 'NormBounding',
]; // prettier-ignore

const PARTS: readonly UnservedPart[] = [
  part('FederatedJob', 'spec.task.type', 'use Binary, MultiClass or Regression', [
    'Survival',
    'Statistics',
    'Glm',
    'BoostedTrees',
  ]),
  part('FederatedJob', 'spec.features.*.type', 'use Numeric, Categorical, Date, Ratio or Sequence', [
    'Hashed',
    'Text',
    'Series',
    'Image',
  ]),
  part('FederatedJob', 'spec.mode.type', 'use Sync', ['Buffered']),
  part('FederatedJob', 'spec.strategy.type', 'use FedAvg', STRATEGIES),
  part('FederatedJob', 'spec.update.encoding', 'leave it out: updates travel as float32'),
  part('FederatedJob', 'spec.evaluation.gates', 'leave it out and judge the metrics yourself'),
  part(
    'FederatedJob',
    'spec.privacy.differentialPrivacy',
    'leave it out only if the job needs no such guarantee',
  ),
  part('SitePolicy', 'spec.federationRoot', 'leave it out and pin the coordinator by its log id'),
  part('SitePolicy', 'spec.peers', 'leave it out'),
  part(
    'SitePolicy',
    'spec.differentialPrivacy',
    'leave it out and accept only authors whom you trust with exact updates',
  ),
];

/** Everything in `document` that this version does not serve. */
export function unsupportedProblems(kind: DocumentKind, document: unknown): Problem[] {
  return PARTS.filter((candidate) => candidate.kind === kind).flatMap(({ path, values, fix }) =>
    [...valuesAt(document, path, [])]
      .filter(({ value }) => values?.includes(value as string) ?? value !== undefined)
      .map(({ at, value }) => {
        const name = typeof value === 'string' && values ? quote(value) : String(at.at(-1));
        return { path: at, what: `${name} is not served by this version`, fix };
      }),
  );
}

interface Found {
  readonly at: Path;
  readonly value: unknown;
}

function* valuesAt(value: unknown, path: readonly string[], at: Path): Generator<Found> {
  const [step, ...rest] = path;
  if (step === undefined) {
    yield { at, value };
  } else if (step === '*') {
    if (Array.isArray(value))
      for (const [index, item] of value.entries()) yield* valuesAt(item, rest, [...at, index]);
  } else if (typeof value === 'object' && value !== null && Object.hasOwn(value, step)) {
    yield* valuesAt((value as Readonly<Record<string, unknown>>)[step], rest, [...at, step]);
  }
}
