import { createHash } from 'node:crypto';
import { cp, mkdir, readdir, readFile, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';

import { output } from './commands.js';
import { dependenciesOf, HIDDEN_LOCK, type Installation } from './dependencies.js';
import { arranged } from './entries.js';
import { partOf } from './part.js';
import { digestOf } from './pinned.js';
import { npmCpu, type Architecture } from './platforms.js';
import { tarMembers, writeTar } from './tar.js';

const WORKSPACES = ['proto', 'coordinator', 'edge-agent'];

/** Files of packages, by their path in them, which nothing reads at run time. */
const UNREAD = new RegExp(
  [
    /\.([cm]?ts|map|tsbuildinfo)$/,
    /(^|\/)(tests?|__tests__|benchmarks?|examples?)\//,
    /((^|\/)tests?|[_.-]test|\.spec)\.[cm]?js$/,
    // Sources of addons, which npm has compiled already, and addons for another runtime.
    /\.(c|cc|cpp|h|gypi?|bare)$/,
  ]
    .map(({ source }) => source)
    .join('|'),
);

/**
 * Everything that the workspaces need on a platform, installed by npm without scripts, which holds archives against
 * package-lock.json. It is kept as one file with its digest in its name, and used only where it has that digest.
 */
export async function installation(
  root: string,
  architecture: Architecture,
  cache: string,
): Promise<Installation> {
  const folder = join(cache, 'npm');
  const inputs = ['package.json', 'package-lock.json', '.npmrc'].concat(
    WORKSPACES.map((name) => `${name}/package.json`),
  );
  const hash = createHash('sha256').update(UNREAD.source);
  for (const file of inputs) hash.update(await readFile(join(root, file)));
  const key = `${architecture}-${hash.digest('hex').slice(0, 32)}`;
  await mkdir(folder, { recursive: true });
  return (await keptInstallation(folder, key)) ?? install(root, architecture, { folder, key, inputs });
}

/** Also removes what is damaged, and what an older package-lock.json asked for. */
async function keptInstallation(folder: string, key: string): Promise<Installation | undefined> {
  const [architecture = ''] = key.split('-');
  let found: Installation | undefined;
  for (const name of await readdir(folder)) {
    if (!name.startsWith(`${architecture}-`)) continue;
    const [, digest = ''] = name.startsWith(key) ? (/-([0-9a-f]{64})\.tar$/.exec(name) ?? []) : [];
    const tar = digest === '' ? undefined : await readFile(join(folder, name));
    if (tar === undefined || digestOf('sha256', tar).hex !== digest)
      await rm(join(folder, name), { recursive: true, force: true });
    else found = new Map((await tarMembers(tar, isFile)).map((one) => [one.header.name, one.content]));
  }
  return found;
}

const isFile = (path: string): boolean => !path.endsWith('/');

async function install(
  root: string,
  architecture: Architecture,
  place: { readonly folder: string; readonly key: string; readonly inputs: readonly string[] },
): Promise<Installation> {
  const part = partOf(place.folder);
  const tar = partOf(place.folder);
  try {
    await mkdir(part);
    for (const file of place.inputs) await cp(join(root, file), join(part, file));
    // npm links commands of workspaces only where they are.
    for (const name of WORKSPACES)
      await cp(join(root, name, 'bin'), join(part, name, 'bin'), { recursive: true });
    const platform = ['--os', 'linux', '--cpu', npmCpu(architecture), '--libc', 'glibc'];
    await output('npm', ['ci', '--omit=dev', '--prefer-offline', ...platform], part);
    const files = new Map<string, Buffer>();
    for (const path of [HIDDEN_LOCK, ...WORKSPACES.map((name) => `${name}/package.json`)])
      files.set(path, await readFile(join(part, path)));
    for (const { path } of dependenciesOf(files, WORKSPACES))
      for (const file of await filesBelow(join(part, path)))
        if (!UNREAD.test(file)) files.set(`${path}/${file}`, await readFile(join(part, path, file)));
    const entries = [...files].map(([path, content]) => ({ kind: 'file', path, content }) as const);
    const { sha256 } = await writeTar(arranged(entries), tar, 0);
    await rename(tar, join(place.folder, `${place.key}-${sha256}.tar`));
    return files;
  } finally {
    await rm(part, { recursive: true, force: true });
    await rm(tar, { force: true });
  }
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
