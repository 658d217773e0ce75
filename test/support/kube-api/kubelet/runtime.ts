import type { KubeObject } from '../objects.js';

/** A folder or file of the node that a container sees. */
export interface Mount {
  readonly source: string;
  readonly destination: string;
  readonly readOnly: boolean;
}

/** What a pod asks for one of its containers, resolved: variables read, volumes prepared. */
export interface ContainerSpec {
  /** Unique, of letters, digits and "-". */
  readonly id: string;
  readonly name: string;
  readonly image: string;
  /** Instead of the image's entry point; undefined leaves it. */
  readonly command: readonly string[] | undefined;
  /** Instead of the image's arguments; undefined leaves them. */
  readonly args: readonly string[] | undefined;
  readonly environment: Readonly<Record<string, string>>;
  readonly mounts: readonly Mount[];
  readonly user: number;
  readonly group: number;
  readonly extraGroups: readonly number[];
  readonly readOnlyRoot: boolean;
  readonly noNewPrivileges: boolean;
  readonly dropsCapabilities: boolean;
  readonly memoryBytes: number | undefined;
  /** Standard output and error are appended here. */
  readonly logFile: string;
}

export interface RunningContainer {
  /** Its exit code, when it has ended. */
  readonly exited: Promise<number>;
  kill(signal: 'SIGTERM' | 'SIGKILL'): Promise<void>;
  /** Runs a command inside; gives its exit code. */
  execute(command: readonly string[]): Promise<number>;
}

/** Runs pods. */
export interface ContainerRuntime {
  /** Makes the network of a pod; gives its address. */
  startPod(pod: KubeObject): Promise<string>;
  start(pod: KubeObject, spec: ContainerSpec): Promise<RunningContainer>;
  stopPod(pod: KubeObject): Promise<void>;
  /** Ends and removes everything. */
  close(): Promise<void>;
}
