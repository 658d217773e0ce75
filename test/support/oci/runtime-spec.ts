import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';

import { temporaryDirectory } from '../temporary-directory.js';
import { Containerd } from './containerd.js';

export interface Mount {
  readonly destination: string;
  readonly type: string;
  readonly source: string;
  readonly options: readonly string[];
}

/** What we set of the OCI runtime specification; the rest stays as containerd writes it. */
export interface RuntimeSpec {
  readonly ociVersion: string;
  readonly process: {
    readonly user: {
      readonly uid: number;
      readonly gid: number;
      readonly additionalGids?: readonly number[];
    };
    readonly args: readonly string[];
    readonly env: readonly string[];
    readonly cwd: string;
    readonly noNewPrivileges?: boolean;
    readonly capabilities: Readonly<Record<string, readonly string[]>>;
    readonly [field: string]: unknown;
  };
  readonly root: { readonly path: string; readonly readonly?: boolean };
  readonly hostname?: string;
  readonly mounts: readonly Mount[];
  readonly linux: {
    readonly namespaces: readonly { readonly type: string; readonly path?: string }[];
    readonly seccomp?: unknown;
    readonly [field: string]: unknown;
  };
}

let known: Promise<RuntimeSpec> | undefined;

/**
 * The specification that containerd itself writes for a container with its default seccomp profile, which is what the
 * kubelet's RuntimeDefault means there: asked of a real containerd, once in a process.
 */
export function defaultSpec(): Promise<RuntimeSpec> {
  known ??= ask();
  return known;
}

async function ask(): Promise<RuntimeSpec> {
  const folder = await temporaryDirectory();
  const containerd = await Containerd.start();
  try {
    const root = join(folder.path, 'rootfs');
    await mkdir(root);
    await containerd.ctr('containers', 'create', '--rootfs', '--seccomp', root, 'probe', '/program');
    const { Spec } = JSON.parse(await containerd.ctr('containers', 'info', 'probe')) as {
      readonly Spec: RuntimeSpec;
    };
    return Spec;
  } finally {
    await containerd.stop();
    await folder.remove();
  }
}
