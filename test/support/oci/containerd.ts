import { spawn, type ChildProcess } from 'node:child_process';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import { execute, type Ran } from '../kube/charts.js';
import { temporaryDirectory, type TemporaryDirectory } from '../temporary-directory.js';
import { eventually } from '../waiting.js';

/** Plug-ins that a test has no use for, or that this kernel may lack. */
const DISABLED = [
  'grpc.v1.cri',
  'snapshotter.v1.btrfs',
  'snapshotter.v1.zfs',
  'snapshotter.v1.devmapper',
].map((name) => `io.containerd.${name}`);

/** A containerd of the test's own: root, state and socket in a folder that goes with it. Needs root. */
export class Containerd {
  readonly #folder: TemporaryDirectory;
  readonly #child: ChildProcess;

  private constructor(folder: TemporaryDirectory, child: ChildProcess) {
    this.#folder = folder;
    this.#child = child;
  }

  static async start(): Promise<Containerd> {
    const folder = await temporaryDirectory();
    const config = join(folder.path, 'config.toml');
    await writeFile(
      config,
      [
        'version = 2',
        `root = ${JSON.stringify(join(folder.path, 'root'))}`,
        `state = ${JSON.stringify(join(folder.path, 'state'))}`,
        `disabled_plugins = ${JSON.stringify(DISABLED)}`,
        `[grpc]\naddress = ${JSON.stringify(join(folder.path, 'containerd.sock'))}\n`,
      ].join('\n'),
    );
    const child = spawn('containerd', ['--config', config], { stdio: 'ignore' });
    const started = new Containerd(folder, child);
    await eventually('containerd', async () =>
      (await started.run(['version'])).code === 0 ? true : undefined,
    );
    return started;
  }

  /** Runs `ctr`, in the namespace in which the kubelet's images and containers lie. */
  run(args: readonly string[]): Promise<Ran> {
    const address = join(this.#folder.path, 'containerd.sock');
    return execute('ctr', ['--address', address, '--namespace', 'k8s.io', ...args]);
  }

  /** The same, rejecting with what it says where it fails. */
  async ctr(...args: readonly string[]): Promise<string> {
    const { code, stdout, stderr } = await this.run(args);
    if (code !== 0) throw new Error(`ctr ${args.join(' ')}: ${stderr}`);
    return stdout;
  }

  async stop(): Promise<void> {
    const closed = new Promise((resolve) => this.#child.once('close', resolve));
    this.#child.kill('SIGTERM');
    await closed;
    await this.#folder.remove();
  }
}
