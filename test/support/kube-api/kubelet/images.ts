import { mkdir, symlink } from 'node:fs/promises';
import { existsSync, lstatSync, readlinkSync } from 'node:fs';
import { join } from 'node:path';

import { repositoryRoot } from '../../daemon.js';
import type { Mount } from './runtime.js';

/** What an image gives to a container. */
export interface Image {
  /** Folder that becomes the root. */
  readonly root: string;
  /** Folders and files of this machine that belong to it. */
  readonly mounts: readonly Mount[];
  readonly entrypoint: readonly string[];
  readonly args: readonly string[];
  readonly environment: Readonly<Record<string, string>>;
}

export interface Images {
  /** Throws where there is no such image. */
  find(reference: string): Promise<Image>;
}

const BINARIES: Readonly<Record<string, string>> = {
  'tributary/coordinator': 'coordinator/bin/tributary-coordinator.js',
  'tributary/agent': 'edge-agent/bin/tributary-agent.js',
};
const HOME = '/opt/tributary';
const NODE = '/opt/node';

/** In place of built images: this machine's own system, read-only, with this checkout and this Node.js in it. */
export class CheckoutImages implements Images {
  readonly #root: string;
  #made: Promise<void> | undefined;

  constructor(folder: string) {
    this.#root = join(folder, 'root');
  }

  async find(reference: string): Promise<Image> {
    const repository = /^(?:[^/]+\.[^/]+\/)?(.+?)(?:[:@].*)?$/.exec(reference)?.[1] ?? '';
    const script = BINARIES[repository];
    if (script === undefined) throw new Error(`no image ${reference}`);
    this.#made ??= this.#make();
    await this.#made;
    const bind = (source: string, destination = source): Mount => ({ source, destination, readOnly: true });
    return {
      root: this.#root,
      mounts: [
        bind('/usr'),
        ...SYSTEM_FOLDERS.filter((path) => existsSync(path) && !isLink(path)).map((path) => bind(path)),
        bind(process.execPath, NODE),
        bind(repositoryRoot, HOME),
      ],
      entrypoint: [NODE, join(HOME, script)],
      args: [],
      environment: { PATH: '/opt:/usr/local/bin:/usr/bin:/bin', NODE_ENV: 'production' },
    };
  }

  async #make(): Promise<void> {
    await mkdir(this.#root, { recursive: true });
    for (const path of SYSTEM_FOLDERS)
      if (existsSync(path) && isLink(path)) await symlink(readlinkSync(path), join(this.#root, path));
  }
}

const SYSTEM_FOLDERS = ['/bin', '/lib', '/lib64'];
const isLink = (path: string): boolean => lstatSync(path).isSymbolicLink();
