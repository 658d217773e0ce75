import { age } from './output/age.js';
import { digits, figureOf } from './output/evaluation.js';
import type { Column } from './output/table.js';
import { conditionStatus, conditionText, list, text, type ShownObject } from './objects.js';
import type { ObjectKind } from '../domain/objects.js';

/** Conditions of a job, the newest state first: the first that is True names the STATE. */
const JOB_STATES = ['Failed', 'Complete', 'Suspended', 'Running', 'Accepted'];

function stateOf({ document }: ShownObject): string {
  const state = JOB_STATES.find((type) => conditionStatus(document, type) === 'True') ?? 'Pending';
  if (state === 'Running' && conditionText(document, 'Running', 'reason') === 'Evaluating')
    return 'Evaluating';
  return state === 'Accepted' ? 'Queued' : state;
}

const at =
  (...path: readonly string[]) =>
  (object: ShownObject) =>
    text(object.document, path);
const ratio = (one: readonly string[], all: readonly string[]) => (object: ShownObject) =>
  `${text(object.document, one, '0')}/${text(object.document, all, '0')}`;
const since =
  (nowMs: number, ...path: readonly string[]) =>
  (object: ShownObject) => {
    const from = text(object.document, path, '');
    return from === '' ? '-' : age(from, nowMs);
  };
const name: Column<ShownObject> = { title: 'NAME', cell: (object) => object.name };

/** Columns of a kind as `get` prints them; `nowMs` gives the ages. */
export function columnsOf(kind: ObjectKind, nowMs: number): readonly Column<ShownObject>[] {
  const created = { title: 'AGE', cell: since(nowMs, 'metadata', 'creationTimestamp') };
  switch (kind) {
    case 'FederatedJob':
      return [
        name,
        { title: 'STATE', cell: stateOf },
        { title: 'ROUND', cell: ratio(['status', 'currentRound'], ['spec', 'rounds']) },
        { title: 'SITES', cell: ratio(['status', 'sites', 'reporting'], ['status', 'sites', 'selected']) },
        { title: 'EPSILON', cell: at('status', 'privacy', 'spentEpsilon') },
        { title: 'METRIC', cell: metricOf },
        { title: 'MODEL', cell: modelOf },
        created,
      ];
    case 'Site':
      return [
        name,
        { title: 'READY', cell: (object) => conditionStatus(object.document, 'Ready') ?? 'Unknown' },
        { title: 'LAST-SEEN', cell: since(nowMs, 'status', 'lastSeenTime') },
        { title: 'AGENT', cell: at('status', 'agentVersion') },
        { title: 'REPLICAS', cell: ratio(['status', 'replicas', 'ready'], ['status', 'replicas', 'joined']) },
        { title: 'GPUS', cell: at('status', 'gpus') },
        { title: 'CERT-EXPIRES', cell: at('status', 'certificateExpiryTime') },
        created,
      ];
    case 'Model':
      return [
        name,
        { title: 'VERSION', cell: at('status', 'latestVersion') },
        { title: 'JOB', cell: (object) => text(latest(object), ['jobName']) },
        {
          title: 'DIGEST',
          cell: (object) => text(latest(object), ['weightsDigest']).slice(0, 'sha256:'.length + 12),
        },
        created,
      ];
    case 'ModelRollout':
      return [
        name,
        { title: 'STABLE', cell: at('status', 'stable', 'version') },
        { title: 'CANARY', cell: at('status', 'canary', 'version') },
        { title: 'WEIGHT', cell: at('status', 'weight') },
        { title: 'PHASE', cell: at('status', 'phase') },
        { title: 'SITES', cell: ratio(['status', 'sites', 'serving'], ['status', 'sites', 'selected']) },
        created,
      ];
  }
}

const latest = (object: ShownObject) => list(object.document, 'status', 'versions').at(-1);

/** The first metric that the job asks for, or the loss: its mean as the newest round told it, with the half width of its interval. */
function metricOf({ document }: ShownObject): string {
  const [first] = list(document, 'spec', 'evaluation', 'metrics');
  const wanted = typeof first === 'string' ? first : 'loss';
  const found = list(document, 'status', 'metrics')
    .map(figureOf)
    .find(({ name: metric }) => metric === wanted);
  if (found === undefined) return '-';
  const width = found.high === undefined ? '' : `±${digits(found.high - found.value)}`;
  return `${wanted}=${digits(found.value)}${width}`;
}

function modelOf(object: ShownObject): string {
  const model = text(object.document, ['status', 'modelRef', 'name'], '');
  return model === '' ? '-' : `${model}@${text(object.document, ['status', 'modelRef', 'version'])}`;
}
