import {
  compileFeatures,
  layoutOf,
  parseFederatedJob,
  TributaryError,
  type FederatedJobSpec,
} from '@tributary/proto';

import type { Refusal } from '../adapters/training/probe.js';
import type { AgentConfig } from '../config.js';
import type { TfjsTrainerConfig } from '../trainer-config.js';
import { readJob } from './job-file.js';
import { backendsOf, createTfjsTrainer } from './trainer.js';

export interface BackendsFlags {
  readonly output: string;
  /** A job whose model is tried. */
  readonly file?: string;
}

/** What became of one backend. */
export interface BackendLine {
  readonly backend: string;
  readonly state: 'Chosen' | 'Refused' | 'NotInstalled' | 'NotNeeded';
  readonly reason: string;
}

const quiet = { info: () => undefined, warn: () => undefined };

/** Tells which backend would train a model here, and why each other would not; see `tributary-agent backends`. */
export async function backendsCommand(config: AgentConfig, { output, file }: BackendsFlags): Promise<string> {
  if (config.trainer.type === 'Socket')
    throw new TributaryError(
      'USAGE',
      'the trainer of this site is another process, which chooses for itself',
      {
        hint: 'backends are those of trainer.type Tfjs in agent.yaml',
      },
    );
  const spec = file === undefined ? SAMPLE : (await readJob(file)).spec;
  const { chosen, lines } = await explainBackends(config.trainer, spec);
  if (output === 'json') return `${JSON.stringify({ chosen: chosen ?? null, backends: lines }, null, 2)}\n`;
  return describe(lines, file === undefined ? 'a small sample model' : 'the model of the job');
}

/** Tries the backends with the model of a job, with a small sample without one; `stop` cuts it short. */
export async function explainBackends(
  config: TfjsTrainerConfig,
  spec: FederatedJobSpec = SAMPLE,
  stop?: AbortSignal,
): Promise<{ readonly chosen: string | undefined; readonly lines: readonly BackendLine[] }> {
  const { shape } = compileFeatures(spec.features);
  const layout = layoutOf(spec.model.layers, shape);
  const trainer = createTfjsTrainer(config, quiet);
  const close = (): void => {
    trainer.close().catch(() => undefined);
  };
  stop?.addEventListener('abort', close, { once: true });
  try {
    const { chosen, refused } = await trainer.explain({ spec, layout, input: shape });
    const lines = backendsOf(config).map((backend) =>
      lineOf(
        backend,
        chosen,
        refused.find((one) => one.backend === backend),
      ),
    );
    return { chosen, lines };
  } finally {
    await trainer.close();
  }
}

function lineOf(backend: string, chosen: string | undefined, refusal: Refusal | undefined): BackendLine {
  if (refusal !== undefined)
    return { backend, state: refusal.absent ? 'NotInstalled' : 'Refused', reason: refusal.reason };
  if (backend === chosen)
    return {
      backend,
      state: 'Chosen',
      reason: 'took a training step of the model: finite loss, changed weights',
    };
  return { backend, state: 'NotNeeded', reason: 'comes after the chosen one' };
}

function describe(lines: readonly BackendLine[], model: string): string {
  const rows = lines.map(
    ({ backend, state, reason }) => `${backend.padEnd(12)} ${state.padEnd(13)} ${reason}`,
  );
  return [`Tried in this order with ${model}:`, ...rows, ''].join('\n');
}

/** Dense layers, a batch of four: what every backend should be able to do. */
const SAMPLE: FederatedJobSpec = parseFederatedJob({
  apiVersion: 'tributary.dev/v1alpha1',
  kind: 'FederatedJob',
  metadata: { name: 'sample' },
  spec: {
    task: { type: 'Binary', positive: 'yes' },
    dataset: { name: 'sample', label: 'y' },
    features: [
      { name: 'a', type: 'Numeric' },
      { name: 'b', type: 'Numeric' },
    ],
    model: {
      name: 'sample',
      layers: [
        { type: 'Dense', units: 8, activation: 'Relu' },
        { type: 'Dense', units: 1, activation: 'Sigmoid' },
      ],
    },
    training: { batchSize: 4, optimizer: { type: 'Adam', learningRate: 0.01 } },
    rounds: 1,
    privacy: { secureAggregation: false },
  },
}).spec;
