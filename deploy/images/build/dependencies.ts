import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { cp, mkdir, mkdtemp, open, readdir, readFile, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';

import { output } from './commands.js';
import type { Entry } from './entries.js';
import { ELF_MACHINES, elfMachine, npmCpu, type Architecture } from './platforms.js';

/** A package as npm's hidden lock file has it. */
interface LockedPackage {
  readonly version?: string;
  readonly integrity?: string;
  readonly license?: string;
  readonly link?: boolean;
  readonly dependencies?: Readonly<Record<string, string>>;
  readonly optionalDependencies?: Readonly<Record<string, string>>;
  readonly peerDependencies?: Readonly<Record<string, string>>;
}

export interface NpmPackage {
  /** Below /opt/tributary: node_modules/... */
  readonly path: string;
  readonly name: string;
  readonly version: string;
  readonly integrity: string;
  readonly license: string;
  /** Paths of the packages that it finds when it asks for its dependencies. */
  readonly needs: readonly string[];
}

export interface Dependencies {
  readonly folder: string;
  readonly packages: readonly NpmPackage[];
}

const WORKSPACES = ['proto', 'coordinator', 'edge-agent'];

/** Everything that the workspaces need on a platform, installed by npm without scripts, once per package-lock.json. */
export async function installed(root: string, architecture: Architecture, cache: string): Promise<string> {
  const files = ['package.json', 'package-lock.json', '.npmrc'].concat(
    WORKSPACES.map((name) => `${name}/package.json`),
  );
  const hash = createHash('sha256');
  for (const file of files) hash.update(await readFile(join(root, file)));
  const folder = join(cache, 'npm', `${architecture}-${hash.digest('hex').slice(0, 32)}`);
  if (existsSync(folder)) return folder;
  await mkdir(join(cache, 'npm'), { recursive: true });
  const part = await mkdtemp(join(cache, 'npm', 'part-'));
  try {
    for (const file of files) await cp(join(root, file), join(part, file));
    // npm links commands of workspaces only where they are.
    for (const name of WORKSPACES)
      await cp(join(root, name, 'bin'), join(part, name, 'bin'), { recursive: true });
    const platform = ['--os', 'linux', '--cpu', npmCpu(architecture), '--libc', 'glibc'];
    await output('npm', ['ci', '--omit=dev', '--prefer-offline', ...platform], part);
    // Half a gigabyte that an older package-lock.json asked for.
    for (const entry of await readdir(join(cache, 'npm')))
      if (entry.startsWith(architecture))
        await rm(join(cache, 'npm', entry), { recursive: true, force: true });
    await rename(part, folder);
  } finally {
    await rm(part, { recursive: true, force: true });
  }
  return folder;
}

/**
 * What `workspaces` need of an installation. Their own optional dependencies stay out: bindings for GPUs, which are of
 * no use without the script that downloads TensorFlow.
 */
export async function dependenciesOf(folder: string, workspaces: readonly string[]): Promise<Dependencies> {
  const lock = JSON.parse(await readFile(join(folder, 'node_modules/.package-lock.json'), 'utf8')) as {
    readonly packages: Readonly<Record<string, LockedPackage>>;
  };
  const found = new Map<string, NpmPackage>();
  const visit = (path: string): void => {
    const locked = lock.packages[path];
    if (locked === undefined || locked.link === true || found.has(path)) return;
    const { version = '', integrity = '', license = '' } = locked;
    const names = Object.keys({
      ...locked.dependencies,
      ...locked.optionalDependencies,
      ...locked.peerDependencies,
    });
    const needs = names.flatMap((name) => placeOf(lock.packages, path, name) ?? []).sort();
    const name = path.slice(path.lastIndexOf('node_modules/') + 'node_modules/'.length);
    found.set(path, { path, name, version, integrity, license, needs });
    needs.forEach(visit);
  };
  for (const workspace of workspaces) {
    const { dependencies = {} } = JSON.parse(
      await readFile(join(folder, workspace, 'package.json'), 'utf8'),
    ) as LockedPackage;
    for (const name of Object.keys(dependencies)) {
      const place = placeOf(lock.packages, workspace, name);
      if (place === undefined) throw new Error(`${workspace}: ${name} was not installed`);
      visit(place);
    }
  }
  const packages = [...found.values()].sort((a, b) => (a.path < b.path ? -1 : 1));
  return { folder, packages };
}

/** Where Node.js finds a package that one at `from` asks for. */
function placeOf(
  packages: Readonly<Record<string, LockedPackage>>,
  from: string,
  name: string,
): string | undefined {
  for (let base = from; base !== ''; base = base.slice(0, Math.max(0, base.lastIndexOf('/node_modules/')))) {
    const place = `${base}/node_modules/${name}`;
    if (packages[place] !== undefined) return place;
  }
  return packages[`node_modules/${name}`] === undefined ? undefined : `node_modules/${name}`;
}

/** Sources, maps and declarations, which nothing reads at run time. */
const UNREAD = /\.([cm]?ts|map|tsbuildinfo)$/;
/** Addons for other platforms, beside the one for this. */
const PREBUILT = /\/prebuilds\/([^/]+)\/[^/]+$/;

/** The files of these packages. Rejects where a native file is for another processor. */
export async function dependencyLayer(
  { folder, packages }: Dependencies,
  architecture: Architecture,
): Promise<readonly Entry[]> {
  const entries: Entry[] = [];
  for (const { path } of packages) {
    for (const file of await filesBelow(join(folder, path))) {
      const name = `${path}/${file}`;
      const prebuilt = PREBUILT.exec(name)?.[1];
      const other = prebuilt !== undefined && prebuilt !== `linux-${npmCpu(architecture)}`;
      if (UNREAD.test(file) || other || file.endsWith('.musl.node')) continue;
      await checkMachine(join(folder, name), architecture);
      entries.push({ kind: 'file', path: `opt/tributary/${name}`, content: join(folder, name) });
    }
  }
  return entries;
}

/** Files of a package, without those of packages installed below it. */
async function filesBelow(folder: string): Promise<readonly string[]> {
  const found: string[] = [];
  const walk = async (below: string): Promise<void> => {
    for (const entry of await readdir(join(folder, below), { withFileTypes: true })) {
      const path = below === '' ? entry.name : `${below}/${entry.name}`;
      if (entry.isDirectory()) {
        if (path !== 'node_modules') await walk(path);
      } else if (entry.isFile()) found.push(path);
      else throw new Error(`${join(folder, path)} is neither a file nor a folder`);
    }
  };
  await walk('');
  return found;
}

async function checkMachine(file: string, architecture: Architecture): Promise<void> {
  const handle = await open(file);
  try {
    const { buffer, bytesRead } = await handle.read({ buffer: Buffer.alloc(20) });
    const machine = elfMachine(buffer.subarray(0, bytesRead));
    if (machine !== undefined && machine !== ELF_MACHINES[architecture])
      throw new Error(`${file} is for ELF machine ${String(machine)}, not for ${architecture}`);
  } finally {
    await handle.close();
  }
}
