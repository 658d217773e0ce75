import type { PodVolumes } from '../../oci/pod-volumes.js';
import type { RunningContainer as Container } from '../../oci/run.js';
import type { KubeObject } from '../objects.js';

/** A container of a pod, with its volumes prepared and its variables read. */
export interface ContainerStart {
  /** Name of one of the pod's containers or initContainers. */
  readonly name: string;
  readonly volumes: PodVolumes;
  readonly variables: Readonly<Record<string, string>>;
}

export type RunningContainer = Pick<Container, 'exited' | 'exec' | 'log' | 'stop'>;

/** Runs pods. */
export interface ContainerRuntime {
  /** Makes the network of a pod; gives its address. */
  startPod(pod: KubeObject): Promise<string>;
  start(pod: KubeObject, container: ContainerStart): Promise<RunningContainer>;
  stopPod(pod: KubeObject): Promise<void>;
  /** Removes what is left when every pod has ended. */
  close(): Promise<void>;
}
