import { execFileSync, spawn } from 'node:child_process';
import { existsSync, rmSync } from 'node:fs';
import { mkdir, open, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { randomBytes } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';

import { execute, type Ran } from '../kube/charts.js';
import { temporaryDirectory } from '../temporary-directory.js';
import { eventually } from '../waiting.js';
import { podRuntimeSpec, type Network } from './bundle.js';
import type { PodVolumes } from './pod-volumes.js';
import { defaultSpec } from './runtime-spec.js';
import type { UnpackedImage } from './unpack.js';

export interface ContainerOptions {
  readonly image: UnpackedImage;
  /** A PodSpec, as rendered: `spec.template.spec` of a Deployment, `spec` of a Pod. */
  readonly pod: unknown;
  /** Name of one of its containers or initContainers. */
  readonly container: string;
  /** Of podVolumes. */
  readonly volumes?: PodVolumes;
  /** Of containerEnvironment. */
  readonly variables?: Readonly<Record<string, string>>;
  readonly network?: Network;
  /** Files of this machine by their path in the container, read-only; /etc/hosts and /etc/resolv.conf are this machine's by default. */
  readonly files?: Readonly<Record<string, string>>;
}

export interface RunningContainer {
  readonly id: string;
  /** Of the container's first process, as this machine counts. */
  readonly pid: number;
  /** Resolves with the exit code when it has ended: 128 and the signal's number where a signal ended it. */
  readonly exited: Promise<number>;
  readonly running: () => boolean;
  /** Everything printed so far. */
  readonly log: () => Promise<string>;
  /** Runs a command beside it, with its user, mounts and limits, as exec probes, preStop and `kubectl exec` do. */
  readonly exec: (...command: readonly string[]) => Promise<Ran>;
  /** SIGTERM, SIGKILL after the grace period, and everything of it is taken away. Resolves with the exit code. */
  readonly stop: (graceMs?: number) => Promise<number>;
}

const PROGRAMS = ['/usr/sbin/runc', '/usr/bin/containerd', '/usr/bin/ctr'];

/** For the titles of tests that are skipped; empty where containers can run here. */
export const WHY_NO_CONTAINERS =
  process.getuid?.() === 0 && PROGRAMS.every((path) => existsSync(path))
    ? ''
    : ' (needs root, runc and containerd)';

/**
 * Starts one container of a rendered pod under runc, with the security settings that the pod asks for. Rejects where runc
 * refuses it. It holds mounts: stop it, even when it has ended by itself.
 */
export async function startContainer(options: ContainerOptions): Promise<RunningContainer> {
  const {
    image,
    pod,
    container,
    volumes = {},
    variables = {},
    network = 'host',
    files = HOST_FILES,
  } = options;
  const base = await defaultSpec();
  const id = `${container}-${randomBytes(6).toString('hex')}`;
  const folder = await temporaryDirectory();
  const bundle = join(folder.path, 'bundle');
  const spec = podRuntimeSpec(base, {
    ...{ id, pod, container, volumes, variables, network, files },
    image: image.config,
    rootfs: join(bundle, 'rootfs'),
  });
  await mountRoot(image.rootfs, bundle);
  await writeFile(join(bundle, 'config.json'), JSON.stringify(spec));

  const logFile = join(folder.path, 'log');
  const log = await open(logFile, 'a');
  const pidFile = join(folder.path, 'pid');
  const child = spawn('runc', ['run', '--bundle', bundle, '--pid-file', pidFile, id], {
    stdio: ['ignore', log.fd, log.fd],
  });
  await log.close();
  let last: string | undefined;
  const readLog = async (): Promise<string> => last ?? (await readFile(logFile, 'utf8'));
  const exited = new Promise<number>((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (code) => resolve(code ?? -1));
  });
  let ended = false;
  let removed: Promise<void> | undefined;
  const remove = (): Promise<void> => {
    removed ??= (async () => {
      process.off('exit', abandon);
      unmountRoot(bundle);
      await folder.remove();
    })();
    return removed;
  };
  // A test that dies leaves no container behind.
  const abandon = (): void => {
    quietly('runc', ['delete', '--force', id]);
    unmountRoot(bundle);
    rmSync(folder.path, { recursive: true, force: true });
  };
  process.on('exit', abandon);
  void exited.then(
    () => (ended = true),
    () => (ended = true),
  );
  const started = async (): Promise<string | undefined> => {
    const over = ended;
    const text = await readFile(pidFile, 'utf8').catch(() => '');
    return text === '' && over ? '0' : text || undefined;
  };
  const pid = Number(await eventually(`runc to start ${id}`, started, 60_000));
  if (pid === 0) {
    const said = await readLog();
    await remove();
    throw new Error(`runc: ${said}`);
  }
  const signal = (name: string): Promise<Ran> => execute('runc', ['kill', id, name]);
  return {
    id,
    pid,
    exited,
    running: () => !ended,
    log: readLog,
    exec: (...command) => execute('runc', ['exec', id, ...command]),
    stop: async (graceMs = 30_000) => {
      if (!ended) await signal('TERM');
      if (!(await Promise.race([exited.then(() => true), sleep(graceMs, false, { ref: false })])))
        await signal('KILL');
      const code = await exited;
      last ??= await readLog();
      await remove();
      return code;
    },
  };
}

const HOST_FILES = { '/etc/hosts': '/etc/hosts', '/etc/resolv.conf': '/etc/resolv.conf' };

/** The image's files below a layer in memory that takes the mount points, as a container engine has it. */
async function mountRoot(image: string, bundle: string): Promise<void> {
  const scratch = join(bundle, 'scratch');
  const rootfs = join(bundle, 'rootfs');
  await mkdir(scratch, { recursive: true });
  await mkdir(rootfs);
  execFileSync('mount', ['-t', 'tmpfs', '-o', 'mode=755', 'tmpfs', scratch]);
  const [upper, work] = [join(scratch, 'upper'), join(scratch, 'work')];
  await mkdir(upper);
  await mkdir(work);
  const layers = `lowerdir=${image},upperdir=${upper},workdir=${work}`;
  execFileSync('mount', ['-t', 'overlay', '-o', layers, 'overlay', rootfs]);
}

function unmountRoot(bundle: string): void {
  quietly('umount', ['--lazy', join(bundle, 'rootfs')]);
  quietly('umount', ['--lazy', join(bundle, 'scratch')]);
}

function quietly(program: string, args: readonly string[]): void {
  try {
    execFileSync(program, args, { stdio: 'ignore' });
  } catch {
    // Gone already.
  }
}
