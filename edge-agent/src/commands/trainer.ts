import type { Log } from '../app/log.js';
import { PORTABLE, type BackendName } from '../adapters/training/backend.js';
import { candidatesFrom } from '../adapters/training/probe.js';
import { SocketTrainer } from '../adapters/training/socket/socket-trainer.js';
import { WorkerTrainer } from '../adapters/training/worker-trainer.js';
import type { AgentConfig } from '../config.js';
import type { Trainer } from '../ports.js';
import type { BackendChoiceName, TfjsTrainerConfig, TrainerConfig } from '../trainer-config.js';

const FIRST: Readonly<Record<BackendChoiceName, BackendName>> = {
  Auto: 'native-gpu',
  NativeGpu: 'native-gpu',
  NativeCpu: 'native-cpu',
  WebGpu: 'webgpu',
  Wasm: 'wasm',
  Cpu: 'cpu',
};

/** Where a trainer says what became of its first choices. */
export type TrainerLog = Pick<Log, 'info' | 'warn'>;

/** The trainer of a site. */
export function createTrainer(config: Pick<AgentConfig, 'trainer'>, log: TrainerLog): Trainer {
  const { trainer } = config;
  if (trainer.type === 'Socket') return new SocketTrainer(trainer);
  return createTfjsTrainer(trainer, log);
}

/** Backends that a site tries, in order. */
export const backendsOf = ({ backend }: TfjsTrainerConfig): readonly BackendName[] =>
  candidatesFrom(FIRST[backend]);

/** TensorFlow.js in a worker thread. What it falls back to is said: loudly where something is wrong or slow. */
export function createTfjsTrainer(trainer: TfjsTrainerConfig, log: TrainerLog): WorkerTrainer {
  const { nativeGpuPackage, nativeCpuPackage, environment } = trainer;
  return new WorkerTrainer({
    backends: backendsOf(trainer),
    packages: {
      ...(nativeGpuPackage !== undefined && { 'native-gpu': nativeGpuPackage }),
      ...(nativeCpuPackage !== undefined && { 'native-cpu': nativeCpuPackage }),
    },
    environment,
    onFallback: (backend, refused) => {
      const fields = {
        backend,
        refused: refused.map(({ backend: name, reason }) => `${name}: ${reason}`).join('; '),
      };
      const usual = refused.every(({ absent }) => absent) && !backend.endsWith(PORTABLE[1]);
      if (usual) log.info(fields, 'backend chosen');
      else log.warn(fields, 'training on another backend than the first that is there');
    },
  });
}

/** What a trainer is called before it has trained anything. */
export const describeTrainer = (trainer: TrainerConfig): string =>
  trainer.type === 'Socket' ? `a trainer at ${trainer.path}` : `TensorFlow.js, ${trainer.backend}`;
