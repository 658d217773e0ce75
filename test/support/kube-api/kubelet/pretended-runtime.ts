import type { KubeObject } from '../objects.js';
import type { ContainerRuntime, ContainerStart, RunningContainer } from './runtime.js';

/** How a pretended container behaves: ends with a code, or runs until it is stopped. */
export type Behaviour = number | 'runs';

/** Containers that are pretended: for tests of the API and its clients, which need no process. */
export class PretendedRuntime implements ContainerRuntime {
  readonly #behaves: (pod: KubeObject, name: string) => Behaviour;
  #addresses = 0;

  constructor(behaves: (pod: KubeObject, name: string) => Behaviour = usually) {
    this.#behaves = behaves;
  }

  startPod(): Promise<string> {
    this.#addresses += 1;
    return Promise.resolve(`10.42.0.${String(this.#addresses)}`);
  }

  start(pod: KubeObject, { name }: ContainerStart): Promise<RunningContainer> {
    const behaviour = this.#behaves(pod, name);
    let end: (code: number) => void = () => undefined;
    const exited = new Promise<number>((resolve) => (end = resolve));
    if (behaviour !== 'runs') end(behaviour);
    return Promise.resolve({
      exited,
      log: () => Promise.resolve(`${name} is pretended\n`),
      exec: () => Promise.resolve({ code: 0, stdout: '', stderr: '' }),
      stop: () => {
        end(0);
        return exited;
      },
    });
  }

  stopPod(): Promise<void> {
    return Promise.resolve();
  }

  close(): Promise<void> {
    return Promise.resolve();
  }
}

/** Init containers and pods that run once end well; the others run. */
function usually(pod: KubeObject, name: string): Behaviour {
  const { initContainers = [], restartPolicy } = pod['spec'] as {
    readonly initContainers?: readonly { readonly name: string }[];
    readonly restartPolicy?: string;
  };
  return restartPolicy === 'Never' || initContainers.some((container) => container.name === name)
    ? 0
    : 'runs';
}
