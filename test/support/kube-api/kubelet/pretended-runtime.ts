import type { KubeObject } from '../objects.js';
import type { ContainerRuntime, ContainerSpec, RunningContainer } from './runtime.js';

/** How a pretended container behaves: ends with a code, or runs until it is stopped. */
export type Behaviour = number | 'runs';

/** Containers that are pretended: for tests of the API and its clients, which need no process. */
export class PretendedRuntime implements ContainerRuntime {
  readonly started: ContainerSpec[] = [];
  readonly #behaves: (pod: KubeObject, spec: ContainerSpec) => Behaviour;
  #addresses = 0;

  constructor(behaves: (pod: KubeObject, spec: ContainerSpec) => Behaviour = usually) {
    this.#behaves = behaves;
  }

  startPod(): Promise<string> {
    this.#addresses += 1;
    return Promise.resolve(`10.42.0.${String(this.#addresses)}`);
  }

  start(pod: KubeObject, spec: ContainerSpec): Promise<RunningContainer> {
    this.started.push(spec);
    const behaviour = this.#behaves(pod, spec);
    let end: (code: number) => void = () => undefined;
    const exited = new Promise<number>((resolve) => (end = resolve));
    if (behaviour !== 'runs') end(behaviour);
    const kill = (): Promise<void> => Promise.resolve(end(0));
    return Promise.resolve({ exited, kill, execute: () => Promise.resolve(0) });
  }

  stopPod(): Promise<void> {
    return Promise.resolve();
  }

  close(): Promise<void> {
    return Promise.resolve();
  }
}

/** Init containers and pods that run once end well; the others run. */
function usually(pod: KubeObject, { name }: ContainerSpec): Behaviour {
  const { initContainers = [], restartPolicy } = pod['spec'] as {
    readonly initContainers?: readonly { readonly name: string }[];
    readonly restartPolicy?: string;
  };
  return restartPolicy === 'Never' || initContainers.some((container) => container.name === name)
    ? 0
    : 'runs';
}
